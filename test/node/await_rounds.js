// In which round of jobs an async function goes on: behind what has settled, what settles later, a
// rejection. The functions begin in a job, as tasks do.
const say = require('./trace.js');
const settled = Promise.resolve();
let settle;
const later = new Promise((resolve) => { settle = resolve; });
settled.then(async () => {
  say('one');
  await settled;
  say('one-settled');
  await later;
  say('one-later');
});
settled.then(async () => {
  say('two');
  await later;
  say('two-later');
  try {
    await Promise.reject('lost');
  } catch (reason) {
    say('two-' + reason);
  }
});
settled.then(async () => {
  say('three');
  settle();
  queueMicrotask(() => say('job'));
  process.nextTick(() => say('tick'));
  await settled;
  say('three-settled');
});
setImmediate(() => say('immediate'));
