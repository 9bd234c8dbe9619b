import { type Ip, parseIp } from '../ip/address.ts';
import { formatPrefix, mustPrefix, type Prefix } from '../ip/prefix.ts';
import { vxlanOverhead } from '../plan/pod-routes/devices.ts';
import { type Plan, planPodRoutes } from '../plan/pod-routes/plan.ts';
import type { PodRouteState } from '../plan/pod-routes/state.ts';
import { assess, type ClusterView, type OwnNode, readOwnNode } from './cluster.ts';
import type { ConflistFacts } from './conflist.ts';
import { type HostFacts, hostFacts } from './host-facts.ts';
import type { ClusterNode } from './node-object.ts';
import type { Problem } from './problem.ts';
import type { Settings } from './settings.ts';

/** What shall be done on this node, and what is odd. */
export interface Decision {
  plan: Plan;
  problems: Problem[];
  /** What the conflist says; absent while the node has no range, or no interface to other nodes. */
  conflist?: ConflistFacts;
  others: number; // nodes beside this one
  /** The interfaces to other nodes; none while one is missing for a family that pods have. */
  uplinks: string[];
}

/** The last view of the cluster, and what it was made of: most looks at the host find both as they were. */
export interface Memo {
  key?: string;
  view?: ClusterView;
}

/**
 * From the nodes and the host as they are to what shall be done. Pure. `guarded`: further addresses that no range may take, the API
 * server's. `version`: another one whenever `nodes` are others, for the memo.
 */
export function decide(
  nodes: Iterable<ClusterNode>,
  self: ClusterNode,
  state: PodRouteState,
  settings: Settings,
  guarded: readonly string[],
  removes: boolean,
  memo: Memo = {},
  version = 0,
): Decision {
  const all = [...nodes];
  const own = readOwnNode(self, settings);
  const facts = hostFacts(state, own.addresses, own.ranges, settings);
  const key = [
    version,
    ...own.ranges.map(formatPrefix),
    ...[...facts.own, '', ...facts.gateways, '', ...guarded, ''],
    ...facts.connected.map(formatPrefix),
  ].join(' ');
  if (key !== memo.key || !memo.view) memo.view = assess(all, own, facts, ipsOf(guarded), settings);
  memo.key = key;
  const { view } = memo;
  const { mode, vni, vxlanPort, node } = settings;
  const plan = planPodRoutes(
    { node, ranges: own.ranges, peers: view.peers, mode, vni, port: vxlanPort, uplinks: facts.uplinks, removes },
    state,
  );
  const mtu = settings.mtu ?? podMtu(own, facts, mode);
  const ranges: Prefix[] = [...own.ranges, ...view.peers.flatMap((peer) => peer.ranges.map(mustPrefix))];
  const cluster = settings.clusterCidrs.length > 0 ? settings.clusterCidrs : ranges;
  return {
    plan,
    problems: [...own.problems, ...view.problems, ...plan.obstacles],
    ...(own.ranges.length > 0 && mtu !== undefined ? { conflist: { ranges: own.ranges, mtu, cluster } } : {}),
    uplinks: own.ranges.every(({ family }) => facts.uplinks[family])
      ? Object.values(facts.uplinks).map(({ dev }) => dev)
      : [],
    others: all.filter(({ name }) => name !== node).length,
  };
}

const ipsOf = (texts: readonly string[]): Ip[] => texts.flatMap((text) => parseIp(text) ?? []);

/**
 * What fits through the uplink of every family that pods have. In mode auto the room for VXLAN is kept while no node needs it: pods that are
 * running keep their MTU when one comes that does.
 */
function podMtu(own: OwnNode, { uplinks }: HostFacts, mode: Settings['mode']): number | undefined {
  const mtus = ([4, 6] as const).flatMap((family) => {
    const uplink = own.ranges.some((range) => range.family === family) ? uplinks[family] : undefined;
    return uplink ? [uplink.mtu - (mode === 'direct' ? 0 : vxlanOverhead[family])] : [];
  });
  return mtus.length === 0 ? undefined : Math.min(...mtus);
}
