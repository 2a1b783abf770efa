const say = require('./trace.js');
let b;
setTimeout(() => {
  say('a');
  clearTimeout(b);
}, 10);
b = setTimeout(() => say('b'), 10);
setTimeout(() => say('c'), 10);
