// From an I/O callback the check phase comes before timers.
const say = require('./trace.js');
require('fs').readFile(__filename, () => {
  say('io');
  setTimeout(() => say('timer'), 0);
  setImmediate(() => say('immediate'));
  queueMicrotask(() => say('job'));
  process.nextTick(() => say('tick'));
});
