// A rejection is unhandled when ticks and jobs have run; what handles it later is told as well.
const say = require('./trace.js');
process.on('unhandledRejection', (reason) => say('unhandled-' + reason));
process.on('rejectionHandled', () => say('handled'));
const late = Promise.reject('late');
const tick = Promise.reject('tick');
const job = Promise.reject('job');
process.nextTick(() => tick.catch((reason) => say('caught-' + reason)));
queueMicrotask(() => job.catch((reason) => say('caught-' + reason)));
setImmediate(() => {
  say('immediate');
  late.catch((reason) => say('caught-' + reason));
});
