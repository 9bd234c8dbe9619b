import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A network configuration without what differs between the contenders: `type`, `ipam.type` and `ipam.dataDir`. */
export interface Conf {
  cniVersion: string;
  name: string;
  ipam: Record<string, unknown>;
  [key: string]: unknown;
}

export type NetworkName = 'plain' | 'cluster' | 'dual';

/** The example network that needs the least: a bridge, an address, no gateway, no masquerading. */
function plain(): Conf {
  return JSON.parse(readFileSync(join(import.meta.dirname, '../../conf/10-local.conf'), 'utf8')) as Conf;
}

const cluster: Conf = {
  cniVersion: '1.0.0',
  name: 'cluster',
  bridge: 'cni0',
  isDefaultGateway: true,
  ipMasq: true,
  hairpinMode: true,
  ipam: { ranges: [[{ subnet: '10.2.0.0/16' }]] },
};

const dual: Conf = {
  ...cluster,
  name: 'dual',
  bridge: 'cni1',
  ipam: { ranges: [[{ subnet: '10.3.0.0/16' }], [{ subnet: 'fd00:3::/64' }]] },
};

/** What is measured: `plain` as conf/10-local.conf has it, `cluster` as a node of a cluster has it, `dual` the same with both families. */
export const networks: Record<NetworkName, Conf> = { plain: plain(), cluster, dual };
