// A handler that waits: what /proc says of this machine.
const fs = require('node:fs/promises');
const http = require('node:http');

const server = http.createServer(async (req, res) => {
  try {
    const text = await fs.readFile(`/proc/${req.url.slice(1)}`);
    res.setHeader('Content-Type', 'text/plain');
    res.end(text);
  } catch {
    res.statusCode = 404;
    res.end('nothing of that name\n');
  }
});
server.listen(0, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
process.on('SIGTERM', () => server.close());
