// Close callbacks come after the check phase of their turn, and before timers.
const say = require('./trace.js');
const net = require('net');
const server = net.createServer((socket) => {
  server.close();
  socket.end('x');
});
server.listen(0, '127.0.0.1', () => {
  const socket = net.connect(server.address().port, '127.0.0.1');
  socket.once('data', () => {
    say('data');
    socket.on('close', () => {
      say('close');
      process.nextTick(() => say('close-tick'));
    });
    setTimeout(() => say('timer'), 0);
    setImmediate(() => say('immediate'));
    socket.destroy();
    process.nextTick(() => say('tick'));
  });
});
