// CORS: pages of one other site may ask, and are told what they may.
const http = require('node:http');
const SITE = 'https://shop.example';

function cors(req, res, next) {
  res.setHeader('Vary', 'Origin');
  if (req.headers.origin === SITE) {
    res.setHeader('Access-Control-Allow-Origin', SITE);
    res.setHeader('Access-Control-Allow-Methods', 'GET, PUT');
    res.setHeader('Access-Control-Max-Age', '600');
  }
  if (req.method !== 'OPTIONS') return next(req, res);
  res.statusCode = 204;
  res.end();
}

function price(req, res) {
  res.setHeader('Content-Type', 'application/json');
  res.end('{"price":7}');
}

const server = http.createServer((req, res) => cors(req, res, price));
server.listen(0, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
process.on('SIGTERM', () => server.close());
