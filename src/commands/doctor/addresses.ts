import { bare } from '../node-state.ts';
import { type Finding, type Look, nameOf } from './finding.ts';

/** Addresses that two have: pods on one bridge, known to us or not, or a pod and the node itself. */
export function addressesTwice({ kernel, node: { attachments, links, networks } }: Look): Finding[] {
  const bridges = new Map(
    [...networks.values()].flatMap(({ conf, name }) => {
      const link = links.find((one) => one.name === conf?.bridge);
      return link ? [[link.index, name] as const] : [];
    }),
  );
  const owner = new Map(attachments.flatMap((known) => (known.link ? [[known.link.index, known] as const] : [])));
  const holders = new Map<string, { dev: string; network: string; who: string }[]>();
  const add = (key: string, one: { dev: string; network: string; who: string }) =>
    holders.set(key, [...(holders.get(key) ?? []), one]);
  for (const link of links) {
    if (link.kind !== 'veth' || link.master === undefined) continue;
    const known = owner.get(link.index);
    const network = known?.network ?? bridges.get(link.master);
    if (network === undefined) continue;
    const peer = known ? known.peer : kernel.peer(link);
    const who = known ? nameOf(known) : `the container behind ${link.name}`;
    for (const prefix of peer?.prefixes ?? []) add(`${link.master} ${bare(prefix)}`, { dev: link.name, network, who });
  }
  const found: Finding[] = [];
  for (const [key, [first, second]] of holders) {
    if (!first || !second) continue;
    found.push({
      network: first.network,
      problem: `two pods have ${key.slice(key.indexOf(' ') + 1)}`,
      evidence: `${first.dev} and ${second.dev} lead to it`,
      effect: 'connections to either break, or reach the other one',
      remedy: 'restart one of the pods',
    });
  }
  const ofNode = new Map(
    links.flatMap(({ name, index }) =>
      kernel.addresses('host', index).map(({ prefix }) => [bare(prefix), name] as const),
    ),
  );
  for (const [key, [holder]] of holders) {
    const address = key.slice(key.indexOf(' ') + 1);
    const dev = ofNode.get(address);
    if (!holder || dev === undefined) continue;
    found.push({
      network: holder.network,
      problem: `${holder.who} has ${address}, which is the node's own`,
      evidence: `ip addr show ${dev}`,
      effect: 'what is sent to the pod, the node takes for itself',
      remedy: `ip addr del the address from ${dev}, or exclude it ("exclude" in ipam) and restart the pod`,
    });
  }
  return found;
}
