// The site for Node: HTTP/1 at 8080, HTTP/2 with prior knowledge at 8081.
'use strict';
const http = require('http');
const http2 = require('http2');

const small = Buffer.from('0123456789abcde\n'.repeat(64));
const large = Buffer.alloc(1 << 20, small);
const tag = '"small"';

// echo answers with what the application got: request line, header, body and trailer.
function echo(req, res) {
  const parts = [];
  req.on('data', (b) => parts.push(b));
  req.on('end', () => {
    const fields = (raw) => raw.map((text, i) => text + (i % 2 ? '\n' : ': ')).join('');
    const head = `${req.method} ${req.url} HTTP/${req.httpVersion}\n` + fields(req.rawHeaders) + '\n';
    const body = Buffer.concat([Buffer.from(head, 'latin1'), ...parts, Buffer.from('\n' + fields(req.rawTrailers), 'latin1')]);
    res.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': body.length });
    res.end(body);
  });
}

function send(res, body) {
  res.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': body.length });
  res.end(body);
}

const paths = {
  '/echo': echo,
  '/empty': (req, res) => send(res, ''),
  '/large': (req, res) => send(res, large),
  '/small': (req, res) => {
    if (req.headers['if-none-match'] === tag) {
      res.writeHead(304, { ETag: tag });
      return res.end();
    }
    res.setHeader('ETag', tag);
    send(res, small);
  },
  '/chunked': (req, res) => {
    res.writeHead(200, { 'Content-Type': 'text/plain' });
    res.write('one\n');
    res.write('two, which is longer\n');
    res.end(small);
  },
  '/events': (req, res) => {
    res.writeHead(200, { 'Content-Type': 'text/event-stream' });
    let n = 0;
    const next = () => (n < 5 ? res.write(`id: ${n++}\ndata: event\n\n`, () => setImmediate(next)) : res.end());
    next();
  },
  '/redirect': (req, res) => {
    res.writeHead(302, { Location: '/small', 'Content-Length': 0 });
    res.end();
  },
  '/nothing': (req, res) => {
    res.writeHead(204);
    res.end();
  },
  '/trailers': (req, res) => {
    res.writeHead(200, { 'Content-Type': 'text/plain', Trailer: 'X-Sum' });
    res.write('the body\n');
    res.addTrailers({ 'X-Sum': 'done' });
    res.end();
  },
  '/early': (req, res) => {
    res.writeHead(413, { 'Content-Length': 0 });
    res.end();
  },
  '/hints': (req, res) => {
    res.writeEarlyHints({ link: '</small>; rel=preload' });
    send(res, 'hinted\n');
  },
  // An answer without length, which ends with the connection.
  '/close': (req, res) => {
    res.shouldKeepAlive = false;
    res.useChunkedEncodingByDefault = false;
    res.sendDate = false;
    res.removeHeader('Transfer-Encoding');
    res.writeHead(200, { 'Content-Type': 'text/plain', Connection: 'close' });
    res.end('until the end\n');
  },
};
paths['/'] = paths['/small'];

function serve(req, res) {
  const path = paths[req.url.replace(/^http:\/\/[^/]*/, '').split('?')[0]];
  if (path) return path(req, res);
  res.writeHead(404, { 'Content-Type': 'text/plain', 'Content-Length': 10 });
  res.end('not found\n');
}

const server = http.createServer({ keepAliveTimeout: 75000 }, serve);
server.on('upgrade', (req, socket, head) => {
  socket.on('error', () => {});
  socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
  socket.write(head);
  socket.pipe(socket);
});
server.on('connect', (req, socket, head) => {
  socket.on('error', () => {});
  socket.write('HTTP/1.1 200 Connected\r\n\r\n');
  socket.write(head);
  socket.pipe(socket);
});
server.listen(8080);
http2.createServer(serve).listen(8081);
