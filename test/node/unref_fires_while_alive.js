const say = require('./trace.js');
setTimeout(() => say('unref'), 1).unref();
setTimeout(() => say('ref'), 100);
setTimeout(() => say('never'), 3000).ref().unref();
