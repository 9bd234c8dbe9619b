import { CniError, code } from '../cni/error.ts';
import type { NetConf } from '../cni/netconf.ts';
import type { ResultIp, Route } from '../cni/result.ts';
import { type Family, formatIp, parseIp } from '../ip/address.ts';
import { contains, formatPrefix, mustPrefix, networkOf, overlaps } from '../ip/prefix.ts';
import type { Lease } from '../ipam/lease.ts';

const defaultRoute: Record<Family, string> = { 4: '0.0.0.0/0', 6: '::/0' };

/**
 * The addresses of a lease, with the gateway that the network has when IPAM named none: the first address of the subnet after the network
 * address. Throws CniError 103 when the bridge cannot be the gateway: the subnet has no room for one, or its address is the container's own.
 */
export function withGateways(conf: Pick<NetConf, 'isGateway'>, ips: readonly ResultIp[]): ResultIp[] {
  if (!conf.isGateway) return ips.map((ip) => ({ ...ip }));
  const own = ips.map(({ address }) => address.slice(0, address.indexOf('/')));
  return ips.map((ip) => {
    const gateway = ip.gateway ?? firstAfterNetwork(ip.address);
    if (own.includes(gateway)) {
      throw noGateway(
        `IPAM gave ${ip.address}, and ${ip.gateway ? 'names' : 'no gateway: it would be'} ${gateway}, which the container has itself`,
      );
    }
    return { ...ip, gateway };
  });
}

function firstAfterNetwork(address: string): string {
  const subnet = mustPrefix(address);
  const { family, value } = networkOf(subnet);
  const first = { family, value: value + 1n };
  // A /32 or /128 is one address: the next one is anybody's.
  if (!contains(subnet, first)) throw noGateway(`IPAM gave ${address} without a gateway, and there is room for none`);
  return formatIp(first);
}

const noGateway = (problem: string) =>
  new CniError(code.delegate, problem, {
    details:
      'isGateway makes the bridge the gateway of what IPAM hands out: let IPAM name a gateway of its own, or set "isGateway": false',
  });

/** The addresses that make the bridge the gateway: the gateway of each ip, with the ip's prefix length; each once. */
export function gatewayAddresses(ips: readonly ResultIp[]): string[] {
  const addresses = ips.flatMap((ip) => (ip.gateway ? [`${ip.gateway}/${mustPrefix(ip.address).length}`] : []));
  return [...new Set(addresses)];
}

/**
 * The routes of the result: those of IPAM and, with isDefaultGateway, a default route for each family that has a gateway and no
 * default route yet. A default route that IPAM gives without `gw` is one: it goes through the gateway like any other.
 */
export function resultRoutes(conf: Pick<NetConf, 'isDefaultGateway'>, lease: Pick<Lease, 'routes'>, ips: ResultIp[]) {
  const routes: Route[] = lease.routes.map((route) => ({ ...route }));
  if (!conf.isDefaultGateway) return routes;
  for (const { address, gateway } of ips) {
    if (!gateway) continue;
    const dst = defaultRoute[mustPrefix(address).family];
    const isMain = (route: Route) => route.dst === dst && (route.table === undefined || route.table === 254);
    if (!routes.some(isMain)) routes.push({ dst, gw: gateway });
  }
  return routes;
}

const scopeLink = 253; // RT_SCOPE_LINK, linux/rtnetlink.h: destinations on the link itself have no gateway

const routeKey = ({ dst, gw, table, priority }: Route) => `${dst} ${gw ?? ''} ${table ?? ''} ${priority ?? 0}`;

/**
 * The routes as the kernel gets them: a missing gateway filled in with the first one of the family, host bits cleared, equal routes
 * once, and a gateway that lies in none of the subnets made reachable by a route of its own first.
 */
export function kernelRoutes(routes: readonly Route[], ips: readonly ResultIp[]): Route[] {
  const subnets = ips.map((ip) => mustPrefix(ip.address));
  const gatewayOf = (family: Family) =>
    ips.find((ip) => ip.gateway && mustPrefix(ip.address).family === family)?.gateway;
  const out = new Map<string, Route>(); // in order, each once
  for (const route of routes) {
    const dst = networkOf(mustPrefix(route.dst));
    const gw = route.gw ?? (route.scope === scopeLink ? undefined : gatewayOf(dst.family));
    const via = gw === undefined ? undefined : parseIp(gw);
    // fe80::/10 is on every link.
    const isLinkLocal = via?.family === 6 && via.value >> 118n === 0x3fan;
    if (via && !isLinkLocal && !subnets.some((subnet) => contains(subnet, via))) {
      const onLink: Route = { dst: `${formatIp(via)}/${via.family === 4 ? 32 : 128}`, scope: scopeLink };
      if (route.table !== undefined) onLink.table = route.table;
      out.set(routeKey(onLink), onLink);
    }
    const whole: Route = { ...route, dst: formatPrefix(dst), ...(gw === undefined ? {} : { gw }) };
    const key = routeKey(whole);
    if (!out.has(key)) out.set(key, whole);
  }
  return [...out.values()];
}

/** What has to happen to an interface's addresses so that it has `wanted`. */
export interface AddressChange {
  present: boolean;
  conflicts: string[]; // addresses with prefix length that share the wanted one's subnet
}

/**
 * Compares a wanted gateway address with those an interface has. Another address in an overlapping subnet is a conflict: two gateways
 * would answer for one network. Addresses of other subnets are not: a bridge may be the gateway of several.
 */
export function compareAddresses(wanted: string, present: readonly string[]): AddressChange {
  const want = mustPrefix(wanted);
  const conflicts: string[] = [];
  for (const text of present) {
    const have = mustPrefix(text);
    if (have.family !== want.family) continue;
    if (have.value === want.value && have.length === want.length) return { present: true, conflicts: [] };
    if (have.family === 6 && have.value >> 118n === 0x3fan) continue; // every interface has a link-local address
    if (overlaps(have, want)) conflicts.push(text);
  }
  return { present: false, conflicts };
}
