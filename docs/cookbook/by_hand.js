// Backpressure by hand: a file is copied, and nothing is read while writing is behind.
const fs = require('node:fs');
const { once } = require('node:events');
const { finished } = require('node:stream/promises');
const from = `/tmp/leat-cookbook-${process.pid}`, to = `${from}-copy`;

async function copy() {
  const source = fs.createReadStream(from), sink = fs.createWriteStream(to);
  let waits = 0;
  for await (const piece of source)
    if (!sink.write(piece)) {
      waits++;
      await once(sink, 'drain');
    }
  sink.end();
  await finished(sink);
  return waits > 0;
}

async function main() {
  await fs.promises.writeFile(from, Buffer.alloc(1_000_000, 'x'));
  console.log('it waited:', await copy());
  console.log(`${(await fs.promises.stat(to)).size} bytes`);
  await fs.promises.unlink(from);
  await fs.promises.unlink(to);
}
main();
