// After each timer callback, even of timers that are due together.
const say = require('./trace.js');
const fire = (name) => () => {
  say(name);
  queueMicrotask(() => say(name + '-job'));
  process.nextTick(() => say(name + '-tick'));
};
setTimeout(fire('a'), 10);
setTimeout(fire('b'), 10);
