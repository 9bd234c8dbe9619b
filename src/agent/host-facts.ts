import { bitsOf, type Family, formatIp, parseIp } from '../ip/address.ts';
import { contains, mustPrefix, networkOf, type Prefix } from '../ip/prefix.ts';
import { vxlanDevices } from '../plan/pod-routes/devices.ts';
import { routeProtocol } from '../plan/pod-routes/op.ts';
import type { Uplink } from '../plan/pod-routes/plan.ts';
import type { PodRouteState } from '../plan/pod-routes/state.ts';
import type { Settings } from './settings.ts';

/** What the host says of itself, as far as it decides about other nodes. */
export interface HostFacts {
  uplinks: Partial<Record<Family, Uplink>>;
  /** Every address of the host but those on our own devices. */
  own: ReadonlySet<string>;
  /** Where its traffic must keep going: gateways of routes that are not ours. */
  gateways: readonly string[];
  /** The links that it is on, apart from those of its pods. */
  connected: readonly Prefix[];
}

const RT_SCOPE_UNIVERSE = 0; // linux/rtnetlink.h

/** `addressesOfNode`: the node's own InternalIPs, by the API. */
export function hostFacts(
  { links, addresses, routes }: PodRouteState,
  addressesOfNode: readonly string[],
  ownRanges: readonly Prefix[],
  { uplink }: Pick<Settings, 'uplink'>,
): HostFacts {
  const isOurs = (index: number) => {
    const name = links.find((link) => link.index === index)?.name;
    return name !== undefined && (vxlanDevices as readonly string[]).includes(name);
  };
  const present = addresses
    .filter(({ index }) => !isOurs(index))
    .map((address) => ({ ...address, parsed: mustPrefix(address.prefix) }));
  const isOfPods = (prefix: Prefix) => ownRanges.some((range) => contains(range, prefix));

  const uplinkOf = (family: Family): Uplink | undefined => {
    const candidates = present.filter(
      (one) => one.family === family && one.scope === RT_SCOPE_UNIVERSE && !one.dadFailed,
    );
    const wantedTexts = (uplink.addresses ?? addressesOfNode).map(canonical);
    const named = candidates.find(({ parsed }) => wantedTexts.includes(formatIp(parsed)));
    let index: number | undefined;
    if (uplink.dev !== undefined) index = links.find(({ name }) => name === uplink.dev)?.index;
    else index = named?.index;
    if (index === undefined && uplink.dev === undefined && uplink.addresses === undefined) {
      const defaults = routes.filter((route) => route.family === family && route.oif && /\/0$/.test(route.dst));
      index = defaults.toSorted((a, b) => a.priority - b.priority)[0]?.oif;
    }
    const link = links.find((one) => one.index === index);
    const onIt = candidates.filter((one) => one.index === index);
    const local = onIt.find((one) => one === named) ?? onIt[0];
    if (!link || !local) return undefined;
    return {
      dev: link.name,
      mtu: link.mtu,
      local: formatIp(local.parsed),
      onLink: onIt.map(({ parsed }) => networkOf(parsed)).filter(({ length }) => length < bitsOf(family)),
    };
  };

  const uplinks: HostFacts['uplinks'] = {};
  for (const family of [4, 6] as const) {
    const found = uplinkOf(family);
    if (found) uplinks[family] = found;
  }
  return {
    uplinks,
    own: new Set(present.map(({ parsed }) => formatIp(parsed))),
    gateways: [
      ...new Set(
        routes.flatMap(({ gw, oif, protocol }) =>
          gw === undefined || isOurs(oif ?? 0) || protocol === routeProtocol ? [] : [gw],
        ),
      ),
    ],
    connected: present.map(({ parsed }) => networkOf(parsed)).filter((prefix) => !isOfPods(prefix)),
  };
}

const canonical = (text: string): string => {
  const ip = parseIp(text);
  return ip ? formatIp(ip) : text;
};
