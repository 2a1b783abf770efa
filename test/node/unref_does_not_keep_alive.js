const say = require('./trace.js');
setTimeout(() => say('never'), 3000).unref();
setImmediate(() => say('immediate'));
setTimeout(() => say('timer'), 100);
