/** What real runtimes have sent (test/runtime/recorded), sent again: the answers are what they were. */
import { readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import t from 'tap';
import { builds } from '../support/builds.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

/** A call as the recorder wrote it. */
interface Recording {
  env: Record<string, string>;
  stdin: string;
  stdout: string;
  status: number;
}

const recorded = (name: string): Recording[] =>
  JSON.parse(readFileSync(new URL(`../runtime/recorded/${name}.json`, import.meta.url), 'utf8'));

const mac = /([0-9a-f]{2}:){5}[0-9a-f]{2}/g;
/** MAC addresses are a host's own; which IPv6 address goes with an IPv4 one depends on what was there before. */
const comparable = (text: string) => text.replaceAll(mac, 'MAC').replaceAll(/::[0-9a-f]+\/64/g, '::N/64');

interface Result {
  interfaces: { mac?: string }[];
  ips: { address: string }[];
}

/** Plays recorded calls on a host of its own, with the pods that they are about. */
class Replay {
  readonly host: Host;
  /** MAC addresses of the recording, and those that the same interfaces have here. */
  private readonly macs = new Map<string, string>();
  private readonly attached = new Set<string>();

  constructor(host: Host) {
    this.host = host;
  }

  play({ env, stdin }: Recording): { stdout: string; status: number | null } {
    if (env.CNI_COMMAND === 'ADD') this.makeNetns(env);
    if (env.CNI_COMMAND === 'CHECK') this.attach(env, stdin);
    return this.call(env, this.translated(stdin));
  }

  /** An ADD, as the recorded one, whose address the store gives out next. */
  add(recording: Recording): { stdout: string; status: number | null } {
    const result = JSON.parse(recording.stdout) as Result;
    this.nextIs((JSON.parse(recording.stdin) as { name: string }).name, result.ips);
    const played = this.play(recording);
    this.learn(result, played.stdout);
    this.attached.add(recording.env.CNI_CONTAINERID ?? '');
    return played;
  }

  /** A pod that the recording asks about, and whose ADD it does not have. */
  private attach(env: Record<string, string>, stdin: string): void {
    const id = env.CNI_CONTAINERID ?? '';
    if (this.attached.has(id)) return;
    const { prevResult, ...conf } = JSON.parse(stdin);
    const add = { env: { ...env, CNI_COMMAND: 'ADD' }, stdin: JSON.stringify(conf), status: 0 };
    const { stdout, status } = this.add({ ...add, stdout: JSON.stringify(prevResult) });
    if (status !== 0) throw new Error(stdout);
  }

  private makeNetns({ CNI_NETNS = '' }: Record<string, string>): void {
    this.host.run(['ip', 'netns', 'add', basename(CNI_NETNS)]);
  }

  private nextIs(network: string, ips: Result['ips']): void {
    this.host.run(['mkdir', '-p', `/var/lib/cni/networks/${network}`]);
    for (const [i, { address }] of ips.entries()) {
      const [ip = ''] = address.split('/');
      const last = ip.replace(/[0-9a-f]+$/, (digits) =>
        ip.includes(':') ? (Number.parseInt(digits, 16) - 1).toString(16) : String(Number(digits) - 1),
      );
      writeFileSync(this.host.outer(`/var/lib/cni/networks/${network}/last_reserved_ip.${i}`), last);
    }
  }

  private learn(before: Result, stdout: string): void {
    const { interfaces } = JSON.parse(stdout) as Result;
    for (const [i, { mac: own = '' }] of interfaces.entries()) this.macs.set(before.interfaces[i]?.mac ?? '', own);
  }

  private translated(text: string): string {
    return text.replaceAll(mac, (one) => this.macs.get(one) ?? one);
  }

  private call(env: Record<string, string>, stdin: string): { stdout: string; status: number | null } {
    const PATH = process.env.PATH ?? '';
    const { stdout, status } = this.host.attempt([this.host.plugin ?? ''], { env: { PATH, ...env }, stdin });
    return { stdout, status };
  }
}

const attachmentKeys = ['cni.dev/attachments', 'cni.dev/valid-attachments'];

/** What a runtime sends that another does not, or that could be otherwise. */
function traits({ env, stdin }: Recording) {
  const { runtimeConfig = {}, prevResult, cniVersion, ...others } = JSON.parse(stdin);
  const known = ['CNI_CONTAINERID', 'CNI_IFNAME', 'CNI_NETNS', 'CNI_ARGS'];
  return {
    command: env.CNI_COMMAND,
    cniVersion,
    path: env.CNI_PATH,
    empty: known.filter((name) => env[name] === ''),
    prevResult: prevResult !== undefined,
    runtimeConfig: Object.keys(runtimeConfig).map((key) => {
      const [first = {}] = [runtimeConfig[key]].flat();
      return typeof first === 'object' ? `${key}: ${Object.keys(first).join(' ')}` : key;
    }),
    lists: attachmentKeys.filter((key) => key in others),
  };
}

const ports = 'portMappings: HostPort ContainerPort Protocol HostIP';
const goBandwidth = 'bandwidth: IngressRate IngressBurst EgressRate EgressBurst';
const dns = 'dns: Servers Searches Options';
const noAttachment = ['CNI_CONTAINERID', 'CNI_IFNAME', 'CNI_NETNS', 'CNI_ARGS'];
const containerd = { cniVersion: '1.1.0', path: '/opt/cni/bin', lists: [] };
const crio = { cniVersion: '1.1.0', path: '/opt/cni/bin/', lists: [] };
const crioConfig = ['bandwidth: egressBurst egressRate ingressBurst ingressRate', 'cgroupPath'];
const status = { command: 'STATUS', empty: noAttachment, prevResult: false, runtimeConfig: [] };
const version = {
  ...{ command: 'VERSION', cniVersion: '1.1.0', path: 'dummy', empty: ['CNI_CONTAINERID', 'CNI_ARGS'] },
  ...{ prevResult: false, runtimeConfig: [], lists: [] },
};

const clients: { name: string; file: string; sends: object[] }[] = [
  {
    name: 'containerd 2.1.9',
    file: 'containerd-2.1.9-cri-1.1.0',
    sends: [
      { ...containerd, ...status },
      {
        ...{ ...containerd, command: 'ADD', empty: [], prevResult: false },
        runtimeConfig: [goBandwidth, 'cgroupPath', dns, ports],
      },
      {
        ...{ ...containerd, command: 'DEL', empty: [], prevResult: true },
        runtimeConfig: [goBandwidth, 'cgroupPath', dns, ports],
      },
      // A repeated StopPodSandbox, and RemovePodSandbox: neither namespace nor result.
      ...[1, 2].map(() => ({
        ...{ ...containerd, command: 'DEL', empty: ['CNI_NETNS'], prevResult: false },
        runtimeConfig: [goBandwidth, 'cgroupPath', dns, ports],
      })),
      { ...containerd, ...status },
    ],
  },
  {
    name: 'CRI-O 1.37',
    file: 'cri-o-1.37.0-cri-1.1.0',
    sends: [
      version,
      // It does host ports itself, and hands out no dns.
      { ...crio, command: 'ADD', empty: [], prevResult: false, runtimeConfig: crioConfig },
      { ...crio, command: 'CHECK', empty: [], prevResult: true, runtimeConfig: crioConfig },
      { ...crio, command: 'DEL', empty: [], prevResult: true, runtimeConfig: crioConfig },
      version,
      { ...crio, ...status },
      {
        ...{ ...crio, command: 'GC', empty: noAttachment, prevResult: false, runtimeConfig: [] },
        lists: attachmentKeys,
      },
      { ...crio, command: 'CHECK', empty: [], prevResult: true, runtimeConfig: [] },
      // A pod from before the list had 1.1.0: with the configuration that it was added with.
      { ...crio, cniVersion: '1.0.0', command: 'CHECK', empty: [], prevResult: true, runtimeConfig: [] },
    ],
  },
];

for (const { name, file, sends } of clients) {
  const calls = recorded(file);
  t.test(`${name}: what it sends`, async (t) => t.strictSame(calls.map(traits), sends));

  for (const build of builds) {
    t.test(`${build.name}: ${name}: what it is answered`, { skip: missing('nft') }, async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const replay = new Replay(host);
      const gc = calls.findIndex(({ env }) => env.CNI_COMMAND === 'GC');
      for (const [i, call] of calls.entries()) {
        const { CNI_COMMAND: command = '', CNI_CONTAINERID: id } = call.env;
        const { stdout, status } = command === 'ADD' ? replay.add(call) : replay.play(call);
        t.strictSame(
          { status, stdout: comparable(stdout) },
          { status: call.status, stdout: comparable(call.stdout) },
          `${i}: ${command}`,
        );
        if (command === 'DEL') t.strictSame(host.leftovers(), [], `nothing is left of ${id}`);
      }
      if (gc < 0) return;
      // GC again, beside the pods that the CHECKs were about and one that nobody lists any more.
      const first = calls.find(({ env }) => env.CNI_COMMAND === 'ADD') as Recording;
      const stale = { ...first.env, CNI_CONTAINERID: 'stale', CNI_NETNS: '/var/run/netns/stale' };
      t.equal(replay.play({ ...first, env: stale }).status, 0);
      t.strictSame(replay.play(calls[gc] as Recording), { stdout: '', status: 0 });
      for (const call of calls.slice(gc + 1)) t.strictSame(replay.play(call), { stdout: '', status: 0 });
      t.notMatch(Object.values(host.leases('pods')).join(), 'stale');
      for (const { env, stdin } of calls.slice(gc + 1)) {
        t.equal(replay.play({ env: { ...env, CNI_COMMAND: 'DEL' }, stdin, stdout: '', status: 0 }).status, 0);
      }
      t.strictSame(host.leftovers(), []);
    });
  }
}
