import { mkdirSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { builds } from '../support/builds.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

const conf = {
  cniVersion: '1.1.0',
  name: 'large',
  type: 'tsbridge',
  bridge: 'br0',
  isGateway: true,
  ipMasq: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.60.0.0/24' }]] },
};

/** Prefixes that do not touch each other. */
const prefixes = (count: number, first: number) =>
  Array.from({ length: count }, (_, i) => `${first + (i >> 16)}.${(i >> 8) & 255}.${i & 255}.0/25`);

/** On an idle machine each of these takes a second or two; with a step for each pair of things it was a minute and more. */
const bearableMs = 20_000;

for (const build of builds) {
  t.test(`${build.name}: a lot of everything`, { skip: missing('nft') }, async (t) => {
    t.test('20,000 prefixes that pods reach with their own address', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const many = { ...conf, nonMasqueradeCIDRs: prefixes(20_000, 11) };
      const [one, other] = [host.container(), host.container()];
      const timeoutMs = bearableMs;
      const added = host.cni({ command: 'ADD', container: one, conf: many, timeoutMs });
      t.equal(added.status, 0, added.stdout);
      const checked = host.cni({ command: 'CHECK', container: one, conf: many, prevResult: added.json, timeoutMs });
      t.equal(checked.status, 0, checked.stdout);
      t.equal(host.run(['nft', 'list', 'set', 'inet', 'tsbridge', 'local4.large']).split('/25').length, 20_001);
      t.equal(host.cni({ command: 'ADD', container: other, conf: many, timeoutMs }).status, 0);
      for (const container of [one, other])
        t.equal(host.cni({ command: 'DEL', container, conf: many, timeoutMs }).status, 0);
      t.strictSame(host.leftovers(), []);
    });

    t.test('5,000 routes', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const pod = host.container();
      const routes = prefixes(5000, 20).map((dst) => ({ dst }));
      const many = { ...conf, ipam: { ...conf.ipam, routes } };
      const timeoutMs = bearableMs;
      const added = host.cni({ command: 'ADD', container: pod, conf: many, timeoutMs });
      t.equal(added.status, 0, added.stdout);
      const checked = host.cni({ command: 'CHECK', container: pod, conf: many, prevResult: added.json, timeoutMs });
      t.equal(checked.status, 0, checked.stdout);
      pod.run(['ip', 'route', 'del', '20.0.77.0/25']);
      const drifted = host.cni({ command: 'CHECK', container: pod, conf: many, prevResult: added.json, timeoutMs });
      t.match(drifted.json, { code: 101, msg: 'the container has no route 20.0.77.0/25 via 10.60.0.1' });
      t.equal(host.cni({ command: 'DEL', container: pod, conf: many, timeoutMs }).status, 0);
    });

    t.test('links that come and go all the time: GC reads them all the same', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const pairs = Array.from({ length: 400 }, (_, i) => `link add a${i} type veth peer name b${i}`);
      mkdirSync(host.outer('/run/churn'));
      writeFileSync(host.outer('/run/churn/pairs'), `${pairs.join('\n')}\n`);
      host.run(['ip', '-batch', '/run/churn/pairs']);
      const pod = host.container();
      t.equal(host.cni({ command: 'ADD', container: pod, conf }).status, 0);
      const loop = 'while :; do ip link add churn type veth peer name nruhc; ip link del churn; done';
      const churn = host.start(['sh', '-c', loop]);
      for (let i = 0; i < 10; i++) {
        const valid = [{ containerID: pod.id, ifname: 'eth0' }];
        const collected = host.cni({
          command: 'GC',
          conf: { ...conf, ...(i % 2 === 0 ? { 'cni.dev/valid-attachments': valid } : {}) },
        });
        t.equal(collected.status, 0, collected.stdout);
      }
      churn.kill();
      await churn.done;
      t.ok(pod.attempt(['ip', 'link', 'show', 'eth0']).status === 0, 'the pod has its interface');
      t.equal(host.cni({ command: 'DEL', container: pod, conf }).status, 0);
    });
  });
}
