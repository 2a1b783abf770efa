// What Node makes of each line of standard input, in the words of say.c: its JSON.parse is strict,
// and its TextDecoder refuses what is no UTF-8.
'use strict';
const decoder = new TextDecoder('utf-8', {fatal: true, ignoreBOM: true});

function sayJson(hex) {
  try {
    const value = JSON.parse(decoder.decode(Buffer.from(hex, 'hex')));
    return 'ok ' + Buffer.from(JSON.stringify(value)).toString('hex');
  } catch {
    return 'no';
  }
}

function sayDouble(hex) {
  const value = Buffer.from(hex, 'hex').readDoubleBE();
  return Object.is(value, -0) ? '-0' : String(value);
}

const lines = require('fs').readFileSync(0, 'latin1').split('\n');
for (const line of lines) {
  if (line.startsWith('json ')) console.log(sayJson(line.slice(5)));
  else if (line.startsWith('double ')) console.log(sayDouble(line.slice(7)));
}
