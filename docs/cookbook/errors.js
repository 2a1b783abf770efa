// A server whose handlers fail, and the one place that tells the client.
const http = require('node:http');
const status = { ENOENT: 404, EACCES: 403 };

const routes = {
  '/': async (req, res) => { res.end('fine\n'); },
  '/lost': async () => { throw Object.assign(new Error('lost'), { code: 'ENOENT' }); },
  '/secret': async () => { throw Object.assign(new Error('secret'), { code: 'EACCES' }); },
  '/broken': async () => { throw new Error('broken'); },
};

function onError(error, res) {
  res.statusCode = status[error.code] ?? 500;
  res.end(`sorry: ${res.statusCode}\n`);
}

const server = http.createServer(async (req, res) => {
  try {
    const route = routes[req.url];
    if (!route) throw Object.assign(new Error('no route'), { code: 'ENOENT' });
    await route(req, res);
  } catch (error) {
    onError(error, res);
  }
});
server.listen(0, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
process.on('SIGTERM', () => server.close());
