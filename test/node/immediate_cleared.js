const say = require('./trace.js');
let b;
setImmediate(() => {
  say('a');
  clearImmediate(b);
});
b = setImmediate(() => say('b'));
setImmediate(() => say('c'));
