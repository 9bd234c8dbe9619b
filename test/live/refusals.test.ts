import { mkdirSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { builds } from '../support/builds.ts';
import type { CniCall } from '../support/cni.ts';
import type { Container } from '../support/container.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

const network = {
  cniVersion: '1.0.0',
  name: 'refused',
  type: 'tsbridge',
  bridge: 'ref0',
  isGateway: true,
  ipam: { type: 'host-local', subnet: '10.1.0.0/16' },
};

/** The state that a refused call must leave as it found it. */
function stateOf(host: Host, pod: Container): string {
  const links = (of: { ip(...words: string[]): { ifname: string; address?: string; flags: string[] }[] }) =>
    of.ip('address', 'show');
  return JSON.stringify([links(host), links(pod), host.leases('refused'), host.run(['nft', 'list', 'ruleset'])]);
}

interface Refusal {
  title: string;
  prepare?: (host: Host, pod: Container) => void;
  call: Partial<CniCall>;
  code: number;
  msg: string | RegExp;
}

const refusals: Refusal[] = [
  { title: 'truncated JSON', call: { conf: '{"cniVersion":"1.0.0","name":"refused"' }, code: 6, msg: /JSON/i },
  { title: 'an empty stdin', call: { conf: '' }, code: 6, msg: /empty|nothing/i },
  {
    title: 'a stdin of 10 MB',
    call: { conf: `{"name":"${'x'.repeat(10_000_000)}"}` },
    code: 5,
    msg: 'error reading from stdin: more than 4 MiB',
  },
  {
    title: 'CNI_NETNS that does not exist',
    call: { conf: network, netns: '/run/netns/nothing' },
    code: 4,
    msg: /\/run\/netns\/nothing/,
  },
  {
    title: 'CNI_NETNS that is a regular file',
    prepare: (host) => writeFileSync(host.outer('/run/plain-file'), ''),
    call: { conf: network, netns: '/run/plain-file' },
    code: 4,
    msg: /\/run\/plain-file/,
  },
  {
    title: "CNI_NETNS that is the plugin's own namespace",
    call: { conf: network, netns: '/proc/self/ns/net' },
    code: 8,
    msg: /own network namespace/,
  },
  {
    title: 'an interface that exists in the container',
    prepare: (_host, pod) => pod.run(['ip', 'link', 'add', 'eth0', 'type', 'bridge']),
    call: { conf: network },
    code: 102,
    msg: /eth0.*already exists/,
  },
  {
    title: 'a bridge name that is another kind of link',
    prepare: (host) => host.run(['ip', 'link', 'add', 'ref0', 'type', 'veth', 'peer', 'name', 'ref1']),
    call: { conf: network },
    code: 102,
    msg: /ref0 exists and is not a bridge/,
  },
  {
    title: 'a conflicting gateway address on the bridge',
    prepare: (host) => {
      host.run(['ip', 'link', 'add', 'ref0', 'type', 'bridge']);
      host.run(['ip', 'address', 'add', '10.1.0.254/16', 'dev', 'ref0']);
    },
    call: { conf: network },
    code: 102,
    msg: 'ref0 already has the address 10.1.0.254/16, the network refused wants 10.1.0.1/16',
  },
  {
    title: 'a bridge name that is too long',
    call: { conf: { ...network, bridge: 'a-bridge-of-twenty-x' } },
    code: 7,
    msg: /^bridge: /,
  },
  {
    title: 'an invalid MAC address',
    call: { conf: { ...network, capabilities: { mac: true }, runtimeConfig: { mac: '02:11:22:33:44' } } },
    code: 7,
    msg: /mac/,
  },
  {
    title: 'an unknown masquerade back end',
    call: { conf: { ...network, ipMasq: true, ipMasqBackend: 'pf' } },
    code: 7,
    msg: /^ipMasqBackend: /,
  },
  {
    title: 'a version that does not exist',
    call: { conf: { ...network, cniVersion: '9.9.9' } },
    code: 1,
    msg: 'incompatible CNI versions',
  },
  {
    title: 'L2 with a version that cannot express it',
    call: { conf: { ...network, cniVersion: '0.2.0', ipam: {} } },
    code: 7,
    msg: /0\.2\.0|ipam/,
  },
  {
    title: 'a rangeStart outside of its subnet',
    call: {
      conf: { ...network, ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/16', rangeStart: '10.2.0.5' }]] } },
    },
    code: 7,
    msg: 'ipam.ranges[0][0].rangeStart: 10.2.0.5 is not in 10.1.0.0/16',
  },
  {
    title: 'a store whose directory is a file',
    prepare: (host) => writeFileSync(host.outer('/run/not-a-directory'), 'x'),
    call: { conf: { ...network, ipam: { ...network.ipam, dataDir: '/run/not-a-directory' } } },
    code: 5,
    msg: /\/run\/not-a-directory/,
  },
  {
    title: 'a full range',
    prepare: (host) => {
      mkdirSync(host.outer('/var/lib/cni/networks/refused'), { recursive: true });
      for (let i = 1; i < 7; i++)
        writeFileSync(host.outer(`/var/lib/cni/networks/refused/10.9.0.${i}`), `other${i}\r\neth0`);
    },
    call: { conf: { ...network, ipam: { type: 'host-local', subnet: '10.9.0.0/29' } } },
    code: 11,
    msg: /no .*addresses/i,
  },
];

for (const build of builds) {
  t.test(`${build.name}: bad input gives one JSON error and changes nothing`, { skip: missing('nft') }, async (t) => {
    for (const { title, prepare, call, code, msg } of refusals) {
      t.test(title, async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const pod = host.container();
        prepare?.(host, pod);
        const before = stateOf(host, pod);
        const outcome = host.cni({ command: 'ADD', container: pod, conf: network, ...call });
        t.equal(outcome.status, 1, outcome.stdout + outcome.stderr);
        t.match(outcome.json, { cniVersion: String, code, msg }, outcome.stdout);
        t.notMatch(outcome.stdout, /\n\s+at .*:\d+:\d+/, 'no stack trace on stdout');
        t.strictSame(stateOf(host, pod), before, 'nothing has changed');
      });
    }
  });
}
