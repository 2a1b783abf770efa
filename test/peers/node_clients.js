// Node's own HTTP clients against http-echo: `node node_clients.js URL`. Prints one word a case.
'use strict';
const assert = require('node:assert');
const http = require('node:http');

const url = process.argv[2];
const body = Buffer.alloc(300000, 'leat ');

function ask(agent, method, path, content) {
    return new Promise((resolve, reject) => {
        const options = {agent, method, headers: {'X-Asked': path}};
        const request = http.request(url + path, options, (response) => {
            const port = response.socket.localPort;
            const pieces = [];
            response.on('data', (piece) => pieces.push(piece));
            response.on('end', () => resolve({status: response.statusCode,
                                              port,
                                              body: Buffer.concat(pieces)}));
            response.on('error', reject);
        });
        request.on('error', reject);
        request.end(content);
    });
}

// node:http, with four connections that are kept.
async function keeps_connections() {
    const agent = new http.Agent({keepAlive: true, maxSockets: 4});
    const answers = await Promise.all(Array.from({length: 200}, (_, i) =>
        i % 3 === 0 ? ask(agent, 'POST', `/p${i}`, body) : ask(agent, 'GET', `/g${i}`)));
    answers.forEach((answer, i) => {
        assert.strictEqual(answer.status, 200);
        assert.ok(answer.body.equals(i % 3 === 0 ? body : Buffer.from('OK\n')), `body of ${i}`);
    });
    assert.strictEqual(new Set(answers.map((answer) => answer.port)).size, 4);
    agent.destroy();
}

// fetch, which is undici: keep-alive, a body of unknown length in chunks, an answer left unread.
async function fetches() {
    const answers = await Promise.all(Array.from({length: 100}, (_, i) =>
        fetch(`${url}/f${i}`, i % 2 ? {method: 'POST', body} : {}).then((r) => r.arrayBuffer())));
    answers.forEach((got, i) =>
        assert.ok(Buffer.from(got).equals(i % 2 ? body : Buffer.from('OK\n')), `body of ${i}`));
    const pieces = new ReadableStream({
        start(controller) {
            for (let i = 0; i < 10; i++)
                controller.enqueue(body.subarray(0, 1000));
            controller.close();
        },
    });
    const chunked = await fetch(`${url}/chunked`, {method: 'POST', body: pieces, duplex: 'half'});
    assert.strictEqual((await chunked.arrayBuffer()).byteLength, 10000);
    const left = await fetch(`${url}/left`, {method: 'POST', body});
    await left.body.cancel();
    assert.strictEqual((await fetch(`${url}/after`)).status, 200);
}

(async () => {
    for (const work of [keeps_connections, fetches]) {
        await work();
        console.log(work.name);
    }
})();
