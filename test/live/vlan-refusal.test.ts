import t from 'tap';
import { builds } from '../support/builds.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

const conf = {
  cniVersion: '1.0.0',
  name: 'vlans',
  type: 'tsbridge',
  bridge: 'vl0',
  vlan: 100,
  ipam: { type: 'host-local', subnet: '10.1.0.0/24' },
};

/** Whether this kernel was built with CONFIG_BRIDGE_VLAN_FILTERING. */
async function hasVlanFiltering(): Promise<boolean> {
  using host = await Host.create(undefined);
  return host.attempt(['ip', 'link', 'add', 'probe', 'type', 'bridge', 'vlan_filtering', '1']).status === 0;
}

for (const build of builds) {
  t.test(`${build.name}: VLANs on a kernel without VLAN filtering`, { skip: missing() }, async (t) => {
    if (await hasVlanFiltering()) {
      t.pass('this kernel has it: nothing to refuse (the VLAN tests proper are in test/vm)');
      return;
    }
    for (const [title, prepare] of [
      ['the bridge is still to be made', () => {}],
      ['the bridge exists', (host: Host) => host.run(['ip', 'link', 'add', 'vl0', 'type', 'bridge'])],
    ] as const) {
      t.test(`a refusal that names the feature, and nothing left: ${title}`, async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        prepare(host);
        const before = (host.ip('link', 'show') as { ifname: string }[]).map(({ ifname }) => ifname);
        const { status, json } = host.cni({ command: 'ADD', container: host.container(), conf });
        t.equal(status, 1);
        t.match(json, { code: 104 });
        t.match(json.msg + json.details, /CONFIG_BRIDGE_VLAN_FILTERING/);
        t.strictSame(
          (host.ip('link', 'show') as { ifname: string }[]).map(({ ifname }) => ifname),
          before,
        );
        t.strictSame(host.leases('vlans'), {});
        if (before.includes('vl0')) {
          const asked = host.cni({ command: 'STATUS', conf: { ...conf, cniVersion: '1.1.0' } });
          t.match(asked.json, { code: 50, details: /CONFIG_BRIDGE_VLAN_FILTERING/ }, 'STATUS knows');
        }
      });
    }
  });
}
