// A client of Node: 300 requests, some at once, over few connections that it keeps. It
// says how often it got which answer. Usage: node ask.js http://HOST:PORT, or h2://…
'use strict';
const crypto = require('crypto');
const http = require('http');
const http2 = require('http2');

const url = process.argv[2];
const bodies = ['', 'x', 'y'.repeat(100000)];
const wishes = [];
for (let i = 0; i < 300; i++) {
  const path = ['/small', '/empty', '/missing', '/echo', '/redirect'][i % 5];
  const body = bodies[i % 3];
  wishes.push({ method: path === '/echo' ? 'POST' : 'GET', path, body });
}
const seen = {};
let left = wishes.length;
let done = () => {};

// note counts an answer by its status and its content.
function note(wish, status, parts) {
  const sum = crypto.createHash('sha256').update(Buffer.concat(parts)).digest('hex').slice(0, 12);
  const key = `${wish.method} ${wish.path} ${wish.body.length} ${status} ${sum}`;
  seen[key] = (seen[key] || 0) + 1;
  if (--left > 0) return;
  for (const k of Object.keys(seen).sort()) console.log(seen[k], k);
  done();
}

function collect(stream, wish, status) {
  const parts = [];
  stream.on('data', (b) => parts.push(b));
  stream.on('end', () => note(wish, status(), parts));
  stream.on('error', (e) => note(wish, e.code, []));
}

if (url.startsWith('h2:')) {
  const session = http2.connect('http' + url.slice(2));
  done = () => session.close();
  for (const wish of wishes) {
    const stream = session.request({ ':method': wish.method, ':path': wish.path }, { endStream: wish.method === 'GET' });
    let status = 0;
    stream.on('response', (h) => (status = h[':status']));
    collect(stream, wish, () => status);
    if (wish.method !== 'GET') stream.end(wish.body);
  }
} else {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
  done = () => agent.destroy();
  for (const wish of wishes) {
    // Without a length, Node sends a body in chunks.
    const req = http.request(url + wish.path, { method: wish.method, agent }, (res) => collect(res, wish, () => res.statusCode));
    req.on('error', (e) => note(wish, e.code, []));
    if (wish.method === 'POST') req.write(wish.body);
    req.end();
  }
}
