import { readdirSync } from 'node:fs';
import t from 'tap';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

// The reference plugin shows that the throwaway host is a machine in which a CNI plugin works, and that it vanishes.

const conf = {
  cniVersion: '1.0.0',
  name: 'harness',
  type: 'bridge',
  bridge: 'br0',
  isGateway: true,
  ipam: { type: 'host-local', subnet: '10.1.0.0/16' },
};

t.test('a CNI plugin works in a throwaway host', { skip: missing('ping', 'nft') }, async (t) => {
  const host = await Host.create(t);
  const pods = [host.container(), host.container()] as const;
  for (const [n, container] of pods.entries()) {
    const added = host.cni({ plugin: 'bridge', command: 'ADD', container, conf });
    t.equal(added.status, 0, added.stdout);
    t.strictSame(added.json.ips, [{ address: `10.1.0.${n + 2}/16`, gateway: '10.1.0.1', interface: 2 }]);
  }
  const [a, b] = pods;
  t.ok(a.canReach('10.1.0.3'), 'the first pod reaches the second');
  t.ok(b.cannotReach('10.1.0.99'), 'nobody answers for an address that no pod has');
  t.equal(host.ip('link', 'show', 'br0')[0].operstate, 'UP');
  t.strictSame(host.leases('harness'), { '10.1.0.2': `${a.id}\r\neth0`, '10.1.0.3': `${b.id}\r\neth0` });
  t.match(host.leftovers(), [/^veth veth/, /^veth veth/, 'lease harness/10.1.0.2', 'lease harness/10.1.0.3']);
  const kinds = host.cni({ plugin: 'bridge', command: 'ADD', container: a, ifname: '', conf });
  t.match(kinds.json, { code: 4 }, 'a refusal is parsed as well');
  for (const container of pods) {
    const deleted = host.cni({ plugin: 'bridge', command: 'DEL', container, conf });
    t.equal(deleted.status, 0, deleted.stdout);
  }
  t.strictSame(host.leftovers(), []);
});

t.test('the machine sees nothing of a throwaway host', { skip: missing() }, async (t) => {
  const host = await Host.create(t);
  const { pid } = host;
  host.container('tsbridge-harness-probe');
  host.run(['ip', 'link', 'add', 'tsb-probe0', 'type', 'bridge']);
  t.notOk(readdirSync('/sys/class/net').includes('tsb-probe0'), 'no interface');
  t.notOk(readdirSync('/run').includes('netns') && readdirSync('/run/netns').includes('tsbridge-harness-probe'));
  t.ok(readdirSync(`/proc/${pid}/root/run/netns`).includes('tsbridge-harness-probe'), 'but it is there');
  host[Symbol.dispose]();
  for (let i = 0; i < 200 && alive(pid); i++) await new Promise((resolve) => setTimeout(resolve, 10));
  t.notOk(alive(pid), 'and it ends with its holder');
});

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
