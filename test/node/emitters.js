// Plays programs of emitters under Node; emitters.c plays the same on Leat, emitters.py compares.
//   on EVENT NAME, once, prepend, off; emit EVENT; count EVENT
//   : NAME OPERATION...    what the listener NAME does, the first time that it is called
const { EventEmitter } = require('events');
const fs = require('fs');

let words, emitter, listeners;

function listener(name) {
  if (!listeners[name]) {
    const made = (listeners[name] = { lines: [] });
    made.fn = (value) => {
      words.push(`${name}(${value})`);
      const lines = made.lines;
      made.lines = [];
      for (const line of lines) run(line);
    };
  }
  return listeners[name];
}

let emitted = 0;
const OPS = {
  on: (event, name) => emitter.on(event, listener(name).fn),
  once: (event, name) => emitter.once(event, listener(name).fn),
  prepend: (event, name) => emitter.prependListener(event, listener(name).fn),
  off: (event, name) => emitter.off(event, listener(name).fn),
  emit: (event) => words.push(emitter.emit(event, ++emitted) ? 'heard' : 'unheard'),
  count: (event) => words.push(`${emitter.listenerCount(event)}`),
};

function run(line) {
  OPS[line[0]](...line.slice(1));
}

for (const program of fs.readFileSync(0, 'utf8').split('\n--\n')) {
  words = [];
  emitter = new EventEmitter();
  emitter.setMaxListeners(0);
  listeners = {};
  emitted = 0;
  for (const text of program.split('\n')) {
    const line = text.trim().split(/\s+/);
    if (line[0] === ':') listener(line[1]).lines.push(line.slice(2));
    else if (line[0]) run(line);
  }
  console.log(words.join(' '));
}
