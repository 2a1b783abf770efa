// What promises cost under Node, ns of this thread's CPU time per operation, in batches as
// bench/future.c has them: `node async.js SECONDS` prints JSON.
const BATCH = 32;
const seconds = Number(process.argv[2] || 0.2);
let count = 0;

const cases = {
  microtask: async () => {
    for (let i = 0; i < BATCH; i++) queueMicrotask(() => count++);
    await null;
    return BATCH;
  },
  reaction: async () => {
    const settle = [];
    for (let i = 0; i < BATCH; i++)
      new Promise((resolve) => settle.push(resolve)).then((n) => { count += n; });
    for (const resolve of settle) resolve(1);
    await null;
    return BATCH;
  },
  then: async () => {
    let last;
    for (let i = 0; i < BATCH; i++) {
      let settle;
      last = new Promise((resolve) => { settle = resolve; }).then((n) => n + 1)
        .then((n) => { count += n; });
      settle(1);
    }
    await last;
    return BATCH;
  },
  'all of four': async () => {
    await Promise.all([0, 1, 2, 3].map((n) => Promise.resolve(n)));
    return 1;
  },
  await: async () => {
    for (let i = 0; i < BATCH; i++) {
      let settle;
      const promise = new Promise((resolve) => { settle = resolve; });
      queueMicrotask(settle);
      await promise;
    }
    return BATCH;
  },
  'async function': async () => {
    const started = [];
    for (let i = 0; i < BATCH; i++) started.push((async () => { count++; })());
    await started[BATCH - 1];
    return BATCH;
  },
};

async function measure(fn) {
  for (let i = 0; i < 2000; i++) await fn(); // compiled by then
  let operations = 0;
  const begin = process.cpuUsage(), end = performance.now() + seconds * 1000;
  while (performance.now() < end)
    for (let i = 0; i < 64; i++) operations += await fn();
  return process.cpuUsage(begin).user * 1000 / operations;
}

(async () => {
  const found = {};
  for (const [name, fn] of Object.entries(cases)) found[name] = await measure(fn);
  console.log(JSON.stringify(found));
})();
