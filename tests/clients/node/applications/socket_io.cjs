// socket.io on two servers that know of each other by Redis alone; argument 2 says how.
'use strict';

const http = require('node:http');
const { Server } = require('socket.io');
const { io } = require('socket.io-client');
const { createAdapter } = require('@socket.io/redis-adapter');
const streams = require('@socket.io/redis-streams-adapter');
const { assert, ioredis, run, sleep, until } = require('./application.cjs');

const CLIENTS = 6;
const MESSAGES = 150;
const ADAPTERS = {
  pubsub: () => createAdapter(ioredis(), ioredis()),
  streams: () => streams.createAdapter(ioredis(), { blockTimeInMs: 100 }),
};

// A server, and its clients with what each has heard.
async function serve(adapter, from) {
  const web = http.createServer();
  const server = new Server(web, { adapter, transports: ['websocket'] });
  server.on('connection', (socket) => {
    const { number } = socket.handshake.auth;
    socket.data.number = number;
    socket.join(number % 2 ? 'odd' : 'even');
    socket.on('say', (text) => socket.broadcast.emit('said', text));
  });
  await new Promise((resolve) => { web.listen(0, '127.0.0.1', resolve); });
  const url = `http://127.0.0.1:${web.address().port}`;
  const clients = Array.from({ length: CLIENTS / 2 }, (_, i) => connect(url, from + 2 * i));
  await until(() => clients.every(({ socket }) => socket.connected), 'clients');
  return { server, clients };
}

function connect(url, number) {
  const socket = io(url, { auth: { number }, transports: ['websocket'], reconnection: false });
  const heard = { all: [], room: [], said: [], left: false };
  for (const event of ['all', 'room', 'said']) {
    socket.on(event, (value) => heard[event].push(value));
  }
  socket.on('ask', (value, answer) => answer(value + number));
  socket.on('disconnect', () => { heard.left = true; });
  return { socket, number, heard };
}

async function talk() {
  const adapter = ADAPTERS[process.argv[3]];
  const [a, b] = [await serve(adapter(), 0), await serve(adapter(), 1)];
  const clients = [...a.clients, ...b.clients];
  await until(async () => (await a.server.fetchSockets()).length === CLIENTS, 'each other');
  await Promise.all([broadcasts(a, b, clients), asks(a)]);
  await says(clients);
  await manages(a, b, clients);
}

// Each message reaches all once and in its order, or all in a room.
async function broadcasts(a, b, clients) {
  for (let i = 0; i < MESSAGES; i += 1) {
    const { server } = i % 2 ? a : b;
    server.emit('all', i);
    server.to('odd').emit('room', i);
    await sleep(Math.random() * 30);
  }
  const ofServer = (list, side) => list.filter((i) => i % 2 === side);
  const wanted = Array.from({ length: MESSAGES }, (_, i) => i);
  for (const { heard, number } of clients) {
    const room = number % 2 ? wanted : [];
    await until(() => heard.all.length >= MESSAGES && heard.room.length >= room.length, 'all');
    // There is an order among what one server sends.
    for (const side of [0, 1]) {
      assert.deepEqual(ofServer(heard.all, side), ofServer(wanted, side));
      assert.deepEqual(ofServer(heard.room, side), ofServer(room, side));
    }
  }
}

// Every client answers, wherever it is connected.
async function asks({ server }) {
  for (let i = 0; i < 20; i += 1) {
    const answers = await server.timeout(10000).emitWithAck('ask', 100 * i);
    assert.deepEqual(answers.sort((x, y) => x - y),
      Array.from({ length: CLIENTS }, (_, number) => 100 * i + number));
    await sleep(50);
  }
}

// What one client says all others hear, and itself not.
async function says(clients) {
  clients.forEach(({ socket, number }) => socket.emit('say', number));
  for (const { heard, number } of clients) {
    await until(() => heard.said.length === CLIENTS - 1, 'what others say');
    assert.ok(!heard.said.includes(number));
  }
}

// One server knows, moves and ends the clients of the other.
async function manages(a, b, clients) {
  const numbers = (sockets) => sockets.map((socket) => socket.data.number).sort();
  assert.deepEqual(numbers(await a.server.in('odd').fetchSockets()), [1, 3, 5]);
  a.server.in('odd').socketsJoin('moved');
  await until(async () => (await b.server.in('moved').fetchSockets()).length === 3, 'the move');
  b.server.on('question', (value, answer) => answer(value + 1));
  assert.deepEqual(await a.server.serverSideEmitWithAck('question', 1), [2]);
  a.server.in('moved').disconnectSockets();
  await until(() => clients.every(({ heard, number }) => heard.left === (number % 2 === 1)), 'end');
  assert.deepEqual(numbers(await b.server.fetchSockets()), [0, 2, 4]);
}

run(talk);
