// One queued by an immediate waits for the next turn.
const say = require('./trace.js');
setImmediate(() => {
  say('a');
  setImmediate(() => {
    say('c');
    setImmediate(() => say('d'));
  });
  process.nextTick(() => say('a-tick'));
});
setImmediate(() => say('b'));
