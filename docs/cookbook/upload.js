// An upload: the body goes to a file as it comes, and the client is slowed down, not stored.
const fs = require('node:fs');
const http = require('node:http');
const { pipeline } = require('node:stream/promises');
const path = `/tmp/leat-cookbook-${process.pid}`;

const routes = {
  async PUT(req, res) {
    await pipeline(req, fs.createWriteStream(path));
    res.statusCode = 201;
    res.end('kept\n');
  },
  async GET(req, res) {
    res.end(await fs.promises.readFile(path));
  },
  async DELETE(req, res) {
    await fs.promises.unlink(path);
    res.end('gone\n');
  },
};

const server = http.createServer(async (req, res) => {
  try {
    await routes[req.method](req, res);
  } catch (error) {
    res.statusCode = error.code === 'ENOENT' ? 404 : 500;
    res.end('sorry\n');
  }
});
server.listen(0, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
process.on('SIGTERM', () => server.close());
