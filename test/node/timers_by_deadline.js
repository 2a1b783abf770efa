const say = require('./trace.js');
setTimeout(() => say('c'), 120);
setTimeout(() => say('a'), 1);
setTimeout(() => say('b'), 60);
