/** One network interface of a result. SPEC "Success", `interfaces`. */
export interface ResultInterface {
  name: string;
  mac?: string; // lower-case, colons
  mtu?: number; // bytes; CNI 1.1.0
  sandbox?: string; // namespace path; absent for an interface of the host
  socketPath?: string;
  pciID?: string;
}

/** One address of a result. SPEC "Success", `ips`. */
export interface ResultIp {
  address: string; // with prefix length: 10.1.0.5/16
  gateway?: string;
  interface?: number; // index into `interfaces`
}

/** A route, in ipam.routes and in results. SPEC "Success", `routes`. Absent keys are the kernel's default. */
export interface Route {
  dst: string; // network address and prefix length
  gw?: string;
  mtu?: number; // bytes
  advmss?: number; // bytes
  priority?: number; // metric
  table?: number;
  scope?: number; // RT_SCOPE_*, linux/rtnetlink.h: 0 universe, 253 link, 254 host
}

/** DNS settings, of a configuration and of a result. SPEC "Success", `dns`. */
export interface Dns {
  nameservers?: string[];
  domain?: string;
  search?: string[];
  options?: string[];
}

/** A result in the newest version's shape, whatever version it will be printed in. */
export interface Result {
  interfaces: ResultInterface[];
  ips: ResultIp[];
  routes: Route[];
  dns: Dns;
}
