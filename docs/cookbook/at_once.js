// Two things at once, and one that is waited for 50 ms at most.
const { setTimeout: delay } = require('node:timers/promises');

const both = Promise.all([delay(30).then(() => 1), delay(10).then(() => 2)]);
both.then(([first, second]) => console.log(`both: ${first} and ${second}`));

delay(60_000, null, { signal: AbortSignal.timeout(50) })
  .then(() => console.log('it came'))
  .catch(() => console.log('it did not come in time'));
