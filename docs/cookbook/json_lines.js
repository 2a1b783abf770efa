// JSON Lines: a file of any length, a line at a time.
const fs = require('node:fs');
const readline = require('node:readline');
const path = `/tmp/leat-cookbook-${process.pid}`;

async function total() {
  let sum = 0;
  for await (const line of readline.createInterface({ input: fs.createReadStream(path) }))
    try {
      sum += JSON.parse(line).price;
    } catch {
      console.log(`not JSON: ${line}`);
    }
  return sum;
}

async function main() {
  await fs.promises.writeFile(path, '{"price": 7}\n{"price": 12, "of": "tea"}\n{"price"\n{"price": 23}');
  console.log('total:', await total());
  await fs.promises.unlink(path);
}
main();
