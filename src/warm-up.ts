import { parseNetConf } from './cni/parse-netconf.ts';
import { parseRequest } from './cni/request.ts';
import { formatResult } from './cni/result-format.ts';

/** A configuration with every kind of key, so that every one is read. */
const conf = {
  cniVersion: '1.1.0',
  name: 'warm-up',
  bridge: 'cni0',
  isGateway: true,
  ipMasq: true,
  ipMasqBackend: 'nftables',
  nonMasqueradeCIDRs: ['10.0.0.0/8'],
  mtu: 1500,
  vlan: 1,
  vlanTrunk: [{ id: 2 }],
  dns: { nameservers: ['10.0.0.1'] },
  args: { cni: { ips: ['10.1.0.2'] } },
  runtimeConfig: { mac: '02:00:00:00:00:01', ips: ['10.1.0.3'], ipRanges: [[{ subnet: '10.9.0.0/24' }]] },
  logLevel: 'info',
  ipam: {
    type: 'host-local',
    ranges: [[{ subnet: '10.1.0.0/16' }], [{ subnet: 'fd00::/64' }]],
    routes: [{ dst: '0.0.0.0/0', gw: '10.1.0.1', mtu: 1400 }, { dst: '::/0' }],
    dataDir: '/var/lib/cni/networks',
    exclude: ['10.1.0.9'],
    lockTimeoutMs: 1000,
  },
  prevResult: {
    cniVersion: '1.1.0',
    interfaces: [{ name: 'eth0', sandbox: '/' }],
    ips: [{ address: '10.1.0.2/16', gateway: '10.1.0.1', interface: 0 }],
    routes: [{ dst: '::/0' }],
  },
};

/**
 * Does what every call does and what needs no operating system: evaluates the modules of the verbs, reads a configuration. For the making of
 * a start-up snapshot, which then holds it done. Touches no file, no descriptor and no library.
 */
export async function warmUp(): Promise<void> {
  const request = parseRequest({
    CNI_COMMAND: 'ADD',
    CNI_CONTAINERID: 'warm-up',
    CNI_NETNS: '/',
    CNI_IFNAME: 'eth0',
    CNI_ARGS: 'K8S_POD_NAMESPACE=a;K8S_POD_NAME=b;IgnoreUnknown=1;IP=10.1.0.2;MAC=02:00:00:00:00:01',
  });
  const parsed = parseNetConf(JSON.stringify(conf), request);
  parseNetConf(JSON.stringify({ ...conf, 'cni.dev/valid-attachments': [] }), { ...request, command: 'GC' });
  if (parsed?.role === 'main' && parsed.conf.prevResult) formatResult(parsed.conf.prevResult, '1.1.0');
  await Promise.all([
    import('./verbs/add/add.ts'),
    import('./verbs/del/del.ts'),
    import('./verbs/check/check.ts'),
    import('./verbs/gc.ts'),
    import('./verbs/status.ts'),
    import('./verbs/as-ipam.ts'),
  ]);
}
