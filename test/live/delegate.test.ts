import { existsSync } from 'node:fs';
import t from 'tap';
import { delegate } from '../../src/ipam/delegate/delegate.ts';
import { silent } from '../../src/log/logger.ts';
import { referencePlugins } from '../support/reference-plugins.ts';

const skip =
  !existsSync(`${referencePlugins}/static`) && `NOT RUN: ${referencePlugins}/static not installed (make setup-test)`;

const env = {
  CNI_COMMAND: 'ADD',
  CNI_CONTAINERID: 'delegate-test',
  CNI_IFNAME: 'eth0',
  CNI_NETNS: '/var/run/netns/none',
  CNI_PATH: referencePlugins,
};

const conf = (cniVersion: string, addresses: object[]) => ({
  cniVersion,
  path: referencePlugins,
  log: silent,
  env,
  type: 'static',
  stdin: Buffer.from(
    JSON.stringify({
      cniVersion,
      name: 'net',
      type: 'tsbridge',
      ipam: { type: 'static', addresses, routes: [{ dst: '0.0.0.0/0' }], dns: { nameservers: ['10.1.0.1'] } },
    }),
  ),
});

t.test('the reference plugin "static" gives the same lease in every version', { skip }, async (t) => {
  for (const cniVersion of ['0.2.0', '0.3.1', '0.4.0', '1.0.0']) {
    const ipam = delegate(
      conf(cniVersion, [{ address: '10.1.0.5/16', gateway: '10.1.0.1' }, { address: 'fd00::5/64' }]),
    );
    t.strictSame(
      await ipam.add(),
      {
        ips: [{ address: '10.1.0.5/16', gateway: '10.1.0.1' }, { address: 'fd00::5/64' }],
        routes: [{ dst: '0.0.0.0/0' }],
        dns: { nameservers: ['10.1.0.1'] },
      },
      cniVersion,
    );
    t.strictSame(await ipam.undoAdd(), []);
    await ipam.del();
  }
});

t.test('what it refuses is refused with its own code and words', { skip }, async (t) => {
  await t.rejects(async () => delegate(conf('1.0.0', [{ address: 'nonsense' }])).add(), {
    code: 999,
    message: /nonsense/,
    details: '(IPAM plugin static)',
  });
  await t.rejects(async () => delegate(conf('9.9.9', [])).add(), { code: 1, message: 'incompatible CNI versions' });
});
