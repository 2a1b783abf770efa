// The next-tick queue to its end, then the promise-job queue, after the main script.
const say = require('./trace.js');
queueMicrotask(() => say('job1'));
process.nextTick(() => say('tick1'));
Promise.resolve().then(() => say('job2'));
process.nextTick(() => say('tick2'));
say('main');
