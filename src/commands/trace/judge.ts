import { errno, errnoName } from '../../linux/errno.ts';
import { NFPROTO } from '../../netlink/nftables/types.ts';
import type { Drop, Facts, Route } from './facts.ts';

/** A place on a packet's way. */
export interface Hop {
  hop: string;
  state: 'ok' | 'stops' | 'unseen';
  what: string;
  remedy?: string; // a command that mends it, or that shows more
}

const OPERSTATE_UP = 6; // linux/if.h
const FORWARDING = 3; // BR_STATE_FORWARDING, linux/if_bridge.h
const families: Record<number, string> = {
  [NFPROTO.INET]: 'inet',
  [NFPROTO.IPV4]: 'ip',
  [NFPROTO.IPV6]: 'ip6',
  [NFPROTO.BRIDGE]: 'bridge',
};

/** The way of a packet from the pod to where it is going and back, up to the place where it stops. */
export function judge(facts: Facts): Hop[] {
  const hops: Hop[] = [];
  for (const look of [
    pod,
    podRoute,
    hostEnd,
    port,
    bridge,
    neighbour,
    wayBack,
    arrival,
    routing,
    filter,
    departure,
    answer,
  ]) {
    for (const hop of look(facts)) {
      hops.push(hop);
      if (hop.state === 'stops') return hops;
    }
    if (look === neighbour && facts.other) return hops;
  }
  return hops;
}

const ok = (hop: string, what: string): Hop[] => [{ hop, state: 'ok', what }];
const unseen = (hop: string, what: string): Hop[] => [{ hop, state: 'unseen', what }];
const stops = (hop: string, what: string, remedy?: string): Hop[] => [
  { hop, state: 'stops', what, ...(remedy === undefined ? {} : { remedy }) },
];

const packets = (count: number): string => `${count} packet${count === 1 ? '' : 's'}`;
const inPod = ({ netns }: Facts, command: string): string => `nsenter --net=${netns} ${command}`;
const target = ({ to }: Facts): string => to?.address ?? 'anywhere';
const via = (route: Exclude<Route, { errno: number }>): string =>
  `${route.gw === undefined ? '' : `via ${route.gw} `}dev ${route.dev}`;
const isConnected = ({ connection }: Facts): boolean => connection === 0;
/** Something has answered, if only that nobody listens. */
const isAnswered = (facts: Facts): boolean => isConnected(facts) || facts.connection === errno.ECONNREFUSED;

function pod(facts: Facts): Hop[] {
  const { inside, ifname, address, hostEnd: end } = facts;
  if (!inside) {
    return end ? unseen('pod', 'its namespace has no path here: what is in the pod cannot be seen') : [];
  }
  const { link, prefixes } = inside;
  if (!link) return stops('pod', `there is no ${ifname} in ${facts.netns}`, inPod(facts, 'ip link'));
  if (!link.up) return stops('pod', `${ifname} is down`, inPod(facts, `ip link set ${ifname} up`));
  if (!prefixes.some((prefix) => prefix.startsWith(`${address}/`))) {
    return stops('pod', `${ifname} does not have the address ${address} of the lease`, inPod(facts, 'ip address'));
  }
  return ok(
    'pod',
    `${ifname} is up, ${prefixes.filter((one) => !one.startsWith('fe80:')).join(', ')}, MAC ${link.mac}`,
  );
}

function podRoute(facts: Facts): Hop[] {
  const { inside, ifname, gatewayIsHere, gatewayWanted, bridgePrefixes } = facts;
  if (!inside) return [];
  const { route } = inside;
  if ('errno' in route) {
    const gw = bridgePrefixes.find((one) => one.includes(':') === facts.address.includes(':'))?.replace(/\/.*/, '');
    const add = `ip route add default via ${gw} dev ${ifname}`;
    return stops(
      "pod's route",
      `the pod has no route to ${target(facts)} (${errnoName(route.errno)})`,
      inPod(facts, gw === undefined ? 'ip route' : add),
    );
  }
  if (route.dev !== ifname) {
    return stops(
      "pod's route",
      `the pod sends what is for ${target(facts)} by another interface than ${ifname}`,
      inPod(facts, 'ip route'),
    );
  }
  if (gatewayWanted && gatewayIsHere === false && facts.other === undefined) {
    return stops(
      "pod's route",
      `the pod sends to ${route.gw}, which is no address of this node; the bridge has ${bridgePrefixes.join(', ')}`,
      inPod(facts, 'ip route'),
    );
  }
  return ok("pod's route", `to ${target(facts)} ${via(route)}`);
}

function hostEnd(facts: Facts): Hop[] {
  const { hostEnd: link, fromPod, toPod, ifname } = facts;
  if (!link) return stops('veth', 'no interface of the node leads to the pod', 'tsbridge doctor');
  if (!link.up) return stops('veth', `${link.name} is down`, `ip link set ${link.name} up`);
  if (link.operstate !== OPERSTATE_UP)
    return stops('veth', `${link.name} has no carrier: ${ifname} in the pod is down`);
  return ok('veth', `${link.name} is up; ${packets(fromPod)} out, ${toPod} in`);
}

function port({ hostEnd: link, master, bridge: own, bridgeWanted, peerMac, macLetThrough }: Facts): Hop[] {
  if (!link) return [];
  const mend = bridgeWanted === undefined ? undefined : `ip link set ${link.name} master ${bridgeWanted}`;
  if (master === undefined) return stops('port', `${link.name} is on no bridge`, mend);
  if (bridgeWanted !== undefined && master !== bridgeWanted) {
    return stops('port', `${link.name} is on ${master}, not on ${bridgeWanted}`, mend);
  }
  // Of a bridge that is down no port forwards.
  if (link.port && link.port.state !== FORWARDING && own?.up) {
    return stops(
      'port',
      `${master} does not forward for ${link.name} (state ${link.port.state})`,
      `bridge link show dev ${link.name}`,
    );
  }
  if (macLetThrough !== undefined && peerMac !== undefined && macLetThrough !== peerMac) {
    return stops(
      'port',
      `frames from ${peerMac} are dropped: the check lets only ${macLetThrough} through`,
      'restart the pod',
    );
  }
  return ok('port', `of ${master}${link.port?.isolated ? ', isolated from other ports' : ''}`);
}

function bridge({ bridge: link, bridgePrefixes }: Facts): Hop[] {
  if (!link) return stops('bridge', 'it is gone', 'tsbridge repair');
  if (!link.up) return stops('bridge', `${link.name} is down`, `ip link set ${link.name} up`);
  return ok('bridge', `${link.name} is up, ${bridgePrefixes.join(', ') || 'without an address'}`);
}

/** The destination is a pod on the same bridge, which the node's routes have nothing to do with. */
function neighbour(facts: Facts): Hop[] {
  const { other, to } = facts;
  if (!other?.link) return [];
  const { name, up } = other.link;
  const who = other.pod || other.containerID;
  if (!up) return stops('neighbour', `${name} of ${who} is down`, `ip link set ${name} up`);
  return [
    ...ok('neighbour', `${name} of ${who}, on the same bridge`),
    ...(to ? outcome(facts, 'on the bridge, or in the other pod') : []),
  ];
}

function wayBack({ back, dev, address, gatewayWanted }: Facts): Hop[] {
  if (!gatewayWanted) return [];
  if ('errno' in back) return stops('way back', `the node has no route to ${address}`, 'tsbridge repair');
  if (back.isLocal)
    return stops('way back', `${address} is an address of the node, too`, `ip address show to ${address}`);
  if (back.dev === dev) return [];
  return stops(
    'way back',
    `the node sends what is for ${address} to ${back.dev}, not to ${dev}`,
    `ip route get ${address}`,
  );
}

function arrival(facts: Facts): Hop[] {
  const { isTraced, whyNot, out, fromPod, to, drops } = facts;
  if (!isTraced) return unseen('arrival', `no packets are followed, only counted: ${whyNot}`);
  const { arrived = 0, toBeRouted = 0 } = out;
  if (arrived === 0) {
    if (!to) return unseen('arrival', 'the pod has sent nothing to the node meanwhile; --to ADDRESS:PORT has it try');
    if (fromPod === 0) return stops('arrival', 'the pod has sent nothing');
    return stops(
      'arrival',
      `frames come from the pod, no packet for ${to.address} comes up: rules of the bridge family or ebtables, or a neighbour entry in the pod`,
      'nft list ruleset bridge',
    );
  }
  if (toBeRouted === 0 && drops.out.length === 0 && facts.backward.toBeRouted) return ok('arrival', packets(arrived));
  if (toBeRouted === 0) return dropped(facts, 'prerouting', 'out');
  return ok('arrival', `${packets(arrived)} to route`);
}

function routing(facts: Facts): Hop[] {
  const { onward, forwarding, isTraced, out, to } = facts;
  const isForUs = 'isLocal' in onward && onward.isLocal;
  if (!isForUs && forwarding?.value === '0') {
    const sysctl = forwarding.key.replaceAll('/', '.');
    return stops('forwarding', `the node does not forward: ${sysctl} is 0`, `sysctl -w ${sysctl}=1`);
  }
  if ('errno' in onward) {
    if (onward.errno === errno.EXDEV || onward.errno === errno.EINVAL) {
      return stops(
        'routing',
        `the node takes ${facts.address} for a forged source (rp_filter)`,
        `ip route get ${facts.address}`,
      );
    }
    if (!to) return unseen('routing', `the node has no default route (${errnoName(onward.errno)})`);
    return stops(
      'routing',
      `the node has no route to ${to.address} (${errnoName(onward.errno)})`,
      `ip route get ${to.address}`,
    );
  }
  const { toBeRouted = 0, forwarding: begun = 0, entering = 0 } = out;
  if (isTraced && to && toBeRouted > 0 && begun + entering === 0 && !isAnswered(facts)) {
    return stops('routing', 'the kernel has dropped it before any rule for what is forwarded', 'nstat -az');
  }
  return ok('routing', isForUs ? 'to the node itself' : `to ${target(facts)} ${via(onward)}`);
}

function filter(facts: Facts): Hop[] {
  const { onward, out, isTraced } = facts;
  if (!isTraced || 'errno' in onward) return [];
  const { forwarding: begun = 0, forwarded = 0, entering = 0, entered = 0 } = out;
  if (begun > 0 && forwarded === 0) return dropped(facts, 'forward', 'out');
  if (entering > 0 && entered === 0) return dropped(facts, 'input', 'out');
  // What comes before it still drops some of it.
  const hop = onward.isLocal ? 'input' : 'forward';
  const through = onward.isLocal ? entered : forwarded;
  return through === 0 ? [] : ok(hop, `${packets(through)} let through`);
}

function departure(facts: Facts): Hop[] {
  const { onward, out, isTraced, masquerades, source, address, network } = facts;
  if (!isTraced || 'errno' in onward || onward.isLocal) return [];
  const { leaving = 0, left = 0 } = out;
  if (leaving > 0 && left === 0) return dropped(facts, 'postrouting', 'out');
  if (left === 0) return [];
  const hasAnswer = isAnswered(facts) || (facts.backward.toBeRouted ?? 0) > 0;
  if (masquerades && source === address && !hasAnswer) {
    return stops(
      'masquerade',
      `it leaves by ${onward.dev} with the pod's own address ${address}, to which nobody beyond knows the way`,
      `tsbridge repair ${network}`,
    );
  }
  return ok('departure', `${packets(left)} by ${onward.dev}, from ${source ?? address}`);
}

function answer(facts: Facts): Hop[] {
  const { to, isTraced, backward, drops, onward } = facts;
  const { toBeRouted = 0, forwarding: begun = 0, forwarded = 0 } = backward;
  if (isTraced && !isConnected(facts)) {
    if (drops.backward.length > 0 && forwarded === 0) return dropped(facts, 'forward', 'backward');
    if (begun > 0 && forwarded === 0) return dropped(facts, 'forward', 'backward');
  }
  if (to)
    return outcome(
      facts,
      'isLocal' in onward && onward.isLocal ? 'on the node: nobody answers' : 'beyond this node, or its answer does',
    );
  if (!isTraced) return [];
  return toBeRouted > 0 ? ok('answer', packets(toBeRouted)) : unseen('answer', 'none has come meanwhile');
}

function outcome(facts: Facts, where: string): Hop[] {
  const { to, connection, seconds } = facts;
  const peer = `${to?.address} port ${to?.port}`;
  if (connection === 0) return ok('answer', `${peer} takes connections`);
  if (connection === errno.ECONNREFUSED) {
    return stops('answer', `${peer} refuses: nobody listens there, or a firewall says so`);
  }
  if (!facts.inside) return unseen('answer', 'nothing was tried: the namespace of the pod has no path here');
  const why = connection === undefined ? `none within ${seconds} s` : errnoName(connection);
  return stops('answer', `${why}: it stops ${where}`);
}

/** What a hook has dropped: by a rule that told of it, or else by something that does not tell. */
function dropped({ drops, legacy }: Facts, hook: string, way: 'out' | 'backward'): Hop[] {
  const answers = way === 'out' ? '' : 'answers: ';
  const [drop] = drops[way];
  if (drop) return stops(hook, `${answers}${says(drop)}`, `nft -a list chain ${name(drop)}`);
  const fate = legacy[way];
  if (hook !== 'forward' || fate.what === 'pass')
    return stops(hook, `${answers}dropped, and no rule of nf_tables tells of it`, 'nft list ruleset');
  const by = fate.what === 'drop' ? `by ${fate.at}` : 'maybe by iptables-legacy, whose rules do not tell';
  return stops(hook, `${answers}dropped ${by}`, 'iptables-legacy -vL FORWARD');
}

const name = ({ family, table, chain }: Drop): string => `${families[family] ?? `family ${family}`} ${table} ${chain}`;
const says = (drop: Drop): string =>
  drop.handle === undefined ? `the policy of ${name(drop)} drops it` : `rule ${drop.handle} of ${name(drop)} drops it`;
