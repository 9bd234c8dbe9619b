import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { Build } from '../support/builds.ts';
import type { CniCall, CniOutcome } from '../support/cni.ts';
import type { Container } from '../support/container.ts';
import { Host } from '../support/host.ts';
import { referencePlugins } from '../support/reference-plugins.ts';
import { Faults, type Row, row } from './row.ts';

const conf = {
  cniVersion: '1.1.0',
  name: 'storm',
  type: 'tsbridge',
  bridge: 'stm0',
  isDefaultGateway: true,
  ipMasq: true,
  macspoofchk: true,
  hairpinMode: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.70.0.0/22' }], [{ subnet: '2001:db8:70::/64' }]] },
};
const gateways = ['10.70.0.1', '2001:db8:70::1'];
/** The reference's, on the same bridge and the same store. Its rules would be iptables': others' flushing is not its strength. */
const goConf = { ...conf, cniVersion: '1.0.0', type: 'bridge', ipMasq: false, macspoofchk: false };

/** Longer than any bound of the plugin: the lock's 30 seconds are the longest. */
const patienceMs = 45_000;

const addressesOf = ({ json }: CniOutcome): string[] =>
  ((json?.ips ?? []) as { address: string }[]).map(({ address }) => address.slice(0, address.indexOf('/')));

/** A call of the plugin, and how long it took. */
async function timed(host: Host, call: CniCall): Promise<CniOutcome & { ms: number }> {
  const started = performance.now();
  const outcome = await host.cniStart({ timeoutMs: patienceMs, ...call }).done;
  return { ...outcome, ms: performance.now() - started };
}

/** Whether the pod's gateways answer. */
async function reachesGateways(pod: Container): Promise<boolean> {
  for (const gateway of gateways) {
    const ping = pod.start(['ping', '-n', '-q', '-c1', '-w10', '-i0.2', gateway]);
    if ((await ping.done).status !== 0) return false;
  }
  return true;
}

/** ADDs of so many pods at once where there is no bridge, no table and no store yet; then their DELs at once. */
export const allAtOnce = (build: Build, pods: number): Promise<Row> =>
  row(`storm on ${build.name}: all at once, with no bridge, table or store`, async () => {
    using host = await Host.create(undefined, { plugin: build.path });
    const found = new Faults();
    const all = Array.from({ length: pods }, () => host.container());
    const added = await Promise.all(all.map((container) => timed(host, { command: 'ADD', container, conf })));
    const owners = new Map<string, string>();
    for (const [i, outcome] of added.entries()) {
      const pod = all[i] as Container;
      if (outcome.status !== 0) found.add(`ADD: ${outcome.stdout || outcome.signal}`);
      for (const address of addressesOf(outcome)) {
        if (owners.has(address)) found.add(`${address} is ${owners.get(address)}'s and ${pod.id}'s`);
        owners.set(address, pod.id);
      }
    }
    const slowest = Math.max(...added.map(({ ms }) => ms));
    for (let i = 0; i < pods; i += 16) {
      const some = all.slice(i, i + 16);
      const reached = await Promise.all(some.map(reachesGateways));
      for (const [j, isReached] of reached.entries()) {
        if (!isReached && added[i + j]?.status === 0) found.add(`${some[j]?.id} does not reach its gateway`);
      }
    }
    const deleted = await Promise.all(all.map((container) => timed(host, { command: 'DEL', container, conf })));
    for (const { status, stdout, signal } of deleted) if (status !== 0) found.add(`DEL: ${stdout || signal}`);
    const left = host.leftovers();
    if (left.length > 0) found.add(`left: ${left.join(', ')}`);
    return { ran: `${pods} ADDs, the slowest in ${Math.round(slowest)} ms, and ${pods} DELs`, found: found.toString() };
  });

/** What a worker has at this moment. */
interface Attachment {
  serial: number;
  containerID: string;
  /** From the moment that ADD has reported them to the moment that DEL begins. */
  addresses: string[];
}

const idOf = (worker: number, serial: number): string => `worker-${worker}-${serial}`;

/** ADD and DEL by many workers, a fourth of them with the reference plugin, on one store; GC, STATUS and somebody who flushes all rules beside. */
export const comeAndGo = (build: Build, { seconds, workers }: { seconds: number; workers: number }): Promise<Row> =>
  row(`storm on ${build.name}: coming and going`, async () => {
    using host = await Host.create(undefined, { plugin: build.path });
    const found = new Faults();
    const counts = { ADD: 0, DEL: 0, GC: 0, STATUS: 0, reference: 0, flushed: 0, samples: 0 };
    const attachments: Attachment[] = Array.from({ length: workers }, () => ({
      serial: 1,
      containerID: '',
      addresses: [],
    }));
    const end = performance.now() + seconds * 1000;
    let slowest = 0;
    const isOver = () => performance.now() >= end || found.count > 10;
    const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
    const fail = (what: string, { status, stdout, signal, ms }: CniOutcome & { ms: number }) => {
      slowest = Math.max(slowest, ms);
      if (status !== 0) found.add(`${what} after ${Math.round(ms)} ms: ${stdout || signal}`);
      return status !== 0;
    };

    const work = async (own: Attachment, n: number) => {
      const hasGo = n % 4 === 3 && existsSync(`${referencePlugins}/bridge`);
      const pod = host.container();
      for (own.serial = 1; !isOver(); own.serial++) {
        own.containerID = idOf(n, own.serial);
        const call = {
          container: pod,
          containerID: own.containerID,
          ...(hasGo ? { conf: goConf, plugin: 'bridge' } : { conf }),
        };
        const added = await timed(host, { command: 'ADD', ...call });
        const addresses = addressesOf(added);
        if (!fail(`${hasGo ? "the reference's " : ''}ADD`, added)) {
          for (const other of attachments) {
            for (const address of addresses) {
              if (other.addresses.includes(address))
                found.add(`${address} is ${other.containerID}'s and ${own.containerID}'s`);
            }
          }
          own.addresses = addresses;
          if (!(await reachesGateways(pod))) found.add(`${own.containerID} (${addresses}) does not reach its gateway`);
          await pause(Math.random() * 300);
        }
        own.addresses = [];
        // DEL by whoever has the node now: what the reference plugin made is taken down by tsbridge now and then.
        const deleter = hasGo && Math.random() < 0.5 ? { ...call, conf, plugin: build.path } : call;
        fail('DEL', await timed(host, { command: 'DEL', ...deleter }));
        counts.ADD++;
        counts.DEL++;
        if (hasGo) counts.reference++;
      }
    };

    const beside = async (everyMs: number, act: () => Promise<unknown>) => {
      while (!isOver()) {
        await pause(everyMs);
        await act();
      }
    };

    const collect = async () => {
      // SPEC "Lifecycle & Ordering": nobody may ADD or DEL while GC is at work with a list. Here they do, so the list has those to come as well; or
      // there is none, for what is demonstrably dead.
      const valid = attachments.flatMap(({ serial }, n) =>
        Array.from({ length: 30 }, (_, i) => ({ containerID: idOf(n, serial + i), ifname: 'eth0' })),
      );
      const list = counts.GC++ % 2 === 0 ? {} : { 'cni.dev/valid-attachments': valid };
      fail('GC', await timed(host, { command: 'GC', conf: { ...conf, ...list } }));
    };

    const leaseOf = async (address: string): Promise<string> => {
      try {
        return await readFile(host.outer(`${Host.dataDir}/storm/${address}`), 'utf8');
      } catch (error) {
        return String(error);
      }
    };

    const sample = async () => {
      counts.samples++;
      const before = attachments.map(({ containerID, addresses }) => ({ containerID, addresses }));
      for (const [n, { containerID, addresses }] of before.entries()) {
        const now = attachments[n] as Attachment;
        if (now.containerID !== containerID || now.addresses.length === 0) continue;
        for (const address of addresses) {
          const lease = await leaseOf(address);
          // Read while it still was the worker's.
          if (lease !== `${containerID}\r\neth0` && now.containerID === containerID && now.addresses.length > 0)
            found.add(`${address} of ${containerID} has the lease ${JSON.stringify(lease)}`);
        }
      }
    };

    await Promise.all([
      ...attachments.map(work),
      beside(700, collect),
      beside(500, async () => {
        counts.STATUS++;
        fail('STATUS', await timed(host, { command: 'STATUS', conf }));
      }),
      beside(1500, async () => {
        counts.flushed++;
        await host.start(['nft', 'flush', 'ruleset']).done;
      }),
      beside(200, sample),
    ]);
    const left = host.leftovers();
    if (left.length > 0) found.add(`left: ${left.join(', ')}`);
    const { ADD, GC, STATUS, reference, flushed, samples } = counts;
    return {
      ran: `${seconds} s, ${workers} workers: ${ADD} ADDs and DELs (${reference} of the reference plugin), ${GC} GCs, ${STATUS} STATUS, ${flushed} times all rules flushed, ${samples} samples; the slowest call took ${Math.round(slowest)} ms`,
      found: found.toString(),
    };
  });
