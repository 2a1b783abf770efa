// A tick queued by a job waits for the jobs to end; jobs queued by jobs and ticks by ticks do not wait.
const say = require('./trace.js');
process.nextTick(() => {
  say('tick1');
  queueMicrotask(() => {
    say('job1');
    process.nextTick(() => {
      say('tick3');
      queueMicrotask(() => say('job4'));
    });
    queueMicrotask(() => say('job3'));
  });
  process.nextTick(() => say('tick2'));
});
queueMicrotask(() => say('job2'));
