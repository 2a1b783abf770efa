// A chain of ticks keeps everything else waiting.
const say = require('./trace.js');
let left = 5;
const tick = () => {
  say('tick');
  if (--left > 0) process.nextTick(tick);
};
setImmediate(() => say('immediate'));
queueMicrotask(() => say('job'));
process.nextTick(tick);
