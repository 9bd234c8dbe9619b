import type { NetConf } from '../../src/cni/netconf.ts';

/** A valid configuration with nothing asked for but what `over` says: for tests of what comes after parsing. */
export function netConf(over: Partial<NetConf> = {}): NetConf {
  return {
    cniVersion: '1.0.0',
    name: 'localnet',
    type: 'tsbridge',
    bridge: 'lcl0',
    isGateway: false,
    isDefaultGateway: false,
    forceAddress: false,
    ipMasq: false,
    nonMasqueradeCIDRs: [],
    mtu: 0,
    hairpinMode: false,
    promiscMode: false,
    vlan: 0,
    vlanTrunk: [],
    preserveDefaultVlan: false,
    macspoofchk: false,
    enabledad: false,
    disableContainerInterface: false,
    portIsolation: false,
    statusErrorWhenFull: false,
    dns: {},
    ...over,
  };
}
