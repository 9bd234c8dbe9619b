import t from 'tap';
import { builds } from '../support/builds.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

const conf = {
  cniVersion: '1.0.0',
  name: 'crashed',
  type: 'tsbridge',
  bridge: 'crs0',
  isDefaultGateway: true,
  ipMasq: true,
  macspoofchk: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/24' }], [{ subnet: '2001:db8:1::/64' }]] },
};

/** The words before an executable with which strace meddles with its system calls. */
const meddling = (calls: string, how: string) => [
  'strace',
  '-qq',
  '-e',
  `trace=${calls}`,
  '-e',
  `inject=${calls}:${how}`,
  '-o',
  '/dev/null',
];

/** The addresses of eth0 that have a lease's name: without prefix length, and not link-local. */
function addressesOf(pod: ReturnType<Host['container']>): string[] {
  const links = pod.ip('address', 'show') as { ifname: string; addr_info: { local: string; scope: string }[] }[];
  const eth0 = links.find(({ ifname }) => ifname === 'eth0');
  return (eth0?.addr_info ?? []).filter(({ scope }) => scope === 'global').map(({ local }) => local);
}

for (const build of builds) {
  t.test(
    `${build.name}: an ADD that is told to end, or cannot take down what it made`,
    { skip: missing('strace', 'nft'), timeout: 300_000 },
    async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      t.test('SIGTERM: ADD undoes what it did, or has not begun', async (t) => {
        for (const delayMs of [1, 5, 10, 15, 20, 25, 30, 40, 50]) {
          const pod = host.container();
          const started = host.cniStart({ command: 'ADD', container: pod, conf });
          await new Promise((resolve) => setTimeout(resolve, delayMs));
          // NB: the process that nsenter became; a signal to it goes to the plugin.
          started.kill('SIGTERM');
          const { status, json } = await started.done;
          if (status === 0) t.equal(host.cni({ command: 'DEL', container: pod, conf }).status, 0);
          else if (json) t.match(json, { msg: /SIGTERM/ });
          t.strictSame(host.leftovers(), [], `SIGTERM after ${delayMs} ms`);
        }
      });

      t.test('a pod that ADD could not take down again keeps its lease until DEL', async (t) => {
        let kept = 0;
        let at = 1;
        for (; at < 100; at++) {
          const pod = host.container();
          const wrapper = meddling('sendto', `error=EPERM:when=${at}+`);
          const { status, json, stdout } = host.cni({ command: 'ADD', container: pod, conf, wrapper });
          const leases = Object.keys(host.leases('crashed'));
          const unleased = addressesOf(pod).filter((address) => !leases.includes(address));
          if (unleased.length > 0) t.fail(`mute from request ${at} on: no lease for ${unleased.join(', ')}: ${stdout}`);
          if (status !== 0 && leases.length > 0) {
            kept++;
            const told = leases.every((address) => json?.details?.includes(address));
            if (!told || !/kept, because.*DEL will try again/.test(json.details)) t.fail(`at request ${at}: ${stdout}`);
          }
          const deleted = host.cni({ command: 'DEL', container: pod, conf });
          const left = host.leftovers();
          if (deleted.status !== 0 || left.length > 0) t.fail(`at ${at}: ${left.join(', ')} ${deleted.stdout}`);
          if (status === 0) break;
        }
        t.ok(kept > 0 && at < 100, `kept ${kept} times of ${at - 1}`);
      });
    },
  );
}
