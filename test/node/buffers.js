// What Buffer gives: text in and out of encodings, numbers in both byte orders, views, searching.
const say = require('./trace.js');
const bytes = Buffer.from('48656c6c6fff00c3', 'hex');
say(bytes.toString('base64'));
say(bytes.toString('base64url'));
say(Buffer.from(bytes.toString('base64'), 'base64').toString('hex'));
say(Buffer.from('ü€', 'utf16le').toString('hex'));
say(Buffer.from('ü€').toString('hex'));
const numbers = Buffer.alloc(16);
numbers.writeUInt32BE(0xdeadbeef, 0);
numbers.writeInt16LE(-2, 4);
numbers.writeDoubleLE(1.5, 6);
say(numbers.toString('hex'));
say(String(numbers.readInt32BE(0)));
say(String(numbers.readUInt16LE(4)));
say(String(numbers.readUIntBE(0, 6)));
const view = numbers.subarray(4, 6);
view.fill('ab');
say(numbers.subarray(2, 8).toString('hex'));
say(String(bytes.indexOf('lo')));
say(String(bytes.indexOf('none')));
say(String(Buffer.compare(Buffer.from('ab'), Buffer.from('abc'))));
say(String(Buffer.concat([view, bytes]).length));
try {
  numbers.readUInt32BE(13);
} catch (error) {
  say(error.code === 'ERR_OUT_OF_RANGE' ? 'out-of-range' : error.code);
}
