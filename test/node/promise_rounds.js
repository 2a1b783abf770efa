// In which round of jobs a continuation runs, counted from a promise that is settled already.
const say = require('./trace.js');
const settled = Promise.resolve();
(function round(n) {
  say(String(n));
  if (n < 4) queueMicrotask(() => round(n + 1));
})(0);
settled.then(() => say('then'));
Promise.all([settled, settled]).then(() => say('all'));
Promise.race([settled]).then(() => say('race'));
Promise.allSettled([settled]).then(() => say('settled'));
Promise.any([settled]).then(() => say('any'));
settled.then(() => settled).then(() => say('adopt'));
settled.finally(() => {}).then(() => say('finally'));
