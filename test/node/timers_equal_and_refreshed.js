// Equal delays in the order of their start; refresh starts anew.
const say = require('./trace.js');
const a = setTimeout(() => say('a'), 10);
setTimeout(() => say('b'), 10);
setTimeout(() => say('c'), 10);
a.refresh();
