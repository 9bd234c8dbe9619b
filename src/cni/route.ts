import type { Dns, Route } from './result.ts';
import { address, converted, integer, list, object, prefix, refuse, type Schema, text } from './schema.ts';

/** The family of an address or prefix in its canonical text. */
export const familyOf = (text: string): 4 | 6 => (text.includes(':') ? 6 : 4);

const uint32 = 0xffff_ffff;

/**
 * A route of a configuration or of a result. Host bits of `dst` are cleared: the kernel refuses them for IPv4 and clears
 * them for IPv6. SPEC "Success", `routes`; zero and null mean "the kernel's default" except for table and scope.
 */
export const route = (): Schema<Route> =>
  converted(
    object({
      dst: () => prefix('a destination; expected a prefix like 10.2.0.0/16 or ::/0', 'mask'),
      gw: address,
      mtu: () => integer(0, 65_535, 'an MTU (0 to 65535)'),
      advmss: () => integer(0, 65_535, 'a segment size (0 to 65535)'),
      priority: () => integer(0, uint32, `a priority (0 to ${uint32})`),
      table: () => integer(0, uint32, `a routing table (0 to ${uint32})`),
      // linux/rtnetlink.h: RT_SCOPE_NOWHERE, 255, is for destinations that do not exist.
      scope: () => integer(0, 254, 'a scope (0 to 254)'),
    }),
    ({ dst, gw, mtu, advmss, priority, table, scope }) => {
      if (dst === undefined) return refuse('has no dst; expected a prefix like 0.0.0.0/0 there');
      if (gw !== undefined && familyOf(dst) !== familyOf(gw)) {
        return refuse(
          `dst ${dst} is IPv${familyOf(dst)}, but gw ${gw} is IPv${familyOf(gw)}; both must be of one family`,
        );
      }
      const made: Route = { dst };
      if (gw !== undefined) made.gw = gw;
      if (mtu) made.mtu = mtu;
      if (advmss) made.advmss = advmss;
      if (priority) made.priority = priority;
      if (table !== undefined) made.table = table;
      if (scope !== undefined) made.scope = scope;
      return made;
    },
  );

/** DNS settings of a configuration or of a result; what is empty is absent. SPEC "Success", `dns`. */
export const dns = (): Schema<Dns> =>
  converted(
    object({ nameservers: texts, domain: text, search: texts, options: texts }),
    ({ nameservers, domain, search, options }) => {
      const made: Dns = {};
      if (nameservers?.length) made.nameservers = nameservers;
      if (domain) made.domain = domain;
      if (search?.length) made.search = search;
      if (options?.length) made.options = options;
      return made;
    },
  );

/** A list of texts. */
export const texts = (): Schema<string[]> => list(text(), 'a list of strings');
