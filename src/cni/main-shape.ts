import { CniError, code } from './error.ts';
import { logLevels } from './log-level.ts';
import { macProblem, parseMac } from './mac.ts';
import type { VlanRange } from './netconf.ts';
import { rawRangeSets, requestedIps } from './parse-ipam.ts';
import { ifnameProblem } from './request.ts';
import { dns } from './route.ts';
import {
  anything,
  bool,
  converted,
  integer,
  list,
  object,
  prefix,
  quote,
  refuse,
  type Schema,
  text,
  textAs,
} from './schema.ts';

const trunkId = () => integer(1, 4094, 'a VLAN id (1 to 4094)');

/** One entry of vlanTrunk: `id`, or `minID` and `maxID`, or both. */
const trunkEntry = (): Schema<VlanRange[]> =>
  converted(object({ id: trunkId, minID: trunkId, maxID: trunkId }), ({ id, minID, maxID }) => {
    const ranges: VlanRange[] = [];
    if (minID !== undefined && maxID !== undefined) {
      if (minID > maxID) return refuse(`minID ${minID} is greater than maxID ${maxID}`);
      ranges.push({ minID, maxID });
    } else if (minID !== undefined) {
      return refuse(`minID ${minID} is without a maxID; expected both, or id`);
    } else if (maxID !== undefined) {
      return refuse(`maxID ${maxID} is without a minID; expected both, or id`);
    }
    if (id !== undefined) ranges.push({ minID: id, maxID: id });
    return ranges;
  });

/** A device name that the kernel takes as it is. */
const bridgeName = () =>
  textAs((value) => {
    // net/ipv4/devinet.c, sysctl_dev_name_is_allowed(): names that net.ipv4.conf has already.
    const reserved = value === 'all' || value === 'default';
    if (ifnameProblem(value) === undefined && !reserved) return value;
    return refuse(
      `${quote(value)} is not an interface name; expected 1 to 15 bytes without "/", ":", "%" and white space, and not ".", "..", "all" or "default"`,
    );
  });

const mtu = () => integer(0, 65_535, mtuHint, (value) => value === 0 || value >= 68);
// linux/if_ether.h: ETH_MIN_MTU, ETH_MAX_MTU.
const mtuHint = "an MTU (68 to 65535, or 0 for the kernel's default)";

const mac = () =>
  textAs((value) => {
    if (value === '') return undefined;
    const problem = macProblem(value);
    return problem === undefined ? parseMac(value, unreachable, '') : refuse(problem);
  });

const unreachable = (problem: string): never => {
  throw new CniError(code.internal, problem);
};

/** Empty, it is as good as absent. */
const logLevel = () =>
  textAs(
    (value) =>
      value === '' || (logLevels as readonly string[]).includes(value)
        ? value
        : refuse(`${quote(value)} is not a level; expected one of ${logLevels.join(', ')}`),
    logLevels,
  );

/** The keys of the plugin that makes the interface, with what each may be. */
export const backends = ['nftables', 'iptables'] as const;

export const mainShape = {
  bridge: bridgeName,
  isGateway: bool,
  isDefaultGateway: bool,
  forceAddress: bool,
  ipMasq: bool,
  ipMasqBackend: () => textAs((value) => value, backends), // see masqBackend
  nonMasqueradeCIDRs: () => list(prefix('a prefix; expected one like 10.0.0.0/8', 'mask'), 'a list of prefixes'),
  mtu,
  hairpinMode: bool,
  promiscMode: bool,
  vlan: () => integer(0, 4094, 'a VLAN id (0 to 4094)'),
  vlanTrunk: () => list(trunkEntry(), 'a list of VLAN ids and ranges'),
  preserveDefaultVlan: bool,
  macspoofchk: bool,
  enabledad: bool,
  disableContainerInterface: bool,
  portIsolation: bool,
  ipamTimeoutMs: () => integer(1000, 3_600_000, 'a time in milliseconds (1000 to 3600000)'),
  statusErrorWhenFull: bool,
  dns,
  args: () => object({ cni: () => object({ ips: requestedIps, mac }) }),
  // What portMappings are, parse-host-ports.ts decides, and whether they are tsbridge's at all.
  runtimeConfig: () => object({ ips: requestedIps, ipRanges: rawRangeSets, mac, portMappings: anything }),
  logLevel,
  logFile: text,
};
