// Callbacks of operations come in the poll phase: with ticks and jobs between two of them, before
// the immediates that they set, and these before their timers. One is rejected with the name of its
// error.
const say = require('./trace.js');
const fs = require('fs');
const { promisify } = require('util');
fs.stat('/', () => {
  say('stat');
  process.nextTick(() => say('tick'));
  queueMicrotask(() => say('job'));
  setTimeout(() => {
    say('timer');
    fs.stat('/none/of/this', (error) => {
      say(error.code);
      promisify(fs.readFile)('/').catch((reason) => say('promise-' + reason.code));
    });
  }, 0);
  setImmediate(() => say('immediate'));
});
