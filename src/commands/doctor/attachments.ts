import { hostVethMac } from '../../plan/addresses.ts';
import { cachedPair } from '../cached-result.ts';
import { bare, type Known } from '../node-state.ts';
import { type Finding, type Look, nameOf } from './finding.ts';

/** What is wrong with one attachment: its lease, its pair, its port. */
export function attachmentFindings({ node: { networks, links }, salt, options }: Look, known: Known): Finding[] {
  const { network, containerID, ifname, link, leases, peer } = known;
  const found: Finding[] = [];
  const who = nameOf(known);
  const add = (problem: string, evidence: string, effect: string, remedy: string, fix?: Finding['fix']) =>
    found.push({ network, problem: `${who}: ${problem}`, evidence, effect, remedy, ...(fix ? { fix } : {}) });
  if (!link) {
    // Of leases that nothing proves dead, the interface may have any name.
    if (known.entry?.life?.cookie === undefined) return [];
    add(
      'a lease without an interface',
      `${leases.join(', ')} is taken, and no interface of the host is its pod's`,
      'none; when the range is full, new pods get no address before this one is given back',
      `tsbridge leases --prune ${network}`,
      'prune',
    );
    return found;
  }
  const { name: dev } = link;
  const conf = networks.get(network)?.conf;
  if (leases.length === 0 && networks.get(network)?.dataDir !== undefined) {
    add(
      'an interface without a lease',
      `${dev} is there, with ${peer?.prefixes.join(', ') || 'no address'}`,
      'another pod may be given its address',
      'restart the pod',
    );
  }
  if (!link.up)
    add(`${dev} is down`, `ip link show ${dev}`, 'the pod reaches nobody', `ip link set ${dev} up`, 'repair');
  const master = links.find(({ index }) => index === link.master);
  if (conf && master?.name !== conf.bridge) {
    add(
      `${dev} is not on ${conf.bridge}`,
      master ? `it is on ${master.name}` : 'it is on no bridge',
      'the pod reaches nobody',
      `ip link set ${dev} master ${conf.bridge}`,
      master ? undefined : 'repair',
    );
  } else if (master && link.mtu !== master.mtu) {
    add(
      `${dev} has another MTU than ${master.name}`,
      `${link.mtu} and ${master.mtu}`,
      'large packets are lost, small ones are not: connections hang after they have begun',
      `ip link set ${dev} mtu ${master.mtu}`,
      'repair',
    );
  }
  if (peer && peer.mtu !== link.mtu && link.mtu === master?.mtu) {
    add(
      `${ifname} in the pod has another MTU than ${dev}`,
      `${peer.mtu} and ${link.mtu}`,
      'large packets are lost, small ones are not: connections hang after they have begun',
      `restart the pod, or set the MTU of ${ifname} in it to ${link.mtu}`,
    );
  }
  const missing = peer ? leases.filter((ip) => !peer.prefixes.some((prefix) => bare(prefix) === ip)) : [];
  if (missing.length > 0) {
    add(
      `its interface has no ${missing.join(', ')}`,
      `it has ${peer?.prefixes.join(', ') || 'no address'}, the lease says ${leases.join(', ')}`,
      'nobody reaches the pod at its address',
      'restart the pod',
    );
  }
  const given = hostVethMac(salt, { network, containerID, ifname });
  if (link.alias !== undefined && containerID !== '' && link.mac !== given) {
    add(
      `${dev} has another MAC address than it was given`,
      `${link.mac}, and ADD gave it ${given}: udev (MACAddressPolicy), or somebody, has changed it`,
      'none, unless something filters by it; with link-local IPv6 addresses as gateways they change, too',
      `ip link set ${dev} address ${given}`,
    );
  }
  const then = peer && !conf?.macspoofchk ? cachedPair(known, options)?.mac : undefined;
  if (peer && then !== undefined && peer.mac !== then) {
    add(
      `the MAC address of ${ifname} has changed`,
      `it is ${peer.mac}; the runtime has kept that it was ${then} when the pod was made`,
      'neighbours that know the old one do not reach the pod until they ask again',
      'restart the pod, if nothing in it has meant to change it',
    );
  }
  return found;
}
