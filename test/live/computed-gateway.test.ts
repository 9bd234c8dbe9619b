import t from 'tap';
import { builds } from '../support/builds.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

const network = (addresses: object[]) => ({
  cniVersion: '1.0.0',
  name: 'computed',
  type: 'tsbridge',
  bridge: 'gwc0',
  isDefaultGateway: true,
  ipMasq: true,
  ipam: { type: 'static', addresses },
});

for (const build of builds) {
  t.test(
    `${build.name}: the gateway of what a delegated IPAM plugin hands out`,
    { skip: missing('nft') },
    async (t) => {
      for (const [address, why] of [
        ['10.9.0.5/32', /without a gateway, and there is room for none/],
        ['fd00:9::5/128', /without a gateway, and there is room for none/],
        ['10.9.0.1/24', /which the container has itself/],
      ] as const) {
        t.test(`${address}: refused, and nothing is left`, async (t) => {
          const host = await Host.create(t, { plugin: build.path });
          const { status, json } = host.cni({
            command: 'ADD',
            container: host.container(),
            conf: network([{ address }]),
          });
          t.equal(status, 1);
          t.match(json, { code: 103, msg: why, details: /isGateway/ });
          t.strictSame(host.leftovers(), []);
          t.equal(host.attempt(['ip', 'link', 'show', 'gwc0']).status, 1);
        });
      }

      t.test('one that has room is computed, and works', async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const pod = host.container();
        const { json, stdout } = host.cni({
          command: 'ADD',
          container: pod,
          conf: network([{ address: '10.9.0.6/31' }]),
        });
        t.match(json, { ips: [{ address: '10.9.0.6/31', gateway: '10.9.0.7' }] }, stdout);
        t.ok(pod.canReach('10.9.0.7'));
      });

      t.test('one that is named for a single address is taken, and works', async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const pod = host.container();
        const conf = network([{ address: '10.9.0.5/32', gateway: '10.9.0.1' }]);
        const { status, stdout } = host.cni({ command: 'ADD', container: pod, conf });
        t.equal(status, 0, stdout);
        t.strictSame(host.ip('route', 'get', '10.9.0.1')[0]?.dev, 'lo');
      });
    },
  );
}
