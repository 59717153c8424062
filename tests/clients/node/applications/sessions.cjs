// Express with sessions in connect-redis: who is logged in stays so.
'use strict';

const express = require('express');
const session = require('express-session');
const { RedisStore } = require('connect-redis');
const { assert, nodeRedis, run, sleep, until } = require('./application.cjs');

const USERS = 10;
const VISITS = 60;
const SHORT_MS = 1000;

function application(store) {
  const app = express();
  app.use(session({
    store, secret: 'not one', resave: false, saveUninitialized: false, rolling: true,
  }));
  app.get('/login/:user', (request, response) => {
    request.session.user = request.params.user;
    request.session.visits = 0;
    if (request.query.short) request.session.cookie.maxAge = SHORT_MS;
    response.json(request.session);
  });
  app.get('/visit', (request, response) => {
    if (!request.session.user) return response.status(401).json({});
    request.session.visits += 1;
    return response.json(request.session);
  });
  app.get('/logout', (request, response, next) => {
    request.session.destroy((error) => (error ? next(error) : response.json({})));
  });
  return new Promise((resolve) => {
    const server = app.listen(0, '127.0.0.1', () => resolve(server.address().port));
  });
}

// A browser that keeps its cookie.
function browser(port) {
  let cookie = '';
  return async (path) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { cookie } });
    cookie = response.headers.getSetCookie()[0]?.split(';')[0] ?? cookie;
    return { status: response.status, body: await response.json() };
  };
}

async function sessions() {
  const client = await nodeRedis();
  const store = new RedisStore({ client, prefix: 'session:' });
  const port = await application(store);
  const visitors = Array.from({ length: USERS }, () => browser(port));
  await Promise.all(visitors.map(async (get, user) => {
    await get(`/login/user${user}`);
    for (let visit = 1; visit <= VISITS; visit += 1) {
      const { body } = await get('/visit');
      assert.deepEqual([body.user, body.visits], [`user${user}`, visit]);
      await sleep(Math.random() * 40);
    }
  }));
  await forgets(store, visitors, browser(port));
}

// Sessions end when their user says so, and when their time is over.
async function forgets(store, visitors, guest) {
  await guest('/login/guest?short=yes');
  assert.equal((await guest('/visit')).body.visits, 1);
  await visitors[0]('/logout');
  assert.equal((await visitors[0]('/visit')).status, 401);
  assert.equal((await visitors[1]('/visit')).status, 200);
  await sleep(SHORT_MS + 200);
  assert.equal((await guest('/visit')).status, 401);
  await until(async () => await store.length() === USERS - 1, 'all other sessions');
  assert.deepEqual((await store.all()).map((one) => one.user).sort(),
    Array.from({ length: USERS - 1 }, (_, i) => `user${i + 1}`));
  await store.clear();
  assert.equal((await visitors[1]('/visit')).status, 401);
}

run(sessions);
