// A file read in three forms, and one that is not there.
const fs = require('node:fs');
const path = `/tmp/leat-cookbook-${process.pid}`;

async function later() {
  console.log('await:', (await fs.promises.readFile(path, 'utf8')).trim());
  await fs.promises.unlink(path);
  try {
    await fs.promises.readFile(path);
  } catch (lost) {
    console.log('lost:', lost.code);
  }
}

fs.writeFileSync(path, 'remember the milk\n');
console.log('sync:', fs.readFileSync(path, 'utf8').trim());
fs.readFile(path, 'utf8', (error, text) => {
  if (error) throw error;
  console.log('callback:', text.trim());
  later();
});
