import type { NetConf } from '../../cni/netconf.ts';
import { familyOf } from '../../ip/address.ts';
import { hairpinMap, LOOPBACK, portMap, sourcesSet } from '../../kernel/firewall/hostports/layout.ts';
import { CHAIN } from '../../kernel/firewall/masquerade.ts';
import { setName, TABLE } from '../../kernel/firewall/names.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import { attachmentComment, hostVethAlias, hostVethName, vlanGatewayName } from '../../plan/names.ts';
import type { HostPortState } from '../../plan/state.ts';
import type { NodeState } from '../node-state.ts';
import type { Call } from './add.ts';
import { portKey } from './nft.ts';
import { nft, type Step, word } from './step.ts';

/** What a DEL would remove of what there is. Every step is tried, whatever the others do, and what is missing counts as removed. */
export async function explainDel(
  kernel: Kernel,
  conf: NetConf,
  { attachment, netns }: Call,
  node: NodeState,
): Promise<Step[]> {
  const { network, containerID, ifname } = attachment;
  const known = node.attachments.find(
    (one) => one.network === network && one.containerID === containerID && one.ifname === ifname,
  );
  const comment = attachmentComment(attachment);
  const name = hostVethName(attachment);
  const link = kernel.link('host', name);
  const isOurs = link?.alias === hostVethAlias(attachment);
  const steps: Step[] = [];
  if (isOurs)
    steps.push({
      reason: 'The pair, by its name and alias: the other end goes with it, and its addresses and routes.',
      commands: [`ip link del ${name}`],
    });
  else if (known?.link)
    steps.push({
      reason: 'The pair that another plugin has made for it.',
      commands: [`ip link del ${known.link.name}`],
    });
  else
    steps.push({
      reason: `There is no ${name}: CNI_NETNS (${netns}) is looked through for a pair of another plugin.`,
      commands: [],
    });

  const ports = known?.hostPorts ?? [];
  const commands = [
    ...spoofCommands(kernel, name, comment),
    ...portCommands(ports),
    ...masqueradeCommands(kernel, network, comment),
  ];
  if (commands.length > 0) {
    steps.push({ reason: `What nf_tables has with the comment "${comment}", all in one transaction.`, commands });
  }
  const shared = [
    ...(node.attachments.some((one) => one !== known && one.hostPorts.length > 0) ? [] : sharedByPorts(ports)),
    ...sharedByPods(kernel, network, comment),
  ];
  if (shared.length > 0)
    steps.push({ reason: 'What it has shared with others, of which it is the last one.', commands: shared });
  if (conf.ipMasq && conf.ipMasqBackend === 'iptables') {
    const { chainName } = await import('../../kernel/iptables/masquerade.ts');
    const chain = chainName(attachment);
    const commands = (known?.leases ?? []).flatMap((ip) => {
      const tool = `${familyOf(ip) === 4 ? 'iptables' : 'ip6tables'} -w -t nat`;
      const jumps = `${tool} -S POSTROUTING | sed -n '/ -j ${chain}$/s/^-A/-D/p' | while read -r rule; do eval "${tool} $rule"; done`;
      return [jumps, `${tool} -F ${chain}`, `${tool} -X ${chain}`];
    });
    steps.push({ reason: 'The chain of iptables, and what jumps to it.', commands });
  }
  steps.push({
    reason: 'Chains and rules that the reference plugins have made for it are looked for, and go as well.',
    commands: [],
  });
  if (conf.vlan !== 0 && conf.isGateway) {
    steps.push({
      reason: `${vlanGatewayName(conf.bridge, conf.vlan)} goes with the last pod of the VLAN; the bridge stays.`,
      commands: [],
    });
  }
  const dataDir = conf.ipam && !('delegated' in conf.ipam) ? `${conf.ipam.dataDir}/${network}` : undefined;
  if (conf.ipam && dataDir === undefined) {
    steps.unshift({
      reason: `The IPAM plugin ${conf.ipam.type} is called first: it may release its lease through the interface.`,
      commands: [],
    });
  } else if (dataDir !== undefined && known && known.leases.length > 0) {
    const commands = known.leases.map((ip) => `rm -f ${word(`${dataDir}/${ip}`)}`);
    steps.push({ reason: 'The leases go last: until now nobody may get these addresses.', commands });
  } else if (dataDir !== undefined) {
    steps.push({ reason: 'It has no lease.', commands: [] });
  }
  return steps;
}

function spoofCommands(kernel: Kernel, dev: string, comment: string): string[] {
  const checked = kernel.spoofChecked(dev);
  if (checked?.comment !== comment) return [];
  return [
    nft(`delete element bridge ${TABLE} checked { "${dev}" }`),
    nft(`delete element bridge ${TABLE} allowed { "${dev}" . ${checked.mac} }`),
  ];
}

const portCommands = (ports: readonly HostPortState[]): string[] =>
  ports.flatMap((port) => {
    const hairpin = `${port.address} . ${port.containerPort} . ${port.protocol} . ${port.hostPort}`;
    return [
      nft(`delete element inet ${TABLE} ${portMap(port.family, port.hostIp !== undefined)} { ${portKey(port)} }`),
      // Without snat there is none.
      `${nft(`delete element inet ${TABLE} ${hairpinMap(port.family)} { ${hairpin} }`)} 2>/dev/null || :`,
    ];
  });

const sharedByPorts = (ports: readonly HostPortState[]): string[] =>
  [...new Set(ports.map(({ family }) => family))].flatMap((family) => [
    nft(`flush set inet ${TABLE} ${sourcesSet(family)}`),
    ...(family === 4 ? [`${nft(`flush set inet ${TABLE} ${LOOPBACK}`)} 2>/dev/null || :`] : []),
  ]);

const masqueradeCommands = (kernel: Kernel, network: string, comment: string): string[] =>
  kernel
    .masqueraded(network)
    .filter((one) => one.comment === comment)
    .map(({ address }) =>
      nft(`delete element inet ${TABLE} ${setName('pods', familyOf(address), network)} { ${address} }`),
    );

/** The network's rule of each family, and its sets. */
function sharedByPods(kernel: Kernel, network: string, comment: string): string[] {
  const all = kernel.masqueraded(network);
  return ([4, 6] as const).flatMap((family) => {
    const own = all.filter(({ address }) => familyOf(address) === family);
    if (own.length === 0 || own.some((one) => one.comment !== comment)) return [];
    const [pods, local] = [setName('pods', family, network), setName('local', family, network)];
    const chain = `inet ${TABLE} ${CHAIN}`;
    return [
      `handle=$(nft -a list chain ${chain} | sed -n 's/.*@${pods} .* handle //p')`,
      `nft delete rule ${chain} handle "$handle"`,
      nft(`delete set inet ${TABLE} ${pods}`),
      nft(`delete set inet ${TABLE} ${local}`),
    ];
  });
}
