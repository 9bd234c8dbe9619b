import type { Dns, ResultIp, Route } from '../cni/result.ts';

/** What IPAM gives an attachment: a result without interfaces. SPEC "IPAM plugins". */
export interface Lease {
  ips: ResultIp[];
  routes: Route[];
  dns: Dns;
}
