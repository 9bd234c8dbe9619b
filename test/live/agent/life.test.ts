import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Cluster, clusterPlan } from '../../support/kube/cluster.ts';
import { seenFrom, serve } from '../../support/kube/cluster-node.ts';
import { missing } from '../../support/requirements.ts';

// Nodes join, leave, change and come back; agents are killed, replaced and started twice. Routes follow, and pods do not notice.

const skip = missing('curl', 'ss');
t.setTimeout(300_000);

const same = (wanted: string[]) => (have: string[]) => JSON.stringify(have) === JSON.stringify(wanted);

t.test('a node joins, and is a route within a second', { skip }, async (t) => {
  const cluster = await Cluster.create(t, { links: [1, 1, 2] });
  for (const n of [1, 2]) cluster.node(n).register().startAgent();
  for (const n of [1, 2]) await cluster.node(n).ready();
  const [one, two, three] = [cluster.node(1), cluster.node(2), cluster.node(3)];
  t.strictSame(await one.destinations(), one.rangesOf(2));
  for (let time = 1; time <= 3; time++) {
    const before = Date.now();
    three.register();
    const all = await Cluster.settled(() => one.destinations(), same(one.rangesOf(2, 3)));
    const took = Date.now() - before;
    t.strictSame(all, one.rangesOf(2, 3));
    t.ok(took < 1000, `the route stood after ${took} ms`);
    t.strictSame(await Cluster.settled(() => two.destinations(), same(two.rangesOf(1, 3))), two.rangesOf(1, 3));
    const left = Date.now();
    cluster.api.store.delete(three.name);
    t.strictSame(await Cluster.settled(() => one.destinations(), same(one.rangesOf(2))), one.rangesOf(2));
    t.ok(Date.now() - left < 1000, `and was gone ${Date.now() - left} ms after the node was`);
  }
  t.equal(await one.metric('tsbridge_agent_nodes'), 1);
  for (const f of cluster.families)
    t.strictSame(
      one.host.attempt(['bridge', 'fdb', 'show', 'dev', `tsbridge.vx${f}`]).stdout.trim(),
      '',
      'nothing of it is left in the device',
    );
});

t.test('a node changes its address, and then its range', { skip }, async (t) => {
  // The connection to the API server is from the address that goes, and dies without a word.
  const cluster = await Cluster.create(t, { links: [1, 1, 2] });
  await cluster.start();
  const [one, two] = [cluster.node(1), cluster.node(2)];
  const pods = cluster.nodes.map((node) => node.pod());
  for (const pod of pods) await serve(t, pod);
  const reached = async () => {
    const seen = [];
    for (const f of cluster.families)
      for (const from of pods.slice(1)) seen.push(await seenFrom(from.container, (pods[0] as (typeof pods)[0]).ip[f]));
    return seen.every((address) => address !== '');
  };
  t.ok(await reached());

  // Another address on the same link: the machine has it first, then says so.
  two.shell('ip addr del 192.0.2.2/24 dev eth0', 'ip addr del 2001:db8:1::2/64 dev eth0');
  two.shell('ip addr add 192.0.2.77/24 dev eth0', 'ip addr add 2001:db8:1::77/64 dev eth0 nodad');
  two.shell('ip route replace default via 192.0.2.254', 'ip -6 route replace default via 2001:db8:1::fe');
  two.register({ addresses: ['192.0.2.77', '2001:db8:1::77'] });
  const [gateway] = await Cluster.settled(
    async () => (await one.routes(4)).filter(({ dst }) => dst === two.range(4)).map(({ gateway }) => gateway),
    ([gateway]) => gateway === '192.0.2.77',
  );
  t.equal(gateway, '192.0.2.77', 'the route goes to the new address');
  t.ok(await Cluster.settled(reached, (yes) => yes), 'and pods reach each other');

  // Node 3, beyond the router, has it as the far end of its tunnel.
  const [entry] = cluster
    .node(3)
    .host.bridge('fdb', 'show', 'dev', 'tsbridge.vx4')
    .filter((one: { dst: string }) => one.dst === '192.0.2.77');
  t.ok(entry, 'the tunnel from beyond the router as well');

  const moved = clusterPlan[4].range(42);
  two.register({ addresses: ['192.0.2.77', '2001:db8:1::77'], podCIDRs: [moved, two.range(6)] });
  const wanted = [moved, two.range(6), ...one.rangesOf(3)].sort();
  t.strictSame(await Cluster.settled(() => one.destinations(), same(wanted)), wanted, 'another range');
  const own = await Cluster.settled(
    () => two.conflist.plugins[0].ipam.ranges[0][0].subnet,
    (subnet) => subnet === moved,
  );
  t.equal(own, moved, 'and the node itself has it in its conflist');
});

t.test('a reboot: everything of the kernel is gone, and comes back', { skip }, async (t) => {
  const cluster = await Cluster.create(t, { links: [1, 2, 2] });
  await cluster.start();
  const two = cluster.node(2);
  const inode = statSync(two.conflistFile).ino;
  await two.reboot();
  t.strictSame(await two.destinations(), []);
  two.startAgent();
  await two.ready();
  t.strictSame(await two.destinations(), two.rangesOf(1, 3));
  t.equal(statSync(two.conflistFile).ino, inode, 'the conflist, which did not change, is not written again');
  const pods = cluster.nodes.map((node) => node.pod());
  for (const pod of pods) await serve(t, pod);
  for (const f of cluster.families)
    t.equal(await seenFrom(pods[0]?.container as never, pods[1]?.ip[f] as string), pods[0]?.ip[f]);
});

t.test('SIGTERM ends the agent within a second, and nothing changes by it', { skip }, async (t) => {
  const cluster = await Cluster.create(t, { links: [1, 1, 2] });
  await cluster.start();
  const one = cluster.node(1);
  const before = state();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const { status, signal: by, ms } = (await one.agent?.stop(signal)) ?? { status: -1, signal: null, ms: 0 };
    t.strictSame({ status, by }, { status: 0, by: null }, signal);
    t.ok(ms < 1000, `after ${ms} ms`);
    t.strictSame(state(), before);
    one.startAgent();
    await one.ready();
  }
  await t.test('while the API server does not answer', async (t) => {
    cluster.api.hanging = true;
    await one.agent?.stop();
    const agent = one.startAgent();
    await Cluster.settled(
      () => agent.text,
      (text) => text !== '',
    );
    const { status, ms } = await agent.stop();
    t.equal(status, 0);
    t.ok(ms < 1000, `after ${ms} ms`);
    t.strictSame(state(), before);
  });

  function state() {
    const show = (...words: string[]) => one.host.run(['ip', ...words]).replaceAll(/\d+(sec|ms)/g, '');
    return [
      show('route'),
      show('-6', 'route'),
      show('neighbour', 'show', 'nud', 'permanent'),
      ...[4, 6].map((f) => one.host.run(['bridge', 'fdb', 'show', 'dev', `tsbridge.vx${f}`])),
      readFileSync(one.conflistFile, 'utf8'),
    ];
  }
});

t.test('killed at any moment, the next one finishes its work', { skip }, async (t) => {
  const cluster = await Cluster.create(t, { links: [1, 1, 2] });
  for (const node of cluster.nodes) node.register();
  const one = cluster.node(1);
  // From before it has begun until after it is ready, which takes some hundred milliseconds.
  for (let ms = 0; ms <= 1200; ms += 60) {
    const agent = one.startAgent();
    await new Promise((resolve) => setTimeout(resolve, ms));
    await agent.stop('SIGKILL');
    // Half of the times there is more to do for the next one.
    if (ms % 120 === 0) {
      one.host.attempt(['ip', 'link', 'del', 'tsbridge.vx4']);
      one.host.attempt(['ip', 'route', 'flush', 'proto', '217']);
    }
    const half = existsSync(one.conflistFile) ? JSON.parse(readFileSync(one.conflistFile, 'utf8')) : undefined;
    if (half !== undefined)
      t.match(half, { plugins: [{ type: 'tsbridge' }] }, 'a conflist is there whole or not at all');
  }
  one.startAgent();
  await one.ready();
  t.strictSame(await one.destinations(), one.rangesOf(2, 3));
  t.strictSame(one.host.run(['ls', '-A', one.confDir]).trim(), '10-tsbridge.conflist', 'no temporary file is left');
  t.strictSame(one.host.run(['ls', '-A', one.binDir]).trim(), 'tsbridge');
});

t.test('started twice: one works, the other waits', { skip }, async (t) => {
  const cluster = await Cluster.create(t, { links: [1, 1] });
  await cluster.start();
  const [one, two] = [cluster.node(1), cluster.node(2)];
  const first = one.agent;
  const second = one.startAgent('--port', '9480');
  await Cluster.settled(
    () => second.text,
    (text) => text !== '',
  );
  const other = async () =>
    (await one.host.start(['curl', '-s', '-o', '/dev/null', '-w', '%{http_code}', 'http://127.0.0.1:9480/readyz']).done)
      .stdout;
  t.equal(await Cluster.settled(other, (code) => code === '503'), '503', 'it is not ready');
  t.notOk(second.ended);
  t.equal((await one.ask('/readyz')).status, 200, 'the first one is');
  await first?.stop('SIGKILL');
  t.equal(await Cluster.settled(other, (code) => code === '200'), '200', 'it takes over when the first one is gone');
  cluster.api.store.delete(two.name);
  t.strictSame(await Cluster.settled(() => one.destinations(), same([])), []);
});

t.test('another version of the executable is installed over the first', { skip }, async (t) => {
  const cluster = await Cluster.create(t, { links: [1, 1] });
  await cluster.start();
  const one = cluster.node(1);
  const pod = one.pod();
  await serve(t, pod);
  const installed = join(one.binDir, 'tsbridge');
  const before = statSync(installed);
  t.equal(before.mode & 0o777, 0o755);
  await one.agent?.stop();
  // What plays the next version: the same with a byte more.
  const next = join(cluster.directory, 'next');
  one.shell(`cp ${installed} ${next} && printf x >>${next}`);
  one.startAgent('--executable', next);
  await one.ready();
  t.equal(statSync(installed).size, before.size + 1);
  t.not(statSync(installed).ino, before.ino, 'in one step: a call under way goes on with the old one');
  const another = one.pod();
  for (const f of cluster.families) t.equal(await seenFrom(another.container, pod.ip[f]), another.ip[f]);
  one.deletePod(pod);
  await one.agent?.stop();
  const { ino } = statSync(installed);
  one.startAgent('--executable', next);
  await one.ready();
  t.equal(statSync(installed).ino, ino, 'the same one is not written again');
});
