import { type Family, formatIp, type Ip, parseIp } from '../ip/address.ts';
import { contains, formatPrefix, mustPrefix, networkOf, overlaps, type Prefix, parsePrefix } from '../ip/prefix.ts';
import { PrefixMap } from '../ip/prefix-map.ts';
import type { Peer } from '../plan/pod-routes/plan.ts';
import type { HostFacts } from './host-facts.ts';
import type { ClusterNode } from './node-object.ts';
import type { Problem, ProblemName } from './problem.ts';
import type { Settings } from './settings.ts';

/** The node that the agent runs on. */
export interface OwnNode {
  ranges: Prefix[];
  addresses: string[];
  problems: Problem[];
}

/** The other nodes, as far as there is a way to each. */
export interface ClusterView {
  peers: Peer[];
  problems: Problem[];
}

/** What no pod can have. IANA's special-purpose address registries. */
const special = ['0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/3', '::/8', 'fe80::/10', 'ff00::/8'].map(
  mustPrefix,
);
/** What no node can have. */
const unreachable = ['0.0.0.0/8', '127.0.0.0/8', '224.0.0.0/3', '::/8', 'fe80::/10', 'ff00::/8'].map(mustPrefix);
/** Nobody gives one node more than that. */
const shortest = { 4: 8, 6: 16 } as const satisfies Record<Family, number>;

/** A range, or why it is none. */
function readRange(text: string, clusterCidrs: readonly Prefix[]): Prefix | ProblemName {
  const parsed = parsePrefix(text);
  if (!parsed) return 'malformed';
  const range = networkOf(parsed);
  if (range.length < shortest[range.family] || special.some((one) => overlaps(one, range))) return 'special-range';
  const isInside = (one: Prefix) => one.length <= range.length && contains(one, range);
  if (clusterCidrs.length > 0 && !clusterCidrs.some(isInside)) return 'outside-cluster';
  return range;
}

/** What the own node's object says. `unless`: addresses that none of its ranges may have in it. */
export function readOwnNode(node: ClusterNode, { clusterCidrs }: Pick<Settings, 'clusterCidrs'>): OwnNode {
  const problems: Problem[] = [];
  const ranges: Prefix[] = [];
  const addresses: string[] = [];
  for (const text of node.addresses) {
    const ip = parseIp(text);
    if (ip) addresses.push(formatIp(ip));
    else problems.push({ node: node.name, problem: 'malformed', what: text });
  }
  for (const text of node.ranges) {
    const range = readRange(text, clusterCidrs);
    if (typeof range === 'string') problems.push({ node: node.name, problem: range, what: text });
    // A range of pods that its own node is in would take the node's address.
    else if (addresses.some((address) => contains(range, mustIp(address)))) {
      problems.push({ node: node.name, problem: 'covers-own', what: text });
    } else if (!ranges.some((one) => overlaps(one, range))) ranges.push(range);
  }
  if (node.ranges.length === 0) problems.push({ node: node.name, problem: 'no-range', what: '' });
  return { ranges, addresses, problems };
}

/**
 * The ways to the other nodes, and what is odd about any of them. Who was there first keeps what two of them claim: the API server alone sets
 * when a node was created. With --cluster-cidr, where a range cannot be an attack on a node's address, all ranges come before all addresses;
 * without it, a node's address that is in the range of a younger one refuses that range.
 * `guarded`: addresses beside the host's own ones that must not be taken: the API server's.
 */
export function assess(
  nodes: Iterable<ClusterNode>,
  own: OwnNode,
  facts: HostFacts,
  guarded: readonly Ip[],
  { node: self, clusterCidrs }: Pick<Settings, 'node' | 'clusterCidrs'>,
): ClusterView {
  const problems: Problem[] = [];
  const others = [...nodes].filter(({ name }) => name !== self).sort(byAge);
  const ranges = new PrefixMap<string>();
  for (const range of own.ranges) ranges.add(range, self);
  /** Of the nodes met so far. */
  const addresses = new PrefixMap<string>();
  const kept = new PrefixMap<string>();
  const keep = (address: Ip) => kept.add(hostPrefix(address), self);
  for (const text of [...facts.own, ...facts.gateways]) keep(mustIp(text));
  for (const ip of guarded) keep(ip);

  const rangesOf = (node: ClusterNode): Prefix[] => {
    const accepted: Prefix[] = [];
    const refuse = (problem: ProblemName, what: string) => problems.push({ node: node.name, problem, what });
    if (node.ranges.length === 0) refuse('no-range', '');
    for (const text of node.ranges) {
      const range = readRange(text, clusterCidrs);
      if (typeof range === 'string') {
        refuse(range, text);
        continue;
      }
      const other = ranges.overlapping(range);
      if (own.ranges.some((one) => overlaps(one, range))) refuse('own-range-elsewhere', text);
      else if (
        kept.overlapping(range) ||
        (clusterCidrs.length === 0 && facts.connected.some((one) => overlaps(one, range)))
      ) {
        refuse('covers-own', text);
      } else if (other && other.value !== node.name) refuse('duplicate-range', text);
      else if (addresses.overlapping(range)) refuse('covers-node', text);
      else if (!other) {
        ranges.add(range, node.name);
        accepted.push(range);
      }
    }
    return accepted;
  };

  const addressesOf = (node: ClusterNode): Ip[] => {
    const accepted: Ip[] = [];
    const refuse = (problem: ProblemName, what: string) => problems.push({ node: node.name, problem, what });
    for (const text of node.addresses) {
      const ip = parseIp(text);
      if (!ip) refuse('malformed', text);
      else if (facts.own.has(formatIp(ip)) || unreachable.some((one) => contains(one, ip))) refuse('own-address', text);
      else if (ranges.containing(ip)) refuse('address-in-range', text);
      else {
        accepted.push(ip);
        addresses.add(hostPrefix(ip), node.name);
      }
    }
    return accepted;
  };

  let known: { node: ClusterNode; ranges: Prefix[]; addresses: Ip[] }[];
  if (clusterCidrs.length > 0) {
    const withRanges = others.map((node) => ({ node, ranges: rangesOf(node) }));
    known = withRanges.map((one) => ({ ...one, addresses: addressesOf(one.node) }));
  } else {
    known = others.map((node) => {
      const itsAddresses = addressesOf(node);
      return { node, addresses: itsAddresses, ranges: rangesOf(node) };
    });
  }

  const peers: Peer[] = [];
  for (const { node, ranges: accepted, addresses: reachable } of known) {
    for (const family of [4, 6] as const) {
      const ofFamily = accepted.filter((range) => range.family === family);
      if (ofFamily.length === 0) continue;
      const candidates = reachable.filter((ip) => ip.family === family);
      const [address] = candidates;
      const report = (problem: ProblemName, what: string) => problems.push({ node: node.name, problem, what });
      if (ofFamily.length > 1) report('two-ranges', ofFamily.map(formatPrefix).join(' '));
      if (candidates.length > 1) report('two-addresses', candidates.map(formatIp).join(' '));
      if (!address) report('no-address', ofFamily.map(formatPrefix).join(' '));
      else peers.push({ node: node.name, family, ranges: ofFamily.map(formatPrefix), address: formatIp(address) });
    }
  }
  return { peers, problems };
}

const hostPrefix = (ip: Ip): Prefix => ({ ...ip, length: ip.family === 4 ? 32 : 128 });

/** Of two nodes that were made in the same second, names decide, on every node in the same way. What says nothing of its age is young. */
function byAge(a: ClusterNode, b: ClusterNode): number {
  if (a.created !== b.created) return (a.created || '~') < (b.created || '~') ? -1 : 1;
  return a.name < b.name ? -1 : 1;
}

function mustIp(text: string): Ip {
  const ip = parseIp(text);
  if (!ip) throw new Error(`no IP address: ${text}`);
  return ip;
}
