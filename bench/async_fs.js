// What bench/async_read.c and bench/async_files.c do, under Node: `node async_fs.js read|files
// SECONDS` prints the same figures, CPU time of all threads of the process as Node counts it.
const fs = require('fs'), path = require('path');
const BATCH = 32, READ_BYTES = 4096, FILES = 10000, FILE_BYTES = 1024, UNDER_WAY = 64;
const [work, seconds] = [process.argv[2], Number(process.argv[3])];
const folder = fs.mkdtempSync('/tmp/leat-bench-');

function cpuMicroseconds(begin) {
  const used = process.cpuUsage(begin);
  return used.user + used.system;
}

// ---- reading 4 KiB ----

async function readFor(batch, seconds) {
  const end = performance.now() + seconds * 1000, begin = process.cpuUsage();
  let count = 0;
  for (; performance.now() < end; count += BATCH) await batch();
  return cpuMicroseconds(begin) * 1000 / count;
}

async function read() {
  const name = path.join(folder, 'file');
  fs.writeFileSync(name, Buffer.alloc(BATCH * READ_BYTES));
  const handle = await fs.promises.open(name);
  const buffers = Array.from({ length: BATCH }, () => Buffer.alloc(READ_BYTES));
  const byPromises = () => Promise.all(buffers.map(async (to, i) => {
    const { bytesRead } = await handle.read(to, 0, READ_BYTES, i * READ_BYTES);
    if (bytesRead !== READ_BYTES) throw new Error('short');
  }));
  const byCallbacks = () => new Promise((done, failed) => {
    let left = BATCH;
    buffers.forEach((to, i) => fs.read(handle.fd, to, 0, READ_BYTES, i * READ_BYTES, (error, n) => {
      if (error || n !== READ_BYTES) failed(error || new Error('short'));
      if (--left === 0) done();
    }));
  });
  const found = {};
  for (const [figure, batch] of [['read/future', byPromises], ['read/callback', byCallbacks]]) {
    await readFor(batch, Math.max(seconds / 10, 0.05)); // compiled by then
    found[figure] = await readFor(batch, seconds);
  }
  await handle.close();
  fs.unlinkSync(name);
  return found;
}

// ---- 10,000 small files ----

async function step(start) {
  const begin = process.cpuUsage();
  let begun = 0;
  await Promise.all(Array.from({ length: UNDER_WAY }, async () => {
    while (begun < FILES) await start(path.join(folder, String(begun++)));
  }));
  return cpuMicroseconds(begin) / FILES;
}

async function files() {
  const bytes = Buffer.alloc(FILE_BYTES), found = {};
  for (let round = 0; round < 2; round++) {
    found['files/write'] = await step((name) => fs.promises.writeFile(name, bytes));
    found['files/stat'] = await step((name) => fs.promises.stat(name));
    found['files/read'] = await step(async (name) => {
      if ((await fs.promises.readFile(name)).length !== FILE_BYTES) throw new Error('short');
    });
    found['files/remove'] = await step((name) => fs.promises.unlink(name));
  }
  return found;
}

({ read, files })[work]().then((found) => console.log(JSON.stringify(found)))
  .finally(() => fs.rmSync(folder, { recursive: true }));
