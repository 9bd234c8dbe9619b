import { type Family, familyOf } from '../../ip/address.ts';
import {
  chainsOf,
  chainText,
  hairpinChainsOf,
  hairpinMap,
  LOOPBACK,
  type Part,
  portMap,
  rulesOf,
  sourcesSet,
} from '../../kernel/firewall/hostports/layout.ts';
import {
  CHAIN as MASQUERADE_CHAIN,
  CHAIN_TEXT as MASQUERADE_TEXT,
  masqueradeRule,
} from '../../kernel/firewall/masquerade.ts';
import { ruleComment, setName, TABLE, TABLE_COMMENT } from '../../kernel/firewall/names.ts';
import {
  CHAIN as SPOOF_CHAIN,
  RULE_COMMENT as SPOOF_COMMENT,
  RULE_TEXT as SPOOF_RULE,
  CHAIN_TEXT as SPOOF_TEXT,
} from '../../kernel/firewall/spoof-check.ts';
import type { HostPort, Op } from '../../plan/op.ts';
import { nft } from './step.ts';

/** What there is already, by the names below: a rule that is added twice is there twice. What has been told of is added. */
export type RulesThere = Set<string>;

export const masqueradeKey = (family: Family) => `masquerade${family}`;
export const spoofCheckKey = 'spoofcheck';
export const portsKey = (part: Part) => `ports ${part}`;

const table = (family: 'inet' | 'bridge', there: RulesThere): string[] => {
  if (there.has(`table ${family}`)) return [];
  there.add(`table ${family}`);
  return [nft(`add table ${family} ${TABLE} { comment "${TABLE_COMMENT}"; }`)];
};
const ipType = (family: Family) => (family === 4 ? 'ipv4_addr' : 'ipv6_addr');

/** The commands of nft for an operation. */
export function firewallCommands(op: Op, there: RulesThere): string[] {
  const once = (key: string, make: () => string[]): string[] => {
    if (there.has(key)) return [];
    there.add(key);
    return make();
  };
  switch (op.op) {
    case 'masq.add': {
      const family = familyOf(op.address);
      const [pods, local] = [setName('pods', family, op.network), setName('local', family, op.network)];
      return [
        ...once(masqueradeKey(family), () => [
          ...table('inet', there),
          nft(`add chain inet ${TABLE} ${MASQUERADE_CHAIN} { ${MASQUERADE_TEXT} }`),
          nft(`add set inet ${TABLE} ${pods} { type ${ipType(family)}; counter; }`),
          nft(`add set inet ${TABLE} ${local} { type ${ipType(family)}; flags interval; }`),
          nft(
            `add rule inet ${TABLE} ${MASQUERADE_CHAIN} ${masqueradeRule(op.network, family)} comment "${ruleComment(op.network)}"`,
          ),
        ]),
        nft(`add element inet ${TABLE} ${local} { ${op.local.join(', ')} }`),
        nft(`add element inet ${TABLE} ${pods} { ${op.address} comment "${op.comment}" }`),
      ];
    }
    case 'spoofcheck.add':
      return [
        ...once(spoofCheckKey, () => [
          ...table('bridge', there),
          nft(`add chain bridge ${TABLE} ${SPOOF_CHAIN} { ${SPOOF_TEXT} }`),
          nft(`add set bridge ${TABLE} checked { type ifname; }`),
          nft(`add set bridge ${TABLE} allowed { type ifname . ether_addr; }`),
          nft(`add rule bridge ${TABLE} ${SPOOF_CHAIN} ${SPOOF_RULE} comment "${SPOOF_COMMENT}"`),
        ]),
        nft(`add element bridge ${TABLE} checked { "${op.dev}" comment "${op.comment}" }`),
        nft(`add element bridge ${TABLE} allowed { "${op.dev}" . ${op.mac} comment "${op.comment}" }`),
      ];
    case 'hostport.add':
      return [...once(portsKey(op.port.family), () => portsTable(op.port.family, there)), ...portElements(op)];
    case 'hostport.loopback':
      return [
        ...once(portsKey('loopback'), () => loopbackTable(there)),
        nft(`add element inet ${TABLE} ${LOOPBACK} { "${op.dev}" }`),
        `sysctl -qw net/ipv4/conf/${op.dev}/route_localnet=1`,
      ];
    default:
      return [];
  }
}

/** Both families share chains, and the rules in them that are of neither. */
function portsTable(family: Family, there: RulesThere): string[] {
  const [ip, key] = [ipType(family), 'inet_proto . inet_service'];
  const other = family === 4 ? 6 : 4;
  const rules = rulesOf([family]).filter(({ comment }) => !there.has(portsKey(other)) || comment.startsWith('IPv'));
  return [
    ...table('inet', there),
    ...[...chainsOf([family]).toReversed(), ...hairpinChainsOf([family])].map((chain) =>
      nft(`add chain ${chainText(chain)}`),
    ),
    nft(`add map inet ${TABLE} ${portMap(family, false)} { type ${key} : ${ip} . inet_service; }`),
    nft(`add map inet ${TABLE} ${portMap(family, true)} { type ${ip} . ${key} : ${ip} . inet_service; }`),
    nft(`add map inet ${TABLE} ${hairpinMap(family)} { type ${ip} . inet_service . ${key} : verdict; }`),
    nft(`add set inet ${TABLE} ${sourcesSet(family)} { type ${ip}; flags interval; }`),
    ...rules.map(({ chain, text, comment }) => nft(`add rule inet ${TABLE} ${chain} ${text} comment "${comment}"`)),
  ];
}

const loopbackTable = (there: RulesThere): string[] => [
  ...table('inet', there),
  nft(`add chain ${chainText('loopback')}`),
  nft(`add set inet ${TABLE} ${LOOPBACK} { type ifname; }`),
  ...rulesOf(['loopback']).map(({ chain, text, comment }) =>
    nft(`add rule inet ${TABLE} ${chain} ${text} comment "${comment}"`),
  ),
];

function portElements(op: Extract<Op, { op: 'hostport.add' }>): string[] {
  const { port, comment, masquerade } = op;
  const commands = [
    nft(
      `add element inet ${TABLE} ${portMap(port.family, port.hostIp !== undefined)} { ${portKey(port)} comment "${comment}" : ${port.address} . ${port.containerPort} }`,
    ),
  ];
  if (masquerade === 'none') return commands;
  if (masquerade === 'own')
    commands.push(nft(`add element inet ${TABLE} ${sourcesSet(port.family)} { ${op.subnets.join(', ')} }`));
  const { address, containerPort, protocol, hostPort } = port;
  const key = `${address} . ${containerPort} . ${protocol} . ${hostPort}`;
  return [
    ...commands,
    nft(
      `add element inet ${TABLE} ${hairpinMap(port.family)} { ${key} comment "${comment}" : goto hairpin-${masquerade} }`,
    ),
  ];
}

/** A port of the host as its map has it. */
export const portKey = ({ hostIp, protocol, hostPort }: Pick<HostPort, 'hostIp' | 'protocol' | 'hostPort'>): string =>
  `${hostIp === undefined ? '' : `${hostIp} . `}${protocol} . ${hostPort}`;
