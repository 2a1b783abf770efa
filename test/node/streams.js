// Plays programs of streams under Node; streams.c plays the same on Leat, streams.py compares.
// A program is lines; streams.txt says which.
const stream = require('stream');
const promises = require('stream/promises');
const fs = require('fs');

const CODES = {
  ERR_STREAM_PREMATURE_CLOSE: 'ECONNABORTED',
  ERR_STREAM_WRITE_AFTER_END: 'EPIPE',
  ERR_STREAM_PUSH_AFTER_EOF: 'EPIPE',
  ERR_STREAM_DESTROYED: 'ECANCELED',
};
const TOLD = ['end', 'pause', 'resume', 'drain', 'finish', 'pipe', 'unpipe', 'error', 'close'];

let words, streams, hooks;

function say(word) {
  words.push(word);
}

function codeOf(error) {
  return error ? CODES[error.code] || error.code || error.message : 'ok';
}

function boom() {
  return Object.assign(new Error('boom'), { code: 'EIO' });
}

function when(mode, fn) {
  if (mode === 'sync') fn();
  else if (mode === 'tick') process.nextTick(fn);
  else if (mode === 'job') queueMicrotask(fn);
  else if (mode === 'immediate') setImmediate(fn);
  else setTimeout(fn, Number(mode.slice(5)));
}

// Listeners of ours come behind those of pipes, as in Leat.
function listen(made) {
  for (const [event, fn] of Object.entries(made.listeners)) {
    made.stream.removeListener(event, fn);
    made.stream.on(event, fn);
  }
}

function listenAll() {
  for (const made of Object.values(streams)) listen(made);
}

function told(made, event, text) {
  say(`${made.name}.${text}`);
  if (event === 'pause') process.nextTick(listenAll); // a pipe listens to drain from here on
  for (const hook of hooks.splice(0)) {
    if (hook.name === made.name && hook.event === event) run(hook.words);
    else hooks.push(hook);
  }
}

function readable(made, o) {
  let count = 0;
  return {
    read() {
      say(`${made.name}:read`);
      when(o.read || 'sync', () => {
        for (let i = 0; i < (o.burst || 1); i++) {
          count++;
          if (count === o.fails) this.destroy(boom());
          else if (count > o.chunks) this.push(null);
          else this.push(count);
          if (count > o.chunks) break;
        }
      });
    },
  };
}

function destroyer(made, o) {
  return (error, done) => {
    say(`${made.name}:destroy`);
    if (made.out) {
      const out = made.out;
      made.out = null;
      out(Object.assign(new Error('gone'), { code: 'ECANCELED' }));
    }
    when(o.destroy, () => done(error));
  };
}

function writable(made, o) {
  let count = 0;
  const write = (text, done) => {
    say(`${made.name}:write(${text})`);
    count++;
    const fails = count === o.fails;
    made.out = done;
    when(o.write || 'sync', () => {
      if (made.out !== done) return;
      made.out = null;
      done(fails ? boom() : null);
    });
  };
  return {
    write: (chunk, encoding, done) => write(chunk, done),
    writev: (chunks, done) => write(chunks.map((each) => each.chunk).join(','), done),
  };
}

function final(made, o) {
  return (done) => {
    say(`${made.name}:final`);
    when(o.final, () => {
      if (!made.stream.destroyed) done(o.final_fails ? boom() : null);
    });
  };
}

function transform(made, o) {
  let count = 0;
  const result = {
    transform(chunk, encoding, done) {
      say(`${made.name}:transform(${chunk})`);
      count++;
      const fails = count === o.fails;
      made.out = done;
      when(o.write || 'sync', () => {
        if (made.out !== done) return;
        made.out = null;
        const times = o.times === undefined ? 1 : o.times;
        for (let i = 0; i < times && !fails; i++) this.push(chunk);
        done(fails ? boom() : null);
      });
    },
  };
  if (o.final) {
    result.flush = function (done) {
      say(`${made.name}:final`);
      when(o.final, () => {
        if (this.destroyed) return;
        this.push(99);
        done();
      });
    };
  }
  return result;
}

const KINDS = {
  readable: { Class: stream.Readable, parts: [readable] },
  writable: { Class: stream.Writable, parts: [writable] },
  duplex: { Class: stream.Duplex, parts: [readable, writable] },
  transform: { Class: stream.Transform, parts: [transform] },
};

function make(kind, name, pairs) {
  const o = {};
  for (const pair of pairs) {
    const [key, value] = pair.split('=');
    o[key] = /^\d+$/.test(value) ? Number(value) : value;
  }
  const made = (streams[name] = { name, out: null, listeners: {}, written: 0 });
  const mark = o.mark || 16;
  const options = { objectMode: true, highWaterMark: mark, allowHalfOpen: !o.together };
  for (const part of KINDS[kind].parts) Object.assign(options, part(made, o));
  if (o.final && kind !== 'transform') options.final = final(made, o);
  if (o.destroy) options.destroy = destroyer(made, o);
  made.stream = new KINDS[kind].Class(options);
  for (const event of TOLD) {
    made.listeners[event] = (value) =>
      told(made, event, event === 'error' ? `error(${codeOf(value)})` : event);
  }
  listen(made);
}

function write(made, text, done) {
  const result = made.stream.write(text, done);
  const refused = made.stream.destroyed || made.stream.writableEnded;
  return refused ? 'no' : result ? '0' : '1';
}

const OPS = {
  write(made) {
    const result = write(made, ++made.written);
    say(`${made.name}=${result}`);
  },
  writec(made) {
    const number = ++made.written;
    const refused = made.stream.destroyed || made.stream.writableEnded;
    const result = write(made, number, (error) => {
      if (!refused) say(`${made.name}.done${number}(${codeOf(error)})`);
    });
    say(`${made.name}=${result}`);
  },
  writev(made, count) {
    let result;
    made.stream.cork();
    for (let i = 0; i < Number(count); i++) result = write(made, ++made.written);
    made.stream.uncork();
    if (result !== 'no' && made.stream.destroyed) result = '1';
    say(`${made.name}=${result}`);
  },
  end: (made) => made.stream.end(),
  destroy: (made, fails) => made.stream.destroy(fails ? boom() : undefined),
  pause: (made) => made.stream.pause(),
  resume: (made) => made.stream.resume(),
  read(made) {
    const chunk = made.stream.read();
    say(`${made.name}=${chunk === null ? 'null' : chunk}`);
  },
  flow(made) {
    if (made.flows) return;
    made.flows = true;
    made.stream.on('data', (chunk) => told(made, 'data', `data(${chunk})`));
  },
  listen(made) {
    if (made.reads) return;
    made.reads = true;
    made.stream.on('readable', () => {
      told(made, 'readable', 'readable');
      let chunk;
      while ((chunk = made.stream.read()) !== null) say(`${made.name}=${chunk}`);
    });
  },
  pipe(made, to, open) {
    made.stream.pipe(streams[to].stream, { end: !open });
    listenAll();
  },
  unpipe(made, to) {
    made.stream.unpipe(to ? streams[to].stream : undefined);
  },
  pipeline(made, ...others) {
    const list = [made, ...others.map((name) => streams[name])].map((each) => each.stream);
    promises.pipeline(list).then(
      () => say('pipeline(ok)'), (error) => say(`pipeline(${codeOf(error)})`));
    listenAll();
  },
  finished(made) {
    promises.finished(made.stream).then(
      () => say(`${made.name}.finished(ok)`),
      (error) => say(`${made.name}.finished(${codeOf(error)})`));
    listenAll();
  },
  iterate(made) {
    (async () => {
      try {
        for await (const chunk of made.stream) say(`${made.name}~${chunk}`);
        say(`${made.name}~end`);
      } catch (error) {
        say(`${made.name}~${codeOf(error)}`);
      }
    })();
  },
  say: (made, word) => say(word),
};

function run(line) {
  const [op, name, ...rest] = line;
  if (KINDS[op] && !streams[name]) make(op, name, rest);
  else OPS[op](streams[name], ...rest);
}

function plan(line) {
  const at = line[0].slice(1);
  if (at.includes('.')) {
    const [name, event] = at.split('.');
    hooks.push({ name, event, words: line.slice(1) });
  } else {
    when(at, () => run(line.slice(1)));
  }
}

function play(text) {
  words = [];
  streams = {};
  hooks = [];
  for (const each of text.split('\n')) {
    const line = each.trim().split(/\s+/);
    if (line[0].startsWith('@')) plan(line);
    else if (line[0]) run(line);
  }
}

const programs = fs.readFileSync(0, 'utf8').split('\n--\n').filter((text) => text.trim());
let next = 0;
// When nothing keeps the loop alive a program is over, and the next one begins.
process.on('beforeExit', () => {
  if (next > 0) console.log(words.join(' '));
  if (next < programs.length) {
    play(programs[next++]);
    setImmediate(() => {});
  } else {
    process.exit(0);
  }
});
