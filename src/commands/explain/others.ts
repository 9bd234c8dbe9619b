import { foldKeys, isObject } from '../../cni/schema.ts';
import type { Call } from './add.ts';
import { inContainer, ipIn, type Step, word } from './step.ts';

/**
 * What an ADD of another plugin of a list does, as far as its configuration tells: of the reference's plugins that come before or behind one that
 * makes an interface. Undefined for one that is not known here.
 */
export function explainOther(json: object, call: Call): Step[] | undefined {
  const { type, runtimeConfig, sysctl, mac, mtu, promisc, table } = foldKeys(json, [
    ...['type', 'runtimeConfig', 'sysctl', 'mac', 'mtu', 'promisc', 'table'],
  ]);
  const { ifname, network, containerID } = call.attachment;
  const ip = ipIn(call);
  const asked = isObject(runtimeConfig) ? (runtimeConfig as Record<string, unknown>) : {};
  switch (type) {
    case 'loopback':
      return [{ reason: 'The loopback interface is up.', commands: [`${ip} link set lo up`] }];
    case 'tuning': {
      const settings = isObject(sysctl) ? Object.entries(sysctl) : [];
      const commands = settings.map(
        ([key, value]) => `${inContainer(call)} sysctl -qw ${word(`${key.replace('IFNAME', ifname)}=${value}`)}`,
      );
      const change = [mac && `address ${mac}`, mtu && `mtu ${mtu}`, promisc === true && 'promisc on']
        .filter(Boolean)
        .join(' ');
      if (change !== '') commands.push(`${ip} link set ${ifname} ${change}`);
      return [{ reason: 'Settings of the container, and of its interface.', commands }];
    }
    case 'portmap': {
      const mappings = Array.isArray(asked.portMappings) ? asked.portMappings.filter(isObject) : [];
      const commands = mappings.map((one) => {
        const { hostPort, containerPort, protocol } = foldKeys(one, ['hostPort', 'containerPort', 'protocol']);
        return `iptables -t nat -A CNI-HOSTPORT-DNAT -p ${protocol} --dport ${hostPort} -j DNAT --to-destination ADDRESS:${containerPort}`;
      });
      const reason =
        'Ports of the host lead to the container, by rules of its own in iptables or nftables; ADDRESS is that of the result.';
      return [
        {
          reason:
            mappings.length > 0 ? reason : 'Ports of the host lead to the container, when the runtime asks for any.',
          commands,
        },
      ];
    }
    case 'bandwidth':
      return [
        {
          reason:
            'The rate of the pair is limited: by tc on its host end, and on an interface ifb for the other direction, when the runtime asks for it.',
          commands: [],
        },
      ];
    case 'firewall':
      return [
        {
          reason: `What is from or for the container is accepted in the chain CNI-FORWARD of iptables (or in firewalld's zone "trusted"), for ${containerID}.`,
          commands: [],
        },
      ];
    case 'sbr':
      return [
        {
          reason: `Routes of ${ifname} move to a table of their own${table ? ` (${table})` : ''}, which a rule has looked up for its addresses.`,
          commands: [],
        },
      ];
    case 'vrf':
      return [{ reason: `${ifname} becomes a port of a VRF in the container.`, commands: [] }];
    case 'dhcp':
    case 'static':
      return [{ reason: `Addresses for ${network}.`, commands: [] }];
    default:
      return undefined;
  }
}
