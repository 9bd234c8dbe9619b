import t from 'tap';
import { Cluster } from '../../support/kube/cluster.ts';
import { nodeObject } from '../../support/kube/node-object.ts';
import { failure } from '../../support/kube/store.ts';
import { missing } from '../../support/requirements.ts';

// The API server's bad days: routes stay as they are until it is sure what they should be, and then they are so.

const skip = missing('curl');
t.setTimeout(300_000);

const same = (wanted: string[]) => (have: string[]) => JSON.stringify(have) === JSON.stringify(wanted);
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Two nodes with agents whose patience is short, and a third one that only the API server knows. */
async function twoAndOne(t: Parameters<typeof Cluster.create>[0], ...flags: string[]) {
  const cluster = await Cluster.create(t, { links: [1, 1], flags });
  const third = nodeObject('node-9', {
    podCIDRs: ['10.244.9.0/24', 'fd00:10:244:9::/64'],
    addresses: ['192.0.2.9', '2001:db8:1::9'],
  });
  cluster.api.store.put(third);
  await cluster.start();
  return { cluster, one: cluster.node(1), third, api: cluster.api };
}

t.test('the server is away', { skip }, async (t) => {
  const { one, third, api } = await twoAndOne(t, '--removal-delay', '5');
  const all = one.rangesOf(2, 9);
  t.strictSame(await one.destinations(), all);
  await api.stop();
  await pause(3000);
  t.strictSame(await one.destinations(), all, 'routes stay');
  t.equal((await one.ask('/readyz')).status, 200, 'a node that was ready remains so');
  t.equal((await one.ask('/healthz')).status, 200);
  t.ok((await one.metric('tsbridge_agent_errors_total', 'in="api"')) > 0, 'it is counted');
  t.ok((await one.metric('tsbridge_agent_last_event_age_seconds')) >= 2);
  const lines = one.agent?.complaints.length ?? 0;
  t.ok(lines > 0 && lines < 30, `and said, ${lines} times`);

  // While it is away somebody removes a route: the agent knows it by heart.
  one.shell('ip route del 10.244.9.0/24');
  t.strictSame(await Cluster.settled(() => one.destinations(), same(all)), all, 'a route that is removed comes back');

  // What changes while it is away is seen when it is back, whether or not it remembers the agent's version.
  api.store.delete('node-9');
  api.store.compact();
  await api.start();
  const later = await Cluster.settled(() => one.destinations(), same(one.rangesOf(2)), 90_000);
  t.strictSame(later, one.rangesOf(2));
  api.store.put(third);
  t.strictSame(await Cluster.settled(() => one.destinations(), same(all)), all);
});

t.test('away when the agent starts: what an agent has made before stays', { skip }, async (t) => {
  const { one, api } = await twoAndOne(t);
  const all = one.rangesOf(2, 9);
  await one.agent?.stop('SIGKILL');
  await api.stop();
  one.startAgent();
  await pause(3000);
  t.strictSame(await one.destinations(), all);
  t.equal((await one.ask('/readyz')).status, 503, 'it is not ready before it knows');
  t.equal((await one.ask('/healthz')).status, 200, 'and well, so that nobody restarts it again and again');
  await api.start();
  await one.ready(60_000);
  t.strictSame(await one.destinations(), all);
});

t.test('an empty list by mistake', { skip }, async (t) => {
  const { one, api } = await twoAndOne(t);
  const all = one.rangesOf(2, 9);
  await t.test('while the agent runs', async (t) => {
    api.emptyLists = 1;
    api.store.compact();
    api.dropConnections();
    await Cluster.settled(
      () => api.emptyLists,
      (n) => n === 0,
    );
    await pause(1000);
    t.equal(api.emptyLists, 0, 'it was asked for');
    t.strictSame(await one.destinations(), all);
  });
  await t.test('when it starts', async (t) => {
    await one.agent?.stop();
    api.emptyLists = 1;
    one.startAgent();
    await Cluster.settled(
      () => api.emptyLists,
      (n) => n === 0,
    );
    await pause(1000);
    t.strictSame(await one.destinations(), all);
    await one.ready(60_000);
  });
  await t.test('a list with its own node and no other is doubted for a while', async (t) => {
    await one.agent?.stop();
    one.startAgent('--removal-delay', '3');
    await one.ready();
    for (const name of ['node-2', 'node-9']) api.store.delete(name);
    t.strictSame(await Cluster.settled(() => one.destinations(), same([])), [], 'what a watch says is sure');
    api.store.put(cluster2());
    t.strictSame(await Cluster.settled(() => one.destinations(), same(one.rangesOf(2))), one.rangesOf(2));
    await api.stop();
    api.store.delete('node-2');
    api.store.compact();
    await api.start();
    const before = Date.now();
    t.strictSame(await Cluster.settled(() => one.destinations(), same([]), 90_000), []);
    t.ok(Date.now() - before >= 3000, `its route was gone after ${Date.now() - before} ms`);
    function cluster2() {
      return nodeObject('node-2', {
        podCIDRs: ['10.244.2.0/24', 'fd00:10:244:2::/64'],
        addresses: ['192.0.2.2', '2001:db8:1::2'],
      });
    }
  });
});

for (const goneAs of ['event', 'status'] as const) {
  t.test(`410 as ${goneAs === 'event' ? 'an event' : 'a status'}: the list is read anew`, { skip }, async (t) => {
    const { one, api } = await twoAndOne(t);
    api.goneAs = goneAs;
    api.store.put(nodeObject('node-8', { podCIDRs: ['10.244.8.0/24'], addresses: ['192.0.2.8'] }));
    await Cluster.settled(
      () => one.destinations(),
      (have) => have.includes('10.244.8.0/24'),
    );
    const lists = () => api.asked.filter(({ verb }) => verb === 'list').length;
    const before = lists();
    api.store.compact();
    api.dropConnections();
    await Cluster.settled(lists, (n) => n >= before + 2);
    t.ok(lists() >= before + 2, 'each of the agents has read it');
    api.store.delete('node-8');
    const wanted = one.rangesOf(2, 9);
    t.strictSame(await Cluster.settled(() => one.destinations(), same(wanted)), wanted);
  });
}

t.test('a watch that ends, is dropped, or says nothing any more', { skip }, async (t) => {
  const { one, api } = await twoAndOne(t, '--watch-idle', '3');
  const add = (n: number) =>
    api.store.put(nodeObject(`node-${n}`, { podCIDRs: [`10.244.${n}.0/24`], addresses: [`192.0.2.${n}`] }));
  const knows = async (n: number, ms: number) =>
    (
      await Cluster.settled(
        () => one.destinations(),
        (have) => have.includes(`10.244.${n}.0/24`),
        ms,
      )
    ).includes(`10.244.${n}.0/24`);
  const lists = api.asked.filter(({ verb }) => verb === 'list').length;
  api.endWatches();
  add(20);
  t.ok(await knows(20, 5000), 'ended in good order');
  await Cluster.settled(
    () => api.openWatches,
    (n) => n === 2,
  );
  api.dropConnections();
  const version = String(api.store.version);
  add(21);
  t.ok(await knows(21, 10_000), 'dropped');
  t.equal(
    api.asked.findLast(({ verb }) => verb === 'watch')?.query.resourceVersion,
    version,
    'it goes on from where it was',
  );
  api.muteWatches();
  add(22);
  t.ok(await knows(22, 15_000), 'fallen silent: a new one is begun in time');
  api.sendRaw('{"type":"MODIFIED","object":{"kind":"No');
  api.endWatches();
  add(23);
  t.ok(await knows(23, 15_000), 'cut off in the middle of a line');
  api.sendRaw('this is no JSON\n');
  add(24);
  t.ok(await knows(24, 30_000), 'a line that is no JSON');
  t.equal(
    api.asked.filter(({ verb, query }) => verb === 'list' && query.continue === undefined).length,
    lists,
    'none of which is a reason to read all nodes again',
  );
  t.strictSame(api.beyondRights, []);
});

t.test('a server that was restored from a backup', { skip }, async (t) => {
  const { one, api } = await twoAndOne(t);
  for (let n = 20; n < 25; n++)
    api.store.put(nodeObject(`node-${n}`, { podCIDRs: [`10.244.${n}.0/24`], addresses: [`192.0.2.${n}`] }));
  await Cluster.settled(
    () => one.destinations(),
    (have) => have.includes('10.244.24.0/24'),
  );
  // It knows all nodes, and less of their history than the agents, who would wait for ever for what comes after their version.
  api.store.restore(4);
  api.store.put(nodeObject('node-30', { podCIDRs: ['10.244.30.0/24'], addresses: ['192.0.2.30'] }));
  t.notOk((await one.destinations()).includes('10.244.30.0/24'));
  api.bookmark();
  const later = await Cluster.settled(
    () => one.destinations(),
    (have) => have.includes('10.244.30.0/24'),
  );
  t.ok(later.includes('10.244.30.0/24'), 'a bookmark tells them');
});

t.test('a token that is refused, and a server that fails', { skip }, async (t) => {
  const { one, api } = await twoAndOne(t);
  const all = one.rangesOf(2, 9);
  for (const status of [
    failure(401, 'Unauthorized', 'x'),
    failure(403, 'Forbidden', 'x'),
    failure(503, 'Unavailable', 'x'),
    failure(429, 'TooManyRequests', 'x'),
  ]) {
    api.failing = status;
    api.dropConnections();
    const asked = api.asked.length;
    await pause(4000);
    t.ok(
      api.asked.length - asked < 30,
      `${status.code}: two agents asked ${api.asked.length - asked} times in 4 s, no more often`,
    );
    t.ok(api.asked.length - asked >= 2, 'and did not give up');
    t.strictSame(await one.destinations(), all, 'routes stay');
    api.failing = undefined;
    await Cluster.settled(
      () => api.openWatches,
      (n) => n === 2,
      30_000,
    );
    t.equal(api.openWatches, 2, 'and once it answers again, it is watched');
    await pause(1500); // a watch that has lived so long is no failure, and the next one is tried again soon
  }
  api.store.delete('node-9');
  t.strictSame(await Cluster.settled(() => one.destinations(), same(one.rangesOf(2)), 60_000), one.rangesOf(2));
  t.match(one.agent?.complaints.join('\n'), /401/);
  t.match(one.agent?.complaints.join('\n'), /403|orbidden/);
});

t.test('slow answers, and lists in many parts', { skip }, async (t) => {
  const cluster = await Cluster.create(t, { links: [1] });
  const { api } = cluster;
  const ranges: string[] = [];
  for (let n = 10; n < 40; n++) {
    ranges.push(`10.244.${n}.0/24`);
    api.store.put(nodeObject(`node-${n}`, { podCIDRs: [`10.244.${n}.0/24`], addresses: [`192.0.2.${n}`] }));
  }
  api.largestPart = 4;
  api.delayMs = 300;
  await cluster.start();
  t.strictSame(await cluster.node(1).destinations(), ranges.sort());
  t.ok(api.asked.filter(({ verb, query }) => verb === 'list' && query.continue).length >= 7);
  t.ok(
    api.asked.every(({ verb, query }) => verb !== 'list' || Number(query.limit) > 0),
    'lists are asked for in parts',
  );
});
