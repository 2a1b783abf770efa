// An interval and a timeout that are due together, in the order of their start.
const say = require('./trace.js');
let count = 0;
const interval = setInterval(() => {
  say('interval');
  process.nextTick(() => say('tick'));
  if (++count === 3) clearInterval(interval);
}, 10);
setTimeout(() => say('timeout'), 10);
