// A file read in three forms, and one that is not there.
const fs = require('node:fs');
const path = `/tmp/leat-cookbook-${process.pid}`;

fs.writeFileSync(path, 'remember the milk\n');
console.log('sync:', fs.readFileSync(path, 'utf8').trim());
fs.readFile(path, 'utf8', (error, text) => {
  if (error) throw error;
  console.log('callback:', text.trim());
  fs.promises.readFile(path, 'utf8')
    .then((again) => console.log('promise:', again.trim()))
    .then(() => fs.promises.unlink(path))
    .then(() => fs.promises.readFile(path, 'utf8'))
    .catch((lost) => console.log('lost:', lost.code));
});
