import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import type { Build } from '../support/builds.ts';
import { Host } from '../support/host.ts';
import * as hostile from '../support/hostile.ts';
import { Faults, type Row, row } from './row.ts';

/** How much of a processor a call may take, and how long it may last on a machine with other things to do. */
const mostCpuMs = 2000;
const patienceMs = 10_000;
const mostMemory = 256 * 1024; // KiB
const codes = new Set([1, 2, 3, 4, 5, 6, 7, 8, 11, 50, 100, 101, 102, 103, 104]);

/** One call: all that somebody hostile may choose. */
export interface HostileCall {
  env: Record<string, string | undefined>;
  stdin: string | Uint8Array;
  /** Files that are there before: below the store, or anywhere in the host. */
  files?: [path: string, content: Uint8Array | string][];
  links?: [path: string, target: string][];
}

const good = {
  cniVersion: '1.1.0',
  name: 'hostile',
  type: 'tsbridge',
  bridge: 'hst0',
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.66.0.0/24' }]], resolvConf: '/run/resolv.conf' },
};
const store = '/var/lib/cni/networks/hostile';
const goodEnv = {
  CNI_COMMAND: 'ADD',
  CNI_CONTAINERID: 'pod',
  CNI_IFNAME: 'eth0',
  CNI_NETNS: '/run/netns/pod',
  CNI_PATH: '/run/cni/bin',
};
const verb = fc.constantFrom('ADD', 'DEL', 'CHECK', 'GC', 'STATUS');
const call = (record: fc.Arbitrary<HostileCall>) => record;

/** What is fuzzed, and how often beside the others. */
export const calls: { what: string; share: number; call: fc.Arbitrary<HostileCall> }[] = [
  {
    what: 'stdin',
    share: 0.35,
    call: call(
      fc.record({
        env: verb.map((CNI_COMMAND) => ({ ...goodEnv, CNI_COMMAND })),
        stdin: fc.oneof({ weight: 9, arbitrary: hostile.configuration(100_000) }, fc.uint8Array()),
      }),
    ),
  },
  {
    what: 'the environment and CNI_ARGS',
    share: 0.2,
    call: call(fc.record({ env: hostile.environment('/run/netns/pod'), stdin: fc.constant(JSON.stringify(good)) })),
  },
  {
    what: 'prevResult',
    share: 0.1,
    call: call(
      fc.tuple(verb, hostile.result).map(([CNI_COMMAND, result]) => ({
        env: { ...goodEnv, CNI_COMMAND },
        stdin: `${JSON.stringify(good).slice(0, -1)},"prevResult":${result}}`,
      })),
    ),
  },
  {
    what: 'lease files and index entries',
    share: 0.15,
    call: call(
      fc
        .tuple(
          verb,
          fc.array(
            fc.tuple(
              fc.constantFrom(
                '10.66.0.2',
                '10.66.0.3',
                'last_reserved_ip.0',
                '.tsbridge/new',
                '.tsbridge/x',
                'fd00::1',
                '10.66.0.2.x',
              ),
              hostile.leaseBytes,
            ),
            { maxLength: 4 },
          ),
          fc.array(
            fc.tuple(
              fc.constantFrom('0123456789abcdef', 'fedcba9876543210', 'swap', 'unsteady', 'sticky'),
              hostile.entryTarget,
            ),
            { maxLength: 3 },
          ),
        )
        .map(([CNI_COMMAND, files, links]) => ({
          env: { ...goodEnv, CNI_COMMAND },
          stdin: JSON.stringify(good),
          files: files.map(([name, content]): [string, Uint8Array] => [`${store}/${name}`, content]),
          links: links.map(([name, target]): [string, string] => [`${store}/.tsbridge/${name}`, target]),
        })),
    ),
  },
  {
    what: 'resolv.conf',
    share: 0.05,
    call: call(
      hostile.resolvConf.map((content) => ({
        env: goodEnv,
        stdin: JSON.stringify(good),
        files: [['/run/resolv.conf', content]],
      })),
    ),
  },
  {
    what: "another IPAM plugin's output and exit status",
    share: 0.15,
    call: call(
      fc.tuple(verb, hostile.result, fc.constantFrom(0, 1, 2, 255)).map(([CNI_COMMAND, said, status]) => ({
        env: { ...goodEnv, CNI_COMMAND },
        stdin: JSON.stringify({ ...good, ipam: { type: 'liar' } }),
        files: [
          ['/run/said', said],
          ['/run/cni/bin/liar', `#!/bin/sh\nread -r line; cat /run/said; exit ${status}\n`],
        ],
      })),
    ),
  },
];

const MiB = 1024 * 1024;
const within = (member: string) => `${JSON.stringify(good).slice(0, -1)},${member}}`;
const nested = (open: string, inner: string, close: string, depth: number) =>
  open.repeat(depth) + inner + close.repeat(depth);
const lying = (said: string): Pick<HostileCall, 'stdin' | 'files'> => ({
  stdin: JSON.stringify({ ...good, ipam: { type: 'liar' } }),
  files: [
    ['/run/said', said],
    ['/run/cni/bin/liar', '#!/bin/sh\ncat /run/said\n'],
  ],
});

/** What is too large, too deep or too many, by what it is. */
const edges: Record<string, Pick<HostileCall, 'stdin' | 'files'> & { env?: Record<string, string> }> = {
  'nothing at all': { stdin: '' },
  'a string of 10 MB': { stdin: within(`"args":"${'x'.repeat(10 * MiB)}"`) },
  'a string as long as stdin may be': { stdin: within(`"args":{"x":"${'x'.repeat(4 * MiB - 1000)}"}`) },
  'a name as long as stdin may be': { stdin: within(`"${'n'.repeat(4 * MiB - 1000)}":1`) },
  'a bridge with a name of a megabyte': { stdin: within(`"bridge":"${'b'.repeat(MiB)}"`) },
  'a range of a megabyte': { stdin: within(`"ipam":{"type":"host-local","subnet":"${'1'.repeat(MiB)}"}`) },
  'a data directory of a megabyte': {
    stdin: within(`"ipam":{"type":"host-local","subnet":"10.66.0.0/24","dataDir":"/${'d'.repeat(MiB)}"}`),
  },
  'brackets as many as stdin may have': { stdin: '['.repeat(4 * MiB - 1) },
  'braces as many as stdin may have': { stdin: '{"":'.repeat(MiB - 1) },
  'brackets that are closed, a million deep': { stdin: nested('[', '1', ']', 1_000_000) },
  'objects in an option, 5,000 deep': { stdin: within(`"args":${nested('{"a":', '1', '}', 5000)}`) },
  'objects in an option, 100,000 deep': { stdin: within(`"args":${nested('{"a":', '1', '}', 100_000)}`) },
  'prevResult, 100,000 deep': { stdin: within(`"prevResult":${nested('{"ips":[', '1', ']}', 100_000)}`) },
  'ranges in ranges, 100,000 deep': {
    stdin: within(`"ipam":{"type":"host-local","ranges":${nested('[', '1', ']', 100_000)}}`),
  },
  'the same key 300,000 times': { stdin: within(Array(300_000).fill('"mtu":1').join(',')) },
  '200,000 keys': { stdin: within(Array.from({ length: 200_000 }, (_, i) => `"k${i}":0`).join(',')) },
  '100,000 ranges': {
    stdin: within(
      `"ipam":{"type":"host-local","ranges":[[${Array(100_000).fill('{"subnet":"10.66.0.0/24"}').join(',')}]]}`,
    ),
  },
  '100,000 routes': {
    stdin: within(
      `"ipam":{"type":"host-local","subnet":"10.66.0.0/24","routes":[${Array(100_000).fill('{"dst":"10.9.0.0/24"}').join(',')}]}`,
    ),
  },
  '100,000 addresses to leave out': {
    stdin: within(
      `"ipam":{"type":"host-local","subnet":"10.66.0.0/24","exclude":[${Array(100_000).fill('"10.9.0.7"').join(',')}]}`,
    ),
  },
  '100,000 wrong values': { stdin: within(`"nonMasqueradeCIDRs":[${Array(100_000).fill('0').join(',')}]`) },
  '60,000 VLANs': { stdin: within(`"vlanTrunk":[${Array(60_000).fill('{"minID":1,"maxID":4094}').join(',')}]`) },
  'a number of a megabyte': { stdin: within(`"mtu":${'9'.repeat(MiB)}`) },
  'NULs only': { stdin: new Uint8Array(MiB) },
  'no UTF-8': { stdin: new Uint8Array(MiB).fill(0xff) },
  'UTF-16': { stdin: Buffer.from(`\ufeff${JSON.stringify(good)}`, 'utf16le') },
  '__proto__ in every object': { stdin: JSON.stringify(good).replaceAll('{', '{"__proto__":{"type":"x","bridge":7},') },
  'CNI_ARGS of 100 KB': { env: { CNI_ARGS: 'K8S_A=b;'.repeat(12_500) }, stdin: JSON.stringify(good) },
  'CNI_ARGS of 60,000 empty items': { env: { CNI_ARGS: ';'.repeat(60_000) }, stdin: JSON.stringify(good) },
  'CNI_PATH of 60,000 directories': {
    env: { CNI_PATH: '/:'.repeat(60_000) },
    stdin: JSON.stringify({ ...good, ipam: { type: 'none' } }),
  },
  'a container ID of 100 KB': { env: { CNI_CONTAINERID: 'a'.repeat(100_000) }, stdin: JSON.stringify(good) },
  'a plugin that prints 10 MB': lying('x'.repeat(10 * MiB)),
  'a plugin that prints brackets': lying('['.repeat(MiB - 1)),
  'a plugin that prints 2,000 addresses': lying(
    `{"cniVersion":"1.0.0","ips":[${Array(2000).fill('{"address":"10.66.0.9/24"}').join(',')}]}`,
  ),
  'a plugin that prints an error within errors': lying(nested('{"code":1,"msg":"x","details":', '1', '}', 10_000)),
  'a resolv.conf of a megabyte': {
    stdin: JSON.stringify(good),
    files: [['/run/resolv.conf', 'search '.padEnd(MiB - 1, 'a ')]],
  },
  'a lease of 10 MB': { stdin: JSON.stringify(good), files: [[`${store}/10.66.0.2`, 'x'.repeat(10 * MiB)]] },
  'a last address of 10 MB': {
    stdin: JSON.stringify(good),
    files: [[`${store}/last_reserved_ip.0`, '1'.repeat(10 * MiB)]],
  },
};

/** The network that a call sees, for as long as one lasts. */
export class Target {
  readonly host: Host;
  private readonly plugin: string;
  private before = '';

  private constructor(host: Host, plugin: string) {
    this.host = host;
    this.plugin = plugin;
  }

  static async make(build: Build): Promise<Target> {
    const host = await Host.create(undefined, { plugin: build.path });
    host.run(['ip', 'netns', 'add', 'pod']);
    writeFileSync(host.outer('/run/memory'), '0 0 0\n');
    const target = new Target(host, build.path);
    target.before = target.look().state;
    return target;
  }

  /** What is wrong with how a call ended, or undefined. */
  async fault({ env, stdin, files = [], links = [] }: HostileCall): Promise<string | undefined> {
    const outer = (path: string) => this.host.outer(path);
    rmSync(outer(store), { recursive: true, force: true });
    if (files.length + links.length > 0) mkdirSync(outer(`${store}/.tsbridge`), { recursive: true });
    writeFileSync(outer('/run/resolv.conf'), '');
    for (const [path, content] of files) {
      writeFileSync(outer(path), content);
      chmodSync(outer(path), 0o755);
    }
    for (const [path, target] of links) {
      try {
        if (!target.includes('\0') && target !== '') symlinkSync(target, outer(path));
      } catch {
        // Twice the same name, or no target that a link can have.
      }
    }
    const clean = Object.fromEntries(
      Object.entries(env).filter(([, value]) => value !== undefined && !value.includes('\0')),
    ) as Record<string, string>;
    const ended = await this.run(clean, stdin);
    const { state, kib, cpuMs } = this.look();
    const problem = this.problemOf(clean, { ...ended, kib, cpuMs }, state);
    if (state !== this.before) this.tidy();
    return problem;
  }

  private problemOf(
    env: Record<string, string>,
    { status, signal, stdout, stderr, ms, kib, cpuMs }: Ended,
    state: string,
  ): string | undefined {
    const shown = `${JSON.stringify(stdout.slice(0, 400))} ${JSON.stringify(stderr.slice(0, 400))}`;
    if (signal !== null) return `ended by ${signal} after ${ms} ms: ${shown}`;
    if (ms > patienceMs || cpuMs > mostCpuMs) return `${ms} ms, ${cpuMs} ms of a processor: ${shown}`;
    if (kib > mostMemory) return `${kib} KiB: ${shown}`;
    if (
      /\n\s+at .*[:(]|\bat <anonymous>|SyntaxError|TypeError|RangeError|InternalError/.test(
        stdout.replace(/"msg": ".*JSON: .*"/, ''),
      )
    )
      return `a stack trace or an engine's error on stdout: ${shown}`;
    if (status === 0) {
      const isQuiet = ['DEL', 'CHECK', 'GC', 'STATUS', ''].includes(env.CNI_COMMAND ?? '');
      if (isQuiet && stdout !== '') return `success with words: ${shown}`;
      if (!isQuiet && !isObject(stdout)) return `success without a result: ${shown}`;
      return undefined;
    }
    if (status !== 1) return `exit status ${status}: ${shown}`;
    const error = parsed(stdout);
    if (
      typeof error?.code !== 'number' ||
      typeof error.msg !== 'string' ||
      error.msg === '' ||
      typeof error.cniVersion !== 'string'
    )
      return `no error document: ${shown}`;
    const isForeign = env.CNI_PATH === '/run/cni/bin'; // an IPAM plugin says what it likes
    if (!codes.has(error.code) && !(isForeign && error.code !== 999 && /IPAM plugin/.test(String(error.details))))
      return `code ${error.code}: ${shown}`;
    if (state !== this.before && env.CNI_COMMAND === 'ADD')
      return `a change without success (${JSON.stringify(this.before)} became ${JSON.stringify(state)}): ${shown}`;
    return undefined;
  }

  /** Interfaces of the host and of the pod and the elements of rules; and how much memory the last call took. */
  private look(): { state: string; kib: number; cpuMs: number } {
    const script =
      'tail -n1 /run/memory; ip -br link; ip -n pod -br address; cat /proc/sys/net/ipv4/ip_forward; nft list ruleset | grep elements';
    const [memory = '', ...state] = this.host.attempt(['sh', '-c', script]).stdout.split('\n');
    const [kib = 0, user = 0, system = 0] = memory.split(' ').map(Number);
    return { state: state.join('\n'), kib, cpuMs: Math.round(1000 * (user + system)) };
  }

  private run(env: Record<string, string>, stdin: string | Uint8Array): Promise<Omit<Ended, 'kib' | 'cpuMs'>> {
    const [file = '', ...args] = this.host.inside([
      '/usr/bin/time',
      '-q',
      '-f',
      '%M %U %S',
      '-o',
      '/run/memory',
      this.plugin,
    ]);
    return new Promise((resolve) => {
      const started = performance.now();
      const child = spawn(file, args, { env, stdio: 'pipe', detached: true });
      // With the process group, of which the plugin is as well.
      const timer = setTimeout(() => process.kill(-(child.pid as number), 'SIGKILL'), 20_000);
      let [stdout, stderr] = ['', ''];
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        stdout += text;
      });
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        stderr += text;
      });
      child.stdin.on('error', () => {});
      child.stdin.end(typeof stdin === 'string' ? Buffer.from(stdin, 'utf8') : stdin);
      child.on('close', (status, signal) => {
        clearTimeout(timer);
        const ms = Math.round(performance.now() - started);
        resolve({ status, signal, stdout, stderr, ms });
      });
    });
  }

  /** What succeeded is taken down. */
  private tidy(): void {
    this.host.run([
      'sh',
      '-c',
      'for link in $(ip -br link show type veth | sed "s/[@ ].*//"); do ip link del "$link"; done; ip netns del pod; ip netns add pod; nft flush ruleset; for link in $(ip -br link show type bridge | sed "s/ .*//"); do ip link del "$link"; done; rm -f /run/cni/bin/liar; echo 0 >/proc/sys/net/ipv4/ip_forward',
    ]);
  }

  [Symbol.dispose](): void {
    this.host[Symbol.dispose]();
  }
}

interface Ended {
  status: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
  ms: number;
  kib: number; // of memory, at most
  cpuMs: number;
}

function parsed(text: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const isObject = (text: string): boolean => {
  const value = parsed(text);
  return typeof value === 'object' && value !== null && !Array.isArray(value);
};

/** `cases` in all for one build, and every so manieth edge, as pieces of work; the same seed gives the same calls. */
export function hostileCalls(build: Build, cases: number, edgeStep = 1, seed = 14): (() => Promise<Row>)[] {
  const tried = Object.entries(edges).filter((_, i) => i % edgeStep === 0);
  const tooMuch = () =>
    row(`hostile input to ${build.name}: too large, too deep, too many`, async () => {
      using target = await Target.make(build);
      const found = new Faults();
      for (const [what, { env = {}, ...rest }] of tried) {
        for (const CNI_COMMAND of ['ADD', 'DEL']) {
          const fault = await target.fault({ env: { ...goodEnv, ...env, CNI_COMMAND }, ...rest });
          if (fault !== undefined) found.add(`${CNI_COMMAND} of ${what}: ${fault}`);
        }
      }
      return { ran: `${2 * tried.length} calls`, found: found.toString() };
    });
  const fuzzed = calls.map(
    ({ what, share, call }) =>
      () =>
        row(`hostile input to ${build.name}: ${what}`, async () => {
          using target = await Target.make(build);
          const found = new Faults();
          const numRuns = Math.ceil(cases * share);
          const seen = new Set<string>();
          for (const one of fc.sample(call, { numRuns, seed })) {
            const fault = await target.fault(one);
            if (fault === undefined) continue;
            const kind = fault.replace(/\d+/g, 'N').slice(0, 60);
            if (!seen.has(kind)) found.add(`${fault} of ${JSON.stringify(one).slice(0, 1500)}`);
            seen.add(kind);
          }
          return { ran: `${numRuns} calls`, found: found.toString() };
        }),
  );
  return [tooMuch, ...fuzzed];
}
