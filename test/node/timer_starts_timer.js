// One started by a timer waits for a later turn, so the check phase comes in between.
const say = require('./trace.js');
setTimeout(() => {
  say('a');
  setTimeout(() => say('c'), 60);
  setImmediate(() => say('b'));
}, 1);
