import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { Cluster } from '../support/kube/cluster.ts';
import type { ClusterNode } from '../support/kube/cluster-node.ts';
import { type NodeObject, nodeObject } from '../support/kube/node-object.ts';
import { machine } from './machine.ts';
import { median } from './statistics.ts';

// What the agent costs: `make bench-agent` writes the figures into docs/agent.md. From the environment:
// BENCH_NODES    how many nodes a cluster has besides (1000,5000); others leave docs/ alone unless BENCH_WRITE=1
// BENCH_IDLE     for how many seconds an idle agent is watched (60)

const document = resolve(import.meta.dirname, '../../docs/agent.md');
const counts = (process.env.BENCH_NODES ?? '1000,5000').split(',').map(Number);
const idleSeconds = Number(process.env.BENCH_IDLE ?? 60);
const events = 30;

interface Row {
  nodes: number;
  mode: 'direct' | 'vxlan';
  firstSync: Span; // from the start of the process to /readyz
  restart: Span; // the same when all is there already
  memory: number; // MiB of its own, when idle: without pages of the executable, which is 150 MB
  resident: number; // MiB, the greatest, with those
  idle: number; // % of a processor, when nothing happens
  heartbeats: number; // % of a processor, when every node's status changes every five minutes
  event: number[]; // ms from a node's being put into the store to the kernel's telling of its route
  eventWork: number; // ms of processor time for each of these
  load: number; // the machine's load average: beyond the number of processors, others were at work
}

/** How long something took, and what of that was the agent's own work. Seconds. */
interface Span {
  wall: number;
  processor: number;
}

/** Node n of a large cluster, 0 for the first: about 12 kB, most of it images, as of a node that has run for a while. */
function largeObject(n: number, mode: Row['mode'], beat = 0): NodeObject {
  const [high, low] = [n >> 8, n & 255];
  const link = mode === 'direct' ? '2001:db8:1::' : '2001:db8:9::';
  const object = nodeObject(`worker-${n}`, {
    podCIDRs: [`10.${64 + high}.${low}.0/24`, `fd00:10:${(0x1000 + n).toString(16)}::/64`],
    addresses: [
      `172.${16 + (mode === 'direct' ? 0 : 8)}.${high + 1}.${low}`,
      `${link}${(0x1_0000 + n).toString(16).replace(/(?=.{4}$)/, ':')}`,
    ],
  });
  const images = Array.from({ length: 50 }, (_, i) => ({
    names: [
      `registry.example/team-${i}/service@sha256:${'0123456789abcdef'.repeat(4)}`,
      `registry.example/team-${i}/service:v1.${i}`,
    ],
    sizeBytes: 1e8 + i,
  }));
  const conditions = ['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure'].map((type) => ({
    ...{ type, status: type === 'Ready' ? 'True' : 'False', reason: 'Kubelet' },
    lastHeartbeatTime: new Date(Date.UTC(2026, 0, 1, 0, 0, beat)).toISOString(),
  }));
  return { ...object, status: { ...object.status, images, conditions } as NodeObject['status'] };
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Seconds of processor time that a process has used. proc(5), /proc/PID/stat: utime and stime, in ticks of 10 ms */
function processorSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/.*\) /s, '').split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function memoryMiB(pid: number, field: 'RssAnon' | 'VmHWM'): number {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(text)?.[1]) / 1024;
}

/** From the start of an agent until it is ready. */
async function untilReady(node: ClusterNode, mode: Row['mode']): Promise<Span> {
  const began = performance.now();
  const { pid } = node.startAgent('--mode', mode);
  await node.ready(120_000);
  return { wall: (performance.now() - began) / 1000, processor: processorSeconds(pid) };
}

/** The share of a processor that the agent takes, in per cent, while `meanwhile` goes on. */
async function load(node: ClusterNode, meanwhile: () => void, everyMs: number): Promise<number> {
  const pid = node.agent?.pid ?? 0;
  const [before, began] = [processorSeconds(pid), performance.now()];
  const timer = setInterval(meanwhile, everyMs);
  await pause(idleSeconds * 1000);
  clearInterval(timer);
  return ((processorSeconds(pid) - before) * 1e5) / (performance.now() - began);
}

/** Milliseconds from an event to its route, as `ip monitor` on the node tells of it. */
async function eventToRoute(cluster: Cluster, node: ClusterNode, mode: Row['mode'], first: number): Promise<number[]> {
  const [file = '', ...words] = node.host.inside(['ip', '-4', 'monitor', 'route']);
  const monitor = spawn(file, words, { stdio: ['ignore', 'pipe', 'inherit'] });
  const waiting = new Map<string, () => void>();
  createInterface(monitor.stdout).on('line', (line) => {
    for (const [range, done] of waiting) if (line.startsWith(`${range} `)) done();
  });
  await pause(500);
  const times: number[] = [];
  for (let n = first; n < first + events; n++) {
    const object = largeObject(n, mode);
    const range = object.spec.podCIDRs?.[0] ?? '';
    const began = performance.now();
    const came = new Promise<void>((resolve) => waiting.set(range, resolve));
    cluster.api.store.put(object);
    await came;
    times.push(performance.now() - began);
    waiting.delete(range);
    await pause(300);
  }
  monitor.kill();
  return times;
}

async function measure(nodes: number, mode: Row['mode']): Promise<Row> {
  const after: (() => unknown)[] = [];
  const cluster = await Cluster.create({ teardown: (fn) => after.push(fn) }, { links: [1] });
  try {
    const node = cluster.node(1).register();
    node.shell('ip addr add 172.16.0.1/13 dev eth0'); // the direct ones are on it, the others are not
    for (let n = 0; n < nodes; n++) cluster.api.store.put(largeObject(n, mode));
    const firstSync = await untilReady(node, mode);
    const routes = (await node.destinations()).length;
    if (routes !== 2 * nodes) throw new Error(`${routes} routes to ${nodes} nodes\n${node.agent?.text.slice(-2000)}`);
    await node.agent?.stop();
    const restart = await untilReady(node, mode);
    await pause(5000);
    const idle = await load(node, () => {}, 1000);
    let beat = 0;
    const heartbeats = await load(
      node,
      () => cluster.api.store.put(largeObject(beat % nodes, mode, ++beat)),
      300_000 / nodes,
    );
    const pid = node.agent?.pid ?? 0;
    const before = processorSeconds(pid);
    const event = await eventToRoute(cluster, node, mode, nodes);
    const eventWork = ((processorSeconds(pid) - before) * 1000) / events;
    const [memory, resident] = [memoryMiB(pid, 'RssAnon'), memoryMiB(pid, 'VmHWM')];
    const load1 = loadavg()[0] ?? 0;
    return { nodes, mode, firstSync, restart, memory, resident, idle, heartbeats, event, eventWork, load: load1 };
  } finally {
    for (const fn of after.toReversed()) await fn();
  }
}

function markdown(rows: Row[]): string {
  const { cpu, cpus, kernel } = machine('/tmp');
  const date = new Date().toISOString().slice(0, 10);
  const cell = (value: number, digits = 1) => value.toFixed(digits);
  const span = ({ wall, processor }: Span) => `${cell(wall)} s, ${cell(processor)} s`;
  const loads = rows.map(({ load }) => load);
  return [
    `${date}, on ${cpus} × ${cpu}, Linux ${kernel}, with a load of ${cell(Math.min(...loads), 0)} to ${cell(Math.max(...loads), 0)}: beyond ${cpus}, others were at work.`,
    'Node objects of 12 kB, both families; of two times the second one is that of the processor.',
    '',
    '| other nodes | mode | first sync | start when all is there | memory of its own, greatest resident | idle | with heartbeats | event to route: median, longest, processor |',
    '|---|---|---|---|---|---|---|---|',
    ...rows.map(({ nodes, mode, firstSync, restart, memory, resident, idle, heartbeats, event, eventWork }) =>
      [
        '',
        ` ${nodes.toLocaleString('en')} `,
        ` ${mode} `,
        ` ${span(firstSync)} `,
        ` ${span(restart)} `,
        ` ${cell(memory, 0)} MiB, ${cell(resident, 0)} MiB `,
        ` ${cell(idle, 2)} % `,
        ` ${cell(heartbeats, 2)} % `,
        ` ${cell(median(event), 0)} ms, ${cell(Math.max(...event), 0)} ms, ${cell(eventWork, 0)} ms `,
        '',
      ].join('|'),
    ),
  ].join('\n');
}

const rows: Row[] = [];
for (const nodes of counts) {
  for (const mode of ['direct', 'vxlan'] as const) {
    rows.push(await measure(nodes, mode));
    console.log(markdown(rows.slice(-1)).split('\n').at(-1), `load ${loadavg()[0]?.toFixed(1)}`);
  }
}
if (process.env.BENCH_NODES === undefined || process.env.BENCH_WRITE) {
  const text = readFileSync(document, 'utf8');
  const block = /(<!-- bench-agent: [^\n]*-->\n)[\s\S]*?(<!-- \/bench-agent -->)/;
  if (!block.test(text)) throw new Error(`no place for the figures in ${document}`);
  writeFileSync(
    document,
    text.replace(block, (_, begin, end) => `${begin}${markdown(rows)}\n${end}`),
  );
}
