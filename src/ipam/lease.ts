import type { Dns, ResultIp, Route } from '../cni/result.ts';

/** What IPAM gives an attachment: a result without interfaces. SPEC "IPAM plugins". */
export interface Lease {
  ips: ResultIp[];
  routes: Route[];
  dns: Dns;
  /**
   * An address of the lease, without prefix length, that a MAC address may follow from: all who have held one of these addresses in this
   * boot had the MAC address that follows from it. Undefined: somebody may have had another one.
   */
  steadyAddress?: string;
}
