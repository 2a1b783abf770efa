const say = require('./trace.js');
setTimeout(() => say('timer'), 60);
setImmediate(() => say('immediate'));
queueMicrotask(() => say('job'));
process.nextTick(() => say('tick'));
say('main');
