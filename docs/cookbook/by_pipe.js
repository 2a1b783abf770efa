// Backpressure by pipe: a file becomes smaller, and whole again, however slow its ends are.
const fs = require('node:fs');
const zlib = require('node:zlib');
const { pipeline } = require('node:stream/promises');
const from = `/tmp/leat-cookbook-${process.pid}`, packed = `${from}.gz`, to = `${from}-copy`;

async function main() {
  await fs.promises.writeFile(from, Buffer.alloc(1_000_000, 'x'));
  await pipeline(fs.createReadStream(from), zlib.createGzip(), fs.createWriteStream(packed));
  await pipeline(fs.createReadStream(packed), zlib.createGunzip(), fs.createWriteStream(to));
  console.log('smaller:', (await fs.promises.stat(packed)).size < 10_000);
  console.log(`${(await fs.promises.stat(to)).size} bytes`);
  for (const path of [from, packed, to]) await fs.promises.unlink(path);
  try {
    await pipeline(fs.createReadStream(from), fs.createWriteStream(to));
  } catch (lost) {
    console.log('lost:', lost.code);
  }
  await fs.promises.unlink(to);
}
main();
