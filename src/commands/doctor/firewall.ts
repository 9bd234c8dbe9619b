import { formatIp, parseIp } from '../../ip/address.ts';
import { legacyFate } from '../../kernel/forwarding/iptables-legacy.ts';
import { type ForwardChain, forwardChains, withRules } from '../../kernel/forwarding/nftables.ts';
import type { Fate, Probe } from '../../kernel/forwarding/probe.ts';
import { gatewayDevice } from '../../plan/add.ts';
import { type Finding, type NetworkLook, orNothing } from './finding.ts';

/** What pods do that a firewall may be in the way of, from the most to the least important. */
const ways = [
  { name: 'out', effect: 'pods reach the node and each other, and nobody else' },
  {
    name: 'back',
    effect: 'what pods ask others is never answered: they reach the node and each other, and nobody else',
  },
  { name: 'across', effect: 'pods of this node do not reach each other' },
] as const;
type Way = (typeof ways)[number]['name'];

/**
 * Chains and rules that drop what crosses the bridge, of nf_tables and both kinds of iptables: for certain, whatever else there is. What rules ask for
 * that nobody can say beforehand is taken to let pods through.
 */
export function firewallFindings(look: NetworkLook): Finding[] {
  const { conf, host, subnets } = look;
  if (!conf.isGateway) return [];
  const found: Finding[] = [];
  const known = new Set<string>();
  for (const family of [4, 6] as const) {
    const subnet = subnets.find((one) => one.includes(':') === (family === 6));
    if (subnet === undefined) continue;
    for (const { name, effect } of ways) {
      const probe = probeOf(look, subnet, name);
      if (!probe) continue;
      const drops: { at: string; chain?: ForwardChain }[] = withRules(
        host.sys,
        [] as { at: string; chain?: ForwardChain }[],
        (dump) =>
          orNothing(() =>
            forwardChains(dump).flatMap((chain) => dropIn(chain.fate(probe)).map((at) => ({ at, chain }))),
          ),
      );
      drops.push(...orNothing(() => dropIn(legacyFate(probe))).map((at) => ({ at })));
      for (const { at, chain } of drops) {
        if (known.has(at)) continue;
        known.add(at);
        found.push(findingOf(look, probe, effect, at, chain));
      }
    }
  }
  return found;
}

const dropIn = (fate: Fate): string[] => (fate.what === 'drop' ? [fate.at] : []);

/** The beginning of a connection from a pod to somebody far away, the answer to it, or one between two pods, where bridged packets are filtered. */
function probeOf({ conf, kernel, node }: NetworkLook, subnet: string, way: Way): Probe | undefined {
  const family = subnet.includes(':') ? 6 : 4;
  const dev = gatewayDevice(conf);
  const routes = kernel
    .routes('host', { table: 254 })
    .filter((route) => route.family === family && /\/0$/.test(route.dst));
  const uplink = node.links.find(({ index }) => index === routes[0]?.oif)?.name ?? 'eth0';
  const start = parseIp(subnet.slice(0, subnet.indexOf('/')));
  if (!start) return undefined;
  const [pod, other] = [2n, 3n].map((host) => formatIp({ ...start, value: start.value + host })) as [string, string];
  // None of those that are for examples: firewalls drop what nobody may have.
  const far = family === 4 ? '1.1.1.1' : '2606:4700:4700::1111';
  if (way === 'out') return { family, iif: dev, oif: uplink, source: pod, destination: far, state: 'new' };
  if (way === 'back') return { family, iif: uplink, oif: dev, source: far, destination: pod, state: 'established' };
  if (kernel.sysctl('host', `net/bridge/bridge-nf-call-${family === 4 ? 'iptables' : 'ip6tables'}`) !== '1')
    return undefined;
  return { family, iif: dev, oif: dev, source: pod, destination: other, state: 'new' };
}

function findingOf(
  { conf }: NetworkLook,
  probe: Probe,
  effect: string,
  at: string,
  chain: ForwardChain | undefined,
): Finding {
  const dev = gatewayDevice(conf);
  const { whose, remedy } = ownerOf(chain, dev, probe);
  const where = chain ? `${chain.family} ${chain.table} ${chain.chain}` : 'FORWARD of iptables-legacy';
  return {
    network: conf.name,
    problem: `${whose}the chain ${where} drops what pods send or are sent through ${dev}`,
    evidence: `${at}: a packet from ${probe.source} (${probe.iif}) to ${probe.destination} (${probe.oif}) ends there`,
    effect,
    remedy,
  };
}

/** Who has made the chain, as far as names tell, and how that one is told to let pods through. */
function ownerOf(chain: ForwardChain | undefined, dev: string, { family }: Probe): { whose: string; remedy: string } {
  const tool = `${family === 4 ? 'iptables' : 'ip6tables'}${chain ? '' : '-legacy'}`;
  const both = (name: string) => `${tool} -I ${name} -i ${dev} -j ACCEPT; ${tool} -I ${name} -o ${dev} -j ACCEPT`;
  if (!chain) return { whose: '', remedy: both('FORWARD') };
  if (chain.table === 'firewalld') {
    return {
      whose: 'firewalld: ',
      remedy: `firewall-cmd --permanent --zone=trusted --add-interface=${dev}; firewall-cmd --reload`,
    };
  }
  if (chain.chains.some((name) => name.startsWith('ufw-') || name.startsWith('ufw6-'))) {
    return { whose: 'ufw: ', remedy: `ufw route allow in on ${dev}; ufw route allow out on ${dev}` };
  }
  if (chain.chains.includes('DOCKER-USER')) return { whose: 'docker: ', remedy: both('DOCKER-USER') };
  if (chain.chains.some((name) => name.startsWith('DOCKER'))) return { whose: 'docker: ', remedy: both(chain.chain) };
  const name = `${chain.family} ${chain.table} ${chain.chain}`;
  return {
    whose: '',
    remedy: `nft insert rule ${name} iifname ${dev} accept; nft insert rule ${name} oifname ${dev} accept`,
  };
}
