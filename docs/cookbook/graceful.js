// A graceful end: who is being served is served to the end, then the program goes.
const http = require('node:http');
const { setTimeout: delay } = require('node:timers/promises');

const server = http.createServer(async (req, res) => {
  res.write('it takes a moment ...\n');
  await delay(100);
  res.end('here it is\n');
});
server.listen(0, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
process.on('SIGTERM', () => server.close(() => console.log('all are served')));
