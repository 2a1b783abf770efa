// leat/crypto.h beside Node's crypto, for inputs drawn from a seed: each must take what the other
// makes. crypto_beside.js SAY
'use strict';
const assert = require('assert');
const crypto = require('crypto');
const { spawnSync } = require('child_process');

const DIGESTS = ['sha1', 'sha256', 'sha384', 'sha512'];
const HASHES = 400, DERIVATIONS = 60, SIGNATURES = 8, LIMIT_MS = 60000;

// Numbers that repeat from a seed.
let state = 12;
const below = (count) => {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0;
  return Math.floor((state / 2 ** 32) * count);
};
const bytes = (most) => Buffer.from(Array.from({ length: below(most + 1) }, () => below(256)));
const hex = (buffer) => (buffer.length === 0 ? '' : buffer.toString('hex'));
const optional = (buffer) => hex(buffer) || '-';

const cases = []; // { line, and expect: what must be said, or check: a function of it }

function hashes() {
  for (let i = 0; i < HASHES; i++) {
    const kind = below(4), data = bytes(below(4) === 0 ? 3000 : 200);
    const hasKey = below(3) !== 0, key = hasKey ? bytes(300) : Buffer.alloc(0);
    const made = hasKey ? crypto.createHmac(DIGESTS[kind], key) : crypto.createHash(DIGESTS[kind]);
    cases.push({ line: `hash ${kind} ${hasKey ? hex(key) : '-'} ${hex(data)}`,
      expect: made.update(data).digest('hex') });
  }
}

function derivation(how) {
  const kind = below(4), secret = bytes(90), salt = bytes(90), info = bytes(90);
  const length = 1 + below(how === 2 ? 600 : 100);
  const cost = 2 ** (1 + below(7)), block = 1 + below(9), lanes = 1 + below(4);
  const rounds = 1 + below(300);
  const key = how === 2 && secret.length === 0 ? Buffer.from('k') : secret;
  const made = [
    () => crypto.scryptSync(key, salt, length, { N: cost, r: block, p: lanes }),
    () => crypto.pbkdf2Sync(key, salt, rounds, length, DIGESTS[kind]),
    () => Buffer.from(crypto.hkdfSync(DIGESTS[kind], key, salt, info, length)),
  ][how]();
  cases.push({ line: `derive ${how} ${kind} ${optional(key)} ${optional(salt)} ${optional(info)} ` +
    `${rounds} ${cost} ${block} ${lanes} ${length}`, expect: made.toString('hex') });
}

function pairs() {
  const rsa = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
  const p256 = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const p384 = crypto.generateKeyPairSync('ec', { namedCurve: 'P-384' });
  const pkcs1 = { padding: crypto.constants.RSA_PKCS1_PADDING };
  const pss = { padding: crypto.constants.RSA_PKCS1_PSS_PADDING,
    saltLength: crypto.constants.RSA_PSS_SALTLEN_DIGEST };
  const raw = { dsaEncoding: 'ieee-p1363' };
  return [ // in the order of enum leat_scheme; the last says whether a signature is always the same
    [rsa, 'sha256', pkcs1, true], [rsa, 'sha384', pkcs1, true], [rsa, 'sha512', pkcs1, true],
    [rsa, 'sha256', pss], [rsa, 'sha384', pss], [rsa, 'sha512', pss],
    [p256, 'sha256', {}], [p384, 'sha384', {}], [p256, 'sha256', raw], [p384, 'sha384', raw],
    [crypto.generateKeyPairSync('ed25519'), null, {}, true],
  ];
}

const pem = (key, type) => Buffer.from(key.export({ type, format: 'pem' })).toString('hex');

function signatures() {
  pairs().forEach(([pair, digest, options, isFixed], scheme) => {
    for (let i = 0; i < SIGNATURES; i++) {
      const data = bytes(500);
      const made = crypto.sign(digest, data, { key: pair.privateKey, ...options });
      const said = Buffer.from(made);
      const isGood = i % 2 === 0;
      if (!isGood)
        said[below(said.length)] ^= 1 << below(8);
      // Node is asked as well: a changed byte of DER may mean the same.
      const isTaken = crypto.verify(digest, data, { key: pair.publicKey, ...options }, said);
      assert(isTaken || !isGood);
      cases.push({ line: `verify ${scheme} ${pem(pair.publicKey, 'spki')} ${hex(data)} ${hex(said)}`,
        expect: isTaken ? 'good' : 'EBADMSG' });
      cases.push({ line: `sign ${scheme} ${pem(pair.privateKey, 'pkcs8')} ${hex(data)}`,
        check: (answer) => {
          const theirs = Buffer.from(answer, 'hex');
          assert(crypto.verify(digest, data, { key: pair.publicKey, ...options }, theirs), answer);
          assert(!isFixed || theirs.equals(made), answer);
        } });
    }
  });
}

hashes();
for (let i = 0; i < DERIVATIONS; i++)
  derivation(i % 3);
signatures();
const done = spawnSync(process.argv[2], { input: cases.map(({ line }) => `${line}\n`).join(''),
  timeout: LIMIT_MS, maxBuffer: 1 << 26 });
assert.strictEqual(done.status, 0, `${done.stderr}`);
assert.strictEqual(`${done.stderr}`, '');
const answers = `${done.stdout}`.split('\n');
assert.strictEqual(answers.length, cases.length + 1);
cases.forEach(({ line, expect, check }, i) => {
  if (check)
    check(answers[i]);
  else
    assert.strictEqual(answers[i], expect, line);
});
console.log(`${cases.length} agree`);
