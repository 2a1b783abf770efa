// Runs the programs that random.py wrote; prints a line of what each said.
const words = require('fs').readFileSync(process.argv[2], 'utf8').split(/\s+/);
let at = 0;
const take = () => words[at++];
const number = () => Number(take());

function readCallback() {
  return { body: take(), how: take(), value: number() };
}

const readers = {
  new: () => [number()],
  resolve: () => [number(), number()],
  reject: () => [number(), number()],
  follow: () => [number(), number()],
  then: () => [number(), number(), readCallback(), readCallback()],
  catch: () => [number(), number(), readCallback()],
  finally: () => [number(), number(), readCallback()],
  tick: () => [number()],
  job: () => [number()],
  immediate: () => [number()],
};
for (const kind of ['all', 'settled', 'race', 'any']) {
  readers[kind] = () => {
    const to = number(), count = number(), from = [];
    for (let i = 0; i < count; i++) from.push(number());
    return [to, from];
  };
}

function readProgram() {
  take();
  const program = { seed: take(), bodies: [] };
  for (let left = number(); left > 0; left--) {
    take();
    take();
    const body = [];
    for (let operations = number(); operations > 0; operations--) {
      const kind = take();
      body.push([kind, ...readers[kind]()]);
    }
    program.bodies.push(body);
  }
  return program;
}

const combine = { all: 'all', settled: 'allSettled', race: 'race', any: 'any' };
let program, slots, open, births, born, said, left;

function describe(value) {
  if (value instanceof AggregateError) return '!A';
  if (value instanceof TypeError) return '!T';
  if (value && value.failed !== undefined) return '!' + value.failed;
  if (Array.isArray(value)) return '[' + value.map(describeItem).join(',') + ']';
  return value === undefined ? '_' : String(value);
}

function describeItem(item) {
  if (item && item.status === 'fulfilled') return describe(item.value);
  if (item && item.status === 'rejected') return describe(item.reason);
  return describe(item);
}

function run(body) {
  for (const [kind, ...args] of program.bodies[body]) operations[kind](...args);
}

// What waits for what is younger than itself could wait for itself: neither side does that.
function callback({ body, how, value }, me) {
  if (body === '-') return undefined;
  return (given) => {
    said.push(body + ':' + describe(given));
    run(Number(body));
    if (how === 't') throw { failed: value };
    if (how === 'f' && slots[value] && births[value] < me) return slots[value];
    return value;
  };
}

function later(start) {
  return (body) => {
    left++;
    start(() => {
      left--;
      said.push(String(body));
      run(body);
    });
  };
}

const operations = {
  new: (i) => {
    let settle;
    put(i, new Promise((resolve, reject) => { settle = { resolve, reject }; }), ++born);
    open[i] = settle;
  },
  resolve: (i, value) => {
    const settle = open[i];
    open[i] = null;
    if (settle) settle.resolve(value);
  },
  reject: (i, value) => {
    const settle = open[i];
    open[i] = null;
    if (settle) settle.reject({ failed: value });
  },
  follow: (i, j) => {
    const settle = open[i];
    if (!settle || !slots[j] || births[j] >= births[i]) return;
    open[i] = null;
    settle.resolve(slots[j]);
  },
  then: (i, to, yes, no) => {
    const me = ++born;
    if (slots[i]) put(to, slots[i].then(callback(yes, me), callback(no, me)), me);
  },
  catch: (i, to, no) => {
    const me = ++born;
    if (slots[i]) put(to, slots[i].catch(callback(no, me)), me);
  },
  finally: (i, to, both) => {
    const me = ++born;
    if (slots[i]) put(to, slots[i].finally(callback(both, me)), me);
  },
  tick: later((fn) => process.nextTick(fn)),
  job: later((fn) => queueMicrotask(fn)),
  immediate: later((fn) => setImmediate(fn)),
};
for (const kind of Object.keys(combine)) {
  operations[kind] = (to, from) => {
    const promises = from.map((i) => slots[i]);
    const me = ++born;
    if (promises.every(Boolean)) put(to, Promise[combine[kind]](promises), me);
  };
}

function put(to, promise, me) {
  slots[to] = promise;
  births[to] = me;
  open[to] = null;
}

process.on('unhandledRejection', (reason) => said.push('u:' + describe(reason)));
process.on('rejectionHandled', () => said.push('h'));

function next() {
  if (program && left > 0) return setImmediate(next);
  if (program) console.log(said.join(' '));
  if (at >= words.length || words[at] === '') return;
  program = readProgram();
  slots = [];
  open = [];
  births = [];
  born = 0;
  said = [];
  left = 0;
  setImmediate(next);
  run(0);
}
next();
