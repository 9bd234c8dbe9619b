import type { NetConf } from '../../cni/netconf.ts';
import { TABLE } from '../../kernel/firewall/names.ts';
import { gatewayDevice } from '../../plan/add.ts';
import { hostVethName } from '../../plan/names.ts';
import { usesVlans } from '../../plan/vlan.ts';
import type { Call } from './add.ts';
import { ipIn, type Step } from './step.ts';

/** What a CHECK compares with the result of the ADD, and the commands that show it. */
export function explainCheck(conf: NetConf, call: Call): Step[] {
  const { attachment } = call;
  const [veth, ip, dev] = [hostVethName(attachment), ipIn(call), attachment.ifname];
  const steps: Step[] = [
    { reason: `${conf.bridge} is a bridge, and up.`, commands: [`ip -d link show ${conf.bridge}`] },
    {
      reason: `${veth} is up, a port of ${conf.bridge}, forwards, with hairpin ${onOff(conf.hairpinMode)} and isolated ${onOff(conf.portIsolation)}.`,
      commands: [`ip -d link show ${veth}`],
    },
    {
      reason: `${dev} in the container is the other end, ${conf.disableContainerInterface ? 'down' : 'up'}, with the MAC address of the result.`,
      commands: [`${ip} -d link show ${dev}`],
    },
  ];
  const add = (reason: string, ...commands: string[]) => steps.push({ reason, commands });
  if (usesVlans(conf)) add('The port is in the VLANs of the configuration.', `bridge vlan show dev ${veth}`);
  if (conf.ipam) {
    add('It has every address of the result; none has failed duplicate address detection.', `${ip} addr show ${dev}`);
    add(
      'Every destination of its routes is still reached through their gateways.',
      `${ip} route show table all`,
      `${ip} -6 route show table all`,
    );
  }
  if (conf.ipam && conf.isGateway) {
    add(
      "The gateways' addresses are on the node, and it forwards.",
      `ip addr show ${gatewayDevice(conf)}`,
      'sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding',
    );
  }
  if (conf.ipam && conf.ipMasq) {
    const iptables = conf.ipMasqBackend === 'iptables';
    add(
      'Each address is masqueraded, by this back end or another, and nothing is missing of the rule and its prefixes.',
      iptables ? 'iptables -t nat -S' : `nft list table inet ${TABLE}`,
    );
  }
  if (conf.macspoofchk)
    add('Frames from the port are checked for the MAC address of the result.', `nft list table bridge ${TABLE}`);
  if (conf.hostPorts)
    add('Each port of the host leads to it.', `nft list map inet ${TABLE} ports4`, `nft list map inet ${TABLE} ports6`);
  if (conf.ipam && 'delegated' in conf.ipam) add(`The IPAM plugin ${conf.ipam.type} agrees.`);
  else if (conf.ipam)
    add('Its leases are in the store.', `grep -rl ${attachment.containerID} ${conf.ipam.dataDir}/${conf.name}`);
  return steps;
}

const onOff = (is: boolean) => (is ? 'on' : 'off');
