import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Cluster } from '../../support/kube/cluster.ts';
import { nodeObject } from '../../support/kube/node-object.ts';
import { missing } from '../../support/requirements.ts';

// What is somebody else's is left alone, whatever it looks like; what is the agent's own is put back.

const skip = missing('curl', 'bridge');
t.setTimeout(300_000);

const same = (wanted: string[]) => (have: string[]) => JSON.stringify(have) === JSON.stringify(wanted);

t.test("somebody else's routes, devices and files", { skip }, async (t) => {
  const cluster = await Cluster.create(t, { links: [1, 1, 2] });
  for (const node of cluster.nodes) node.register();
  const one = cluster.node(1);
  one.shell(
    // Of the same kinds as the agent's, by hand, by a routing daemon, and by another network plugin.
    'ip link add vxlan0 type vxlan id 77 local 192.0.2.1 dstport 8472 nolearning dev eth0',
    'ip link set vxlan0 up && ip addr add 172.30.0.1/24 dev vxlan0',
    'bridge fdb append 00:00:00:00:00:00 dev vxlan0 dst 192.0.2.2',
    'ip link add flannel.1 type vxlan id 1 local 192.0.2.1 dstport 8472 nolearning && ip link set flannel.1 up',
    'ip route add 10.99.0.0/24 via 192.0.2.2',
    'ip route add 10.99.1.0/24 via 192.0.2.2 proto bird',
    'ip route add 10.99.2.0/24 via 172.30.0.9 dev vxlan0 proto static',
    'ip -6 route add fd99:1::/64 via 2001:db8:1::2 proto bird',
    'ip route add 10.99.3.0/24 via 192.0.2.2 proto 217 table 100',
    'ip neigh add 172.30.0.9 lladdr 02:00:00:00:00:09 dev vxlan0 nud permanent',
    'ip addr add 10.88.0.1/24 dev eth0',
  );
  writeFileSync(join(one.confDir, '05-other.conflist.disabled'), '{}');
  writeFileSync(
    join(one.confDir, '87-podman.conflist'),
    '{"cniVersion":"1.0.0","name":"podman","plugins":[{"type":"bridge"}]}',
  );
  writeFileSync(join(one.binDir, 'loopback'), 'not ours');
  const theirs = () =>
    [
      one.host.run(['ip', '-details', 'link', 'show', 'vxlan0']).replace(/^\d+: /, ''),
      one.host.run(['ip', '-details', 'link', 'show', 'flannel.1']).replace(/^\d+: /, ''),
      one.host.run(['bridge', 'fdb', 'show', 'dev', 'vxlan0']),
      one.host.run(['ip', 'route', 'show', '10.99.0.0/16']) +
        one.host.run(['ip', 'route', 'show', 'root', '10.99.0.0/16']),
      one.host.run(['ip', 'route', 'show', 'table', '100']),
      one.host.run(['ip', '-6', 'route', 'show', 'proto', 'bird']),
      one.host.run(['ip', 'neighbour', 'show', 'dev', 'vxlan0', 'nud', 'permanent']),
      one.host.run(['ip', '-4', 'address', 'show', 'dev', 'eth0']),
      ...['05-other.conflist.disabled', '87-podman.conflist'].map((name) =>
        readFileSync(join(one.confDir, name), 'utf8'),
      ),
      readFileSync(join(one.binDir, 'loopback'), 'utf8'),
    ].join('\n');
  const before = theirs();
  await cluster.start();
  t.equal(theirs(), before, 'after the first look');
  cluster.api.store.delete('node-3');
  await Cluster.settled(() => one.destinations(), same(one.rangesOf(2)));
  cluster.node(3).register();
  await Cluster.settled(() => one.destinations(), same(one.rangesOf(2, 3)));
  t.strictSame(await one.destinations(), one.rangesOf(2, 3));
  t.equal(theirs(), before, 'after nodes went and came');
  await one.agent?.stop();
  t.equal(theirs(), before, 'after the agent has ended');
});

t.test('a route of somebody else to the pods of a node', { skip }, async (t) => {
  const cluster = await Cluster.create(t, { links: [1, 1, 1] });
  for (const node of cluster.nodes) node.register();
  const one = cluster.node(1);
  // An administrator sends node 2's pods another way, on purpose.
  one.shell('ip route add 10.244.2.0/24 via 192.0.2.254');
  await cluster.start();
  t.match(one.host.ip('route', 'show', '10.244.2.0/24'), [{ gateway: '192.0.2.254', protocol: 'boot' }], 'it stays');
  t.ok((await one.metric('tsbridge_agent_node_problems', 'problem="foreign-route"')) >= 1, 'it is counted');
  t.match(one.agent?.complaints.join('\n'), /10\.244\.2\.0\/24/, 'and said');
  t.ok((await one.destinations()).includes('10.244.3.0/24'), 'the other routes are not kept waiting');
  one.shell('ip route del 10.244.2.0/24 via 192.0.2.254');
  const all = one.rangesOf(2, 3);
  t.strictSame(
    await Cluster.settled(() => one.destinations(), same(all)),
    all,
    'once it is gone, ours takes its place',
  );
  t.equal(
    await Cluster.settled(
      () => one.metric('tsbridge_agent_node_problems', 'problem="foreign-route"'),
      (n) => n === 0,
    ),
    0,
  );
});

t.test("a device that has the agent's name, or its number and port", { skip }, async (t) => {
  await t.test('a stranger by our name', async (t) => {
    const cluster = await Cluster.create(t, { links: [1, 2] });
    for (const node of cluster.nodes) node.register();
    const one = cluster.node(1);
    one.shell('ip link add tsbridge.vx4 type bridge');
    const before = one.host.run(['ip', '-details', 'link', 'show', 'tsbridge.vx4']);
    one.startAgent();
    cluster.node(2).startAgent();
    await Cluster.settled(
      () => one.agent?.complaints ?? [],
      (said) => said.some((words) => words.includes('tsbridge.vx4')),
    );
    t.match(one.agent?.complaints.join('\n'), /tsbridge\.vx4/, 'it says whose name is taken');
    t.equal(one.host.run(['ip', '-details', 'link', 'show', 'tsbridge.vx4']), before, 'and leaves the device as it is');
    t.notOk(one.agent?.ended);
    t.strictSame(
      await Cluster.settled(
        async () => (await one.routes(6)).map(({ dst }) => dst),
        (have) => have.length === 1,
      ),
      [cluster.node(2).range(6)],
      'the other family is not kept waiting',
    );
    one.shell('ip link del tsbridge.vx4');
    const all = one.rangesOf(2);
    t.strictSame(
      await Cluster.settled(() => one.destinations(), same(all), 70_000),
      all,
      'once it is gone, all is well',
    );
  });
  await t.test('another VXLAN device with our number and port', async (t) => {
    const cluster = await Cluster.create(t, { links: [1, 2], only: 4 });
    for (const node of cluster.nodes) node.register();
    const one = cluster.node(1);
    one.shell('ip link add other type vxlan id 7311 dstport 4789 local 192.0.2.1 nolearning && ip link set other up');
    const before = one.host.run(['ip', '-details', 'link', 'show', 'other']);
    one.startAgent();
    await Cluster.settled(
      () => one.agent?.complaints ?? [],
      (said) => said.length > 0,
    );
    t.match(one.agent?.complaints.join('\n'), /7311|vxlan-id|other/i, 'it says what is in the way');
    t.equal(one.host.run(['ip', '-details', 'link', 'show', 'other']), before);
    t.notOk(one.agent?.ended);
    t.equal((await one.ask('/readyz')).status, 503);
  });
});

t.test('what somebody removes is put back', { skip }, async (t) => {
  const cluster = await Cluster.create(t, { links: [1, 1, 2] });
  await cluster.start();
  const one = cluster.node(1);
  const all = one.rangesOf(2, 3);
  const neighbours = () => one.host.run(['ip', 'neighbour', 'show', 'dev', 'tsbridge.vx4', 'nud', 'permanent']);
  const fdb = () => one.host.run(['bridge', 'fdb', 'show', 'dev', 'tsbridge.vx4']);
  const [mac] = one.host.ip('link', 'show', 'tsbridge.vx4').map(({ address }: { address: string }) => address);
  const rows: [string, string, () => unknown][] = [
    ['a route', 'ip route del 10.244.2.0/24', () => one.destinations()],
    ['a route of IPv6', 'ip -6 route del fd00:10:244:3::/64', () => one.destinations()],
    ['all routes', 'ip route flush proto 217 && ip -6 route flush proto 217', () => one.destinations()],
    ['the device', 'ip link del tsbridge.vx4', () => one.destinations()],
    ['the device is down', 'ip link set tsbridge.vx4 down', () => one.destinations()],
    ['a neighbour', 'ip neighbour flush dev tsbridge.vx4 nud permanent', neighbours],
    [
      'a forwarding entry',
      'bridge fdb show dev tsbridge.vx4 | while read -r mac _; do bridge fdb del $mac dev tsbridge.vx4; done',
      fdb,
    ],
    [
      'a route that leads elsewhere now',
      'ip route replace 10.244.2.0/24 via 192.0.2.254 proto 217',
      async () => (await one.routes(4)).map(({ gateway }) => gateway).sort(),
    ],
  ];
  for (const [name, command, read] of rows) {
    const before = JSON.stringify(await read());
    one.shell(command);
    const began = Date.now();
    const after = await Cluster.settled(
      async () => JSON.stringify(await read()),
      (now) => now === before,
    );
    t.equal(after, before, `${name}: after ${Date.now() - began} ms`);
    t.strictSame(await Cluster.settled(() => one.destinations(), same(all)), all);
  }
  t.equal(one.host.ip('link', 'show', 'tsbridge.vx4')[0].address, mac, 'the device has the address that it had');
  t.notOk(one.agent?.ended);
  // What the agent did not make is not put back, and does not keep it busy.
  const syncs = await one.metric('tsbridge_agent_syncs_total', 'result="ok"');
  one.shell('for n in $(seq 1 100); do ip route add 10.77.$n.0/24 via 192.0.2.254; done');
  await new Promise((resolve) => setTimeout(resolve, 2000));
  t.ok(
    (await one.metric('tsbridge_agent_syncs_total', 'result="ok"')) - syncs <= 10,
    'a hundred routes of others cost a few looks',
  );
});

t.test('the conflist and the executable that somebody removes or edits', { skip }, async (t) => {
  const cluster = await Cluster.create(t, { links: [1, 1], flags: ['--check-interval', '2'] });
  await cluster.start();
  const one = cluster.node(1);
  const before = readFileSync(one.conflistFile, 'utf8');
  for (const command of [
    `rm ${one.conflistFile}`,
    `echo '{}' >${one.conflistFile}`,
    `rm ${join(one.binDir, 'tsbridge')}`,
  ]) {
    one.shell(command);
    await Cluster.settled(
      () =>
        one.host.attempt(['cat', one.conflistFile]).stdout === before &&
        one.host.attempt(['test', '-x', join(one.binDir, 'tsbridge')]).status === 0,
      (yes) => yes,
    );
    t.equal(readFileSync(one.conflistFile, 'utf8'), before, command);
    t.equal(one.host.attempt(['test', '-x', join(one.binDir, 'tsbridge')]).status, 0);
  }
});

t.test('an earlier agent with other settings: what it made goes, as far as it is ours', { skip }, async (t) => {
  const cluster = await Cluster.create(t, { links: [1, 1] });
  cluster.api.store.put(nodeObject('node-9', { podCIDRs: ['10.244.9.0/24'], addresses: ['192.0.2.9'] }));
  for (const node of cluster.nodes) node.register();
  const one = cluster.node(1);
  one.startAgent('--mode', 'vxlan');
  await one.ready();
  t.ok((await one.routes(4)).every(({ dev }) => dev === 'tsbridge.vx4'));
  await one.agent?.stop();
  one.startAgent('--mode', 'direct');
  await one.ready();
  t.strictSame(
    (await one.routes(4)).map(({ dev }) => dev),
    ['eth0', 'eth0'],
  );
  t.equal(await one.metric('tsbridge_agent_routes', 'mode="vxlan",family="4"'), 0);
  t.equal(
    one.host.attempt(['bridge', 'fdb', 'show', 'dev', 'tsbridge.vx4']).stdout,
    '',
    'the device has no entries left, or is gone',
  );
});
