import { CniError, code } from './error.ts';
import type { Dns, Result, ResultInterface, Route } from './result.ts';
import { resultFamily } from './version.ts';

/**
 * The document that ADD prints, in the shape of the version that the configuration asks for, with four spaces of indentation.
 * SPEC "Success" of 0.2.0, 0.4.0 and 1.1.0. What a version cannot express is left out: before 0.3.0 interfaces and all but the first
 * address of each family, before 1.0.0 what only later interfaces have.
 * Throws CniError 7 for a result without addresses before 0.3.0: to be refused long before this (see inexpressible).
 */
export function formatResult(result: Result, cniVersion: string): string {
  return `${JSON.stringify(document(result, cniVersion), null, 4)}\n`;
}

function document(result: Result, cniVersion: string): object {
  const { interfaces, ips, routes } = result;
  const family = resultFamily(cniVersion);
  if (family === 1) return oldDocument(result, cniVersion);
  return {
    cniVersion,
    ...(interfaces.length > 0 ? { interfaces: interfaces.map((one) => (family === 3 ? basic(one) : whole(one))) } : {}),
    ...(ips.length > 0
      ? {
          ips: ips.map(({ address, gateway, interface: index }) =>
            family === 3
              ? { version: isV6(address) ? '6' : '4', interface: index, address, gateway }
              : { address, gateway, interface: index },
          ),
        }
      : {}),
    ...(routes.length > 0 ? { routes: routes.map(ordered) } : {}),
    // `dns` is there even when empty, until 0.4.0; consumers of that time look for it.
    ...(family === 3 || !isEmpty(result.dns) ? { dns: orderedDns(result.dns) } : {}),
  };
}

const isV6 = (address: string) => address.includes(':');
const isEmpty = ({ nameservers, domain, search, options }: Dns) =>
  !nameservers?.length && !domain && !search?.length && !options?.length;

// Keys whose value is undefined do not reach the document: JSON.stringify leaves them out.
const basic = ({ name, mac, sandbox }: ResultInterface) => ({ name, mac, sandbox });
const whole = ({ name, mac, mtu, sandbox, socketPath, pciID }: ResultInterface) => ({
  name,
  mac,
  mtu,
  sandbox,
  socketPath,
  pciID,
});
const ordered = ({ dst, gw, mtu, advmss, priority, table, scope }: Route) => ({
  dst,
  gw,
  mtu,
  advmss,
  priority,
  table,
  scope,
});
const orderedDns = ({ nameservers, domain, search, options }: Dns) => ({
  nameservers: nameservers?.length ? nameservers : undefined,
  domain: domain || undefined,
  search: search?.length ? search : undefined,
  options: options?.length ? options : undefined,
});

function oldDocument({ ips, routes, dns }: Result, cniVersion: string): object {
  const half = (v6: boolean) => {
    const first = ips.find(({ address }) => isV6(address) === v6);
    if (!first) return undefined;
    const own = routes.filter(({ dst }) => isV6(dst) === v6).map(({ dst, gw }) => ({ dst, gw }));
    return { ip: first.address, gateway: first.gateway, routes: own.length > 0 ? own : undefined };
  };
  if (ips.length === 0) throw inexpressible(cniVersion);
  return { cniVersion, ip4: half(false), ip6: half(true), dns: orderedDns(dns) };
}

/** The refusal of a network without addresses whose configuration asks for a version that has no words for it. */
export const inexpressible = (cniVersion: string): CniError =>
  new CniError(
    code.invalidNetworkConfig,
    `cniVersion: ${cniVersion} cannot express a result without addresses; expected 0.3.0 or newer, or ipam`,
  );
