// One hand that stops everything that is under way.
const { setTimeout: delay } = require('node:timers/promises');
const closing = new AbortController();

for (const name of ['upload', 'report', 'backup'])
  delay(60_000, null, { signal: closing.signal })
    .catch(() => console.log(`${name}: stopped`));

setTimeout(() => closing.abort(), 10);
