import type { HostPortsConf, PortMapping } from './netconf.ts';
import {
  address,
  bool,
  converted,
  foldKeys,
  integer,
  isObject,
  Leaf,
  list,
  object,
  quote,
  type Report,
  readKeys,
  refuse,
  textAs,
} from './schema.ts';

const chained =
  'take "portMappings" out of tsbridge\'s "capabilities" and put the portmap plugin behind it in the list';

/** What only iptables can do. Empty, it is as good as absent. */
const iptablesOnly = (why: string) =>
  new Leaf((value) => (isEmpty(value) ? undefined : refuse(`${why}: leave it out, or ${chained}`)));

const isEmpty = (value: unknown) => value === '' || (Array.isArray(value) && value.every((one) => one === ''));

const noConditions = () =>
  iptablesOnly('its conditions are words for the programs iptables and nft, and host ports are mapped without either');

/** The keys of the reference's portmap, which tsbridge takes from its own object. */
export const hostPortShape = {
  snat: bool,
  masqAll: bool,
  backend: () =>
    textAs(
      (value) => {
        if (value === '' || value === 'nftables') return value;
        if (value === 'iptables')
          return refuse(`"iptables" does not map host ports here, nf_tables does: leave it out, or ${chained}`);
        return refuse(`${quote(value)} is not known; expected nftables`);
      },
      ['nftables'],
    ),
  markMasqBit: () =>
    iptablesOnly('the mark is for rules of iptables, and host ports are masqueraded by nf_tables without a mark'),
  externalSetMarkChain: () =>
    iptablesOnly('the chain is one of iptables, and host ports are masqueraded by nf_tables without a mark'),
  conditionsV4: noConditions,
  conditionsV6: noConditions,
};

const port = () => integer(1, 65_535, 'a port (1 to 65535)');

const protocols = ['tcp', 'udp', 'sctp'] as const;

const protocol = () =>
  textAs(
    (value) =>
      protocols.find((one) => one === value.toLowerCase()) ??
      refuse(`${quote(value)} is not a protocol; expected one of ${protocols.join(', ')}`),
  );

const hostIp = () =>
  converted(address(), (value) =>
    value === '::1'
      ? refuse(
          '"::1" has no host ports: the kernel routes nothing from it to another interface; expected 127.0.0.1, or none',
        )
      : value,
  );

const mappings = () =>
  list(
    converted(object({ hostPort: port, containerPort: port, protocol, hostIP: hostIp }), (values) => {
      const { hostPort, containerPort, hostIP } = values;
      if (hostPort === undefined) return refuse('has no hostPort; expected a port (1 to 65535)');
      if (containerPort === undefined) return refuse('has no containerPort; expected a port (1 to 65535)');
      if (values.protocol === undefined) return refuse(`has no protocol; expected one of ${protocols.join(', ')}`);
      const mapping: PortMapping = { hostPort, containerPort, protocol: values.protocol };
      return hostIP === undefined ? mapping : { ...mapping, hostIP };
    }),
    'a list of port mappings',
  );

/**
 * runtimeConfig.portMappings and what the configuration says about them; undefined when there are none, or when the plugin's own object does not have the
 * capability: then the mappings are those of a portmap behind it.
 */
export function parseHostPorts(json: object, report: Report): HostPortsConf | undefined {
  const { capabilities, runtimeConfig } = foldKeys(json, ['capabilities', 'runtimeConfig']);
  if (!isObject(capabilities) || (capabilities as { portMappings?: unknown }).portMappings !== true) return undefined;
  const { portMappings } = readKeys({ portMappings: mappings }, runtimeConfig, 'runtimeConfig', report);
  const { snat = true, masqAll = false } = readKeys(hostPortShape, json, '', report);
  const unique = withoutRepetitions(portMappings ?? [], report);
  return unique.length === 0 ? undefined : { mappings: unique, snat, masqAll };
}

/** Every address of the host of which a mapping without hostIP, or with an unspecified one, takes the port. */
const addressesOf = ({ hostIP }: PortMapping) => (hostIP === undefined ? ['0.0.0.0', '::'] : [hostIP]);

/** Of mappings that say the same the first; two that want a port for different ones of the container are refused. */
function withoutRepetitions(all: readonly PortMapping[], report: Report): PortMapping[] {
  const taken = new Map<string, number>();
  return all.filter((mapping, i) => {
    const { protocol: name, hostPort, containerPort } = mapping;
    let isNew = false;
    for (const one of addressesOf(mapping)) {
      const key = `${name} ${one} ${hostPort}`;
      const before = taken.get(key);
      if (before === undefined) {
        taken.set(key, containerPort);
        isNew = true;
      } else if (before !== containerPort) {
        report.wrong(
          `runtimeConfig.portMappings[${i}]`,
          `host port ${name} ${hostPort} is to lead to port ${before} and to port ${containerPort}; expected one of them`,
        );
        return false;
      }
    }
    return isNew;
  });
}
