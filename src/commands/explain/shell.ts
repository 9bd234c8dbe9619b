import { mustPrefix } from '../../ip/prefix.ts';
import { type Op, showRoute } from '../../plan/op.ts';
import { firewallCommands, type RulesThere } from './nft.ts';
import { inContainer, ipIn, type Where, word } from './step.ts';

/** An operation as commands that do the same. */
export function commandsOf(op: Op, where: Where, there: RulesThere): string[] {
  const ip = 'in' in op && op.in === 'container' ? ipIn(where) : 'ip';
  const run = 'in' in op && op.in === 'container' ? `${inContainer(where)} ` : '';
  const words = (...parts: (string | false | undefined | 0)[]) => parts.filter(Boolean).join(' ');
  switch (op.op) {
    case 'bridge.add':
      return [
        words(
          `ip link add ${op.dev} address ${op.mac}`,
          op.mtu && `mtu ${op.mtu}`,
          'type bridge',
          op.vlanFiltering && 'vlan_filtering 1',
        ),
      ];
    case 'bridge.set':
      return [
        words(
          `ip link set ${op.dev}`,
          op.mac && `address ${op.mac}`,
          op.mtu && `mtu ${op.mtu}`,
          op.promisc && 'promisc on',
          op.up && 'up',
          op.alias !== undefined && `alias ${word(op.alias)}`,
          op.vlanFiltering !== undefined && `type bridge vlan_filtering ${Number(op.vlanFiltering)}`,
        ),
      ];
    case 'veth.add': {
      const { peer, mtu, master, alias } = op;
      return [
        words(
          `ip link add ${op.dev} address ${op.mac}`,
          mtu && `mtu ${mtu}`,
          master && `master ${master}`,
          `up type veth peer name ${peer.dev} address ${peer.mac}`,
          mtu && `mtu ${mtu}`,
          peer.in === 'container' && `netns ${ipIn(where).slice('ip -n '.length)}`,
        ),
        ...(alias === undefined ? [] : [`ip link set ${op.dev} alias ${word(alias)}`]),
        ...(peer.master === undefined ? [] : [`ip link set ${peer.dev} master ${peer.master}`]),
      ];
    }
    case 'link.set':
      return [
        ...(op.arpNotify ? [`${run}sysctl -qw net/ipv4/conf/${op.dev}/arp_notify=1`] : []),
        words(
          `${ip} link set ${op.dev}`,
          op.mtu && `mtu ${op.mtu}`,
          op.up === true && 'up',
          op.up === false && 'down',
          op.mac && `address ${op.mac}`,
          op.master && `master ${op.master}`,
        ),
      ];
    case 'bridge.reap':
    case 'link.del':
      return [`${ip} link del ${op.dev}`];
    case 'port.set':
      return [
        words(
          `bridge link set dev ${op.dev}`,
          op.hairpin !== undefined && `hairpin ${op.hairpin ? 'on' : 'off'}`,
          op.isolated !== undefined && `isolated ${op.isolated ? 'on' : 'off'}`,
        ),
      ];
    case 'vlan.add':
    case 'vlan.del': {
      const vid = op.vidEnd && op.vidEnd !== op.vid ? `${op.vid}-${op.vidEnd}` : `${op.vid}`;
      const flags = op.op === 'vlan.add' ? words(op.pvid && 'pvid', op.untagged && 'untagged') : '';
      return [words(`bridge vlan ${op.op === 'vlan.add' ? 'add' : 'del'} dev ${op.dev} vid ${vid}`, flags)];
    }
    case 'addr.add': {
      const { family, length } = mustPrefix(op.prefix);
      return [
        words(
          `${ip} addr add ${op.prefix}`,
          family === 4 && length <= 30 && 'brd +',
          `dev ${op.dev}`,
          op.nodad && 'nodad',
        ),
      ];
    }
    case 'addr.del':
      return [`${ip} addr del ${op.prefix} dev ${op.dev}`];
    case 'route.add': {
      const isV6 = op.route.dst.includes(':');
      return [`${ip}${isV6 ? ' -6' : ''} route append ${showRoute(op.route).replace(' (IPv6)', '')} dev ${op.dev}`];
    }
    case 'sysctl.set':
      return [`${run}sysctl -qw ${op.key}=${op.value}${op.required ? '' : ' || :'}`];
    case 'wait.carrier':
      return [`until ${ip} link show ${op.dev} | grep -q 'state UP'; do sleep 0.1; done`];
    case 'wait.dad':
      return [`while ${ip} addr show ${op.dev} | grep -q tentative; do sleep 0.1; done`];
    default:
      return firewallCommands(op, there);
  }
}

/** Why an ADD does it. */
export function reasonOf(op: Op): string {
  switch (op.op) {
    case 'bridge.add':
      return 'The bridge. Its MAC address is set, so that it does not move with its ports.';
    case 'bridge.set':
      return op.up
        ? 'The bridge is set up last: that it is up says that all of it is there.'
        : 'What the bridge lacks of what the network asks for.';
    case 'veth.add':
      return op.peer.in === 'container'
        ? 'The pair: one end is a port of the bridge, the other is born in the container, down. The alias says whose it is.'
        : 'The gateway of the VLAN, behind a port of the bridge.';
    case 'link.set':
      if (op.in === 'host') return 'The port of the gateway is up.';
      return op.mac && op.arpNotify
        ? 'The address once more: the kernel announces it, now that the port forwards.'
        : 'The interface in the container is up.';
    case 'port.set':
      return op.hairpin
        ? 'Frames of the container may come back to it: a service that leads to itself (hairpinMode).'
        : 'The port reaches no other isolated one (portIsolation).';
    case 'vlan.add':
    case 'vlan.del':
      return 'The VLANs that the port is in.';
    case 'addr.add':
      if (op.in === 'host') return "The gateway's address, which is what pods send to that is for others.";
      return op.nodad
        ? "The container's address; looking for another one that has it would only take a second."
        : "The container's address.";
    case 'addr.del':
      return 'Another address of an overlapping subnet goes (forceAddress).';
    case 'route.add':
      return 'Where the container sends to what is not on its subnet.';
    case 'sysctl.set':
      return sysctlReason(op.key);
    case 'masq.add':
      return "What the container sends out of its network leaves with the node's address (ipMasq). The rule is the network's, an element the pod's.";
    case 'spoofcheck.add':
      return 'Frames with another source address than this one are dropped where they enter the bridge (macspoofchk).';
    case 'hostport.add':
      return 'A port of the node leads to the container (portMappings).';
    case 'hostport.loopback':
      return 'Connections from 127.0.0.1 may leave the node to the pod; what comes in for 127.0.0.0/8 is dropped as before.';
    case 'wait.carrier':
      return 'ADD waits until both ends carry traffic: what is sent before that is lost.';
    case 'wait.dad':
      return 'ADD waits for the end of duplicate address detection (enabledad).';
    default:
      return '';
  }
}

function sysctlReason(key: string): string {
  if (key.endsWith('forward') || key.endsWith('forwarding')) return 'The node forwards what pods send to others.';
  if (key.endsWith('accept_ra'))
    return 'A router advertisement from a pod must not reach the host, and those that reach it so far still do.';
  if (key.endsWith('disable_ipv6')) return 'The interface has IPv6.';
  if (key.endsWith('accept_dad')) return 'Its addresses are its own: they are usable at once.';
  if (key.endsWith('keep_addr_on_down')) return 'IPv6 addresses survive a link that goes down, as those of IPv4 do.';
  return 'The kernel tells the neighbours of a new address.';
}
