const say = require('./trace.js');
const fire = (name) => () => {
  say(name);
  queueMicrotask(() => say(name + '-job'));
  process.nextTick(() => say(name + '-tick'));
};
setImmediate(fire('a'));
setImmediate(fire('b'));
