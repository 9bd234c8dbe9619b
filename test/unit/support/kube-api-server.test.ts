import { request } from 'node:https';
import t, { type Test } from 'tap';
import { ApiServer } from '../../support/kube/api-server.ts';
import { nodeObject } from '../../support/kube/node-object.ts';
import { failure } from '../../support/kube/store.ts';
import { notInstalled } from '../../support/requirements.ts';

// The API server of the tests' own: what a client's tests rest on.

const skip = notInstalled('openssl');

interface Reply {
  status: number;
  // biome-ignore lint/suspicious/noExplicitAny: JSON of the server
  body: any;
}

interface Ask {
  method?: string;
  token?: string;
}

/** A request with its answer, as an ordinary client makes it: with the authority's certificate, and nothing else to trust. */
function ask(api: ApiServer, path: string, { method = 'GET', token = api.token }: Ask = {}): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}` };
    const options = { method, headers, ca: api.certificates.ca, agent: false, timeout: 500 };
    const asked = request(`${api.url()}${path}`, options, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (more: string) => {
        text += more;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) }));
      response.on('error', reject);
    });
    asked.on('error', reject);
    asked.on('timeout', () => asked.destroy(new Error('no answer')));
    asked.end();
  });
}

/** A watch: the lines that came, and how it ended. */
function watch(api: ApiServer, query = '') {
  const lines: { type: string; object: { metadata: { name?: string; resourceVersion?: string }; code?: number } }[] =
    [];
  const headers = { authorization: `Bearer ${api.token}` };
  let rest = '';
  const opened = Promise.withResolvers<number>();
  const ended = Promise.withResolvers<'end' | 'error'>();
  const asked = request(
    `${api.url()}/api/v1/nodes?watch=true${query}`,
    { headers, ca: api.certificates.ca, agent: false },
    (response) => {
      opened.resolve(response.statusCode ?? 0);
      response.setEncoding('utf8').on('data', (more: string) => {
        const parts = (rest + more).split('\n');
        rest = parts.pop() ?? '';
        for (const line of parts) lines.push(JSON.parse(line));
      });
      response.on('end', () => ended.resolve('end'));
      response.on('error', () => ended.resolve('error'));
    },
  );
  asked.on('error', () => ended.resolve('error'));
  asked.end();
  const said = () =>
    lines.map(({ type, object }) => `${type} ${object.metadata.name ?? object.metadata.resourceVersion}`);
  return { lines, said, opened: opened.promise, ended: ended.promise, close: () => asked.destroy() };
}

/** Waits until the condition holds; a test that fails says what it saw last. */
async function until(holds: () => boolean): Promise<void> {
  for (let tries = 0; !holds() && tries < 200; tries++) await new Promise((resolve) => setTimeout(resolve, 10));
}

async function serverWith(t: Test, ...names: string[]): Promise<ApiServer> {
  const api = await ApiServer.create(t);
  for (const [n, name] of names.entries())
    api.store.put(nodeObject(name, { podCIDRs: [`10.244.${n}.0/24`], addresses: [`192.0.2.${n}`] }));
  return api;
}

t.test('nodes are listed and got, with the token alone', { skip }, async (t) => {
  const api = await serverWith(t, 'b', 'a');
  const { status, body } = await ask(api, '/api/v1/nodes');
  t.equal(status, 200);
  t.equal(body.kind, 'NodeList');
  t.equal(body.metadata.resourceVersion, '1002');
  t.strictSame(
    body.items.map((node: { metadata: { name: string } }) => node.metadata.name),
    ['a', 'b'],
  );
  t.match((await ask(api, '/api/v1/nodes/b')).body, {
    metadata: { name: 'b', resourceVersion: '1001' },
    spec: { podCIDR: '10.244.0.0/24', podCIDRs: ['10.244.0.0/24'] },
    status: { addresses: [{ type: 'InternalIP', address: '192.0.2.0' }] },
  });
  t.match(await ask(api, '/api/v1/nodes/c'), { status: 404, body: { kind: 'Status', reason: 'NotFound' } });
  t.match(await ask(api, '/api/v1/nodes', { token: 'another' }), { status: 401, body: { reason: 'Unauthorized' } });
  api.store.delete('a');
  const one = await ask(api, '/api/v1/nodes?fieldSelector=metadata.name%3Db');
  t.equal(one.body.items.length, 1);
  t.strictSame(api.beyondRights, []);
});

t.test('everything but get, list and watch of nodes is forbidden, and remembered', { skip }, async (t) => {
  const api = await serverWith(t, 'a');
  for (const [method, path] of [
    ['PATCH', '/api/v1/nodes/a'],
    ['PUT', '/api/v1/nodes/a/status'],
    ['DELETE', '/api/v1/nodes'],
    ['GET', '/api/v1/nodes/a/proxy/'],
    ['GET', '/api/v1/pods'],
    ['GET', '/version'],
  ] as const)
    t.match(await ask(api, path, { method }), { status: 403, body: { reason: 'Forbidden' } }, `${method} ${path}`);
  t.strictSame(api.beyondRights, [
    'PATCH /api/v1/nodes/a',
    'PUT /api/v1/nodes/a/status',
    'DELETE /api/v1/nodes',
    'GET /api/v1/nodes/a/proxy/',
    'GET /api/v1/pods',
    'GET /version',
  ]);
});

t.test('a list comes in parts of one version, and the rest of it may be forgotten', { skip }, async (t) => {
  const api = await serverWith(t, 'a', 'b', 'c');
  const first = (await ask(api, '/api/v1/nodes?limit=2')).body;
  t.equal(first.items.length, 2);
  api.store.put(nodeObject('d'));
  const second = (await ask(api, `/api/v1/nodes?limit=2&continue=${first.metadata.continue}`)).body;
  t.strictSame(
    [second.items.map((node: { metadata: { name: string } }) => node.metadata.name), second.metadata],
    [['c'], { resourceVersion: '1003' }],
    'what was added in between is no part of it',
  );
  api.largestPart = 1;
  const part = (await ask(api, '/api/v1/nodes')).body;
  t.equal(part.items.length, 1, 'a server may give fewer than it was asked for');
  api.store.compact();
  t.match(await ask(api, `/api/v1/nodes?continue=${part.metadata.continue}`), {
    status: 410,
    body: { reason: 'Expired' },
  });
});

t.test('a watch begins after a version, and says what changes', { skip }, async (t) => {
  const api = await serverWith(t, 'a', 'b');
  const all = watch(api);
  const later = watch(api, '&resourceVersion=1001&allowWatchBookmarks=true');
  const one = watch(api, '&fieldSelector=metadata.name%3Da');
  await Promise.all([all.opened, later.opened, one.opened]);
  await until(() => api.openWatches === 3);
  api.store.put(nodeObject('a', { addresses: ['192.0.2.77'] }));
  api.store.delete('b');
  api.bookmark();
  await until(() => later.lines.length === 4 && all.lines.length === 4 && one.lines.length === 2);
  t.strictSame(all.said(), ['ADDED a', 'ADDED b', 'MODIFIED a', 'DELETED b']);
  t.strictSame(later.said(), ['ADDED b', 'MODIFIED a', 'DELETED b', 'BOOKMARK 1004']);
  t.strictSame(one.said(), ['ADDED a', 'MODIFIED a']);
  t.match(later.lines[2]?.object.metadata, { resourceVersion: '1004' }, 'a deletion has a version of its own');
  api.endWatches();
  t.strictSame(await Promise.all([all.ended, later.ended, one.ended]), ['end', 'end', 'end']);
  const short = watch(api, '&timeoutSeconds=1');
  t.equal(await short.ended, 'end', 'a watch has the end that it was asked to have');
});

t.test('a version that is forgotten is gone, told in either way', { skip }, async (t) => {
  const api = await serverWith(t, 'a');
  api.store.compact();
  const told = watch(api, '&resourceVersion=1001');
  t.equal(await told.opened, 200);
  t.equal(await told.ended, 'end');
  t.match(told.lines, [{ type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired' } }]);
  api.goneAs = 'status';
  t.match(await ask(api, '/api/v1/nodes?watch=true&resourceVersion=1001'), { status: 410, body: { code: 410 } });
});

t.test('a server that was restored from a backup is silent for those who know more than it', { skip }, async (t) => {
  const api = await serverWith(t, 'a', 'b', 'c');
  const ahead = watch(api, '&resourceVersion=1003&allowWatchBookmarks=true');
  await ahead.opened;
  await until(() => api.openWatches === 1);
  api.store.restore(2);
  api.store.put(nodeObject('d'));
  api.bookmark();
  await until(() => ahead.lines.length === 1);
  t.strictSame(ahead.said(), ['BOOKMARK 1002']);
});

t.test('bad days', { skip }, async (t) => {
  const api = await serverWith(t, 'a');
  await t.test('a list is empty by mistake, so many times', async (t) => {
    api.emptyLists = 1;
    t.equal((await ask(api, '/api/v1/nodes')).body.items.length, 0);
    t.equal((await ask(api, '/api/v1/nodes')).body.items.length, 1);
  });
  await t.test('errors', async (t) => {
    api.failing = failure(503, 'ServiceUnavailable', 'etcd');
    t.match(await ask(api, '/api/v1/nodes'), { status: 503, body: { message: 'etcd' } });
    api.failing = undefined;
  });
  await t.test('slow answers, and none', async (t) => {
    api.delayMs = 200;
    const before = Date.now();
    t.equal((await ask(api, '/api/v1/nodes')).status, 200);
    t.ok(Date.now() - before >= 200);
    api.delayMs = 0;
    api.hanging = true;
    await t.rejects(ask(api, '/api/v1/nodes'), /no answer/);
    api.hanging = false;
  });
  await t.test('a connection that is open and dead', async (t) => {
    const dead = watch(api, '&resourceVersion=1001');
    await dead.opened;
    await until(() => api.openWatches === 1);
    api.muteWatches();
    t.equal(api.openWatches, 0);
    const living = watch(api, '&resourceVersion=1001');
    await living.opened;
    await until(() => api.openWatches === 1);
    api.store.put(nodeObject('b'));
    await until(() => living.lines.length === 1);
    t.strictSame([living.said(), dead.said()], [['ADDED b'], []]);
    api.dropConnections();
    t.strictSame(await Promise.all([living.ended, dead.ended]), ['error', 'error']);
  });
  await t.test('away, and back at the same port', async (t) => {
    const { port } = api;
    await api.stop();
    await t.rejects(ask(api, '/api/v1/nodes'), { code: 'ECONNREFUSED' });
    await api.start();
    t.equal(api.port, port);
    t.equal((await ask(api, '/api/v1/nodes')).status, 200);
  });
});

t.test('a kubeconfig has all that a client needs', { skip }, async (t) => {
  const api = await ApiServer.create(t, { addresses: ['127.0.0.1', '2001:db8::1'] });
  t.equal(api.url('2001:db8::1'), `https://[2001:db8::1]:${api.port}`);
  t.match(JSON.parse(api.kubeconfig()), {
    clusters: [{ cluster: { server: `https://127.0.0.1:${api.port}` } }],
    users: [{ user: { token: 'token-of-the-agent' } }],
  });
});
