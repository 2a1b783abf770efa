// The first of several wins; the others are stopped, and nobody waits for longer than 50 ms.
const { setTimeout: delay } = require('node:timers/promises');

async function ask(mirror, ms, signal) {
  await delay(ms, null, { signal });
  return mirror;
}

async function first(names, times) {
  const others = new AbortController();
  const signal = AbortSignal.any([others.signal, AbortSignal.timeout(50)]);
  try {
    const asked = names.map((name, i) => ask(name, times[i], signal));
    console.log(`${await Promise.race(asked)} came first`);
  } catch {
    console.log('none came in time');
  }
  others.abort();
}

async function main() {
  await first(['Oslo', 'Rome'], [60_000, 10]);
  await first(['Oslo', 'Rome'], [60_000, 60_000]);
}
main();
