/**
 * What of a host may be changed by a call of the plugin, as text: links, addresses, routes, rules, sysctls, the store. Two of them are compared
 * by `differences`. Sections begin with `@@ NAME`.
 */
export const stateScript = `
state() {
  for what in 'link' 'address' '-4 route show table all' '-6 route show table all'; do echo "@@ ip $what"; ip -j $what; echo; done
  echo '@@ bridge link'; bridge -j -d link; echo
  echo '@@ bridge vlan'; bridge -j vlan 2>/dev/null; echo
  echo '@@ nft'; nft -j list ruleset 2>/dev/null; echo
  echo '@@ sysctl'; grep -rs . /proc/sys/net/ipv4/conf /proc/sys/net/ipv6/conf /proc/sys/net/ipv4/ip_forward /proc/sys/net/bridge | sort
  echo '@@ store'; (cd /var/lib/cni/networks 2>/dev/null && find . \\( -type l -printf '%p -> %l\\n' \\) -o \\( -type f -printf '%p ' -exec cat {} \\; -printf '\\n' \\) | sort)
  for pod in "$@"; do echo "@@ pod $pod"; ip -n "$pod" -j address; echo; done
}
`;

/** What no two looks have to agree in. */
const volatile =
  /^(ifindex|operstate|handle|index|valid_life_time|preferred_life_time|link_index|stats|stats64)$|_timer$/;

/** Flags that the kernel sets a moment after something has gone: of a bridge, when its last port has. */
const late = ['NO-CARRIER', 'LOWER_UP', 'linkdown'];

/** Of IPv6's own making, as soon as a link has a carrier. */
const isLinkLocal = (text: string) => /"(fe80|ff00)::/.test(text);

function plain(value: unknown): unknown {
  if (Array.isArray(value)) {
    const items = value.filter((item) => !late.includes(item)).map(plain);
    const texts = items
      .map((item) => JSON.stringify(item) ?? '')
      .filter((text) => !isLinkLocal(text) || text.length > 600);
    return texts.sort();
  }
  if (value && typeof value === 'object') {
    const entries = Object.entries(value).filter(
      ([key, one]) => !volatile.test(key) && !(key === 'tentative' || key === 'optimistic' || one === null),
    );
    return Object.fromEntries(entries.map(([key, one]) => [key, plain(one)]));
  }
  return value;
}

/** The sections of a state, each as lines that can be compared. */
function sections(text: string): Map<string, string[]> {
  const result = new Map<string, string[]>();
  for (const section of text.split(/^@@ /m).slice(1)) {
    const end = section.indexOf('\n');
    const name = section.slice(0, end);
    const body = section.slice(end + 1).trim();
    let lines = body.split('\n');
    if (name === 'nft') {
      const { nftables = [] } = body === '' ? {} : (JSON.parse(body) as { nftables?: unknown[] });
      // The order of rules in their chain counts; `plain` sorts lists, so each rule is an item by itself with its place.
      const places = new Map<string, number>();
      lines = nftables.map((object) => {
        const { rule } = object as { rule?: { family: string; table: string; chain: string } };
        const chain = rule && `${rule.family} ${rule.table} ${rule.chain}`;
        const place = chain === undefined ? 0 : (places.get(chain) ?? 0) + 1;
        if (chain !== undefined) places.set(chain, place);
        return `${place || ''}${JSON.stringify(plain(object))}`;
      });
      lines = lines.filter((line) => !line.includes('"metainfo"')).sort();
    } else if (body.startsWith('[')) {
      lines = plain(JSON.parse(body)) as string[];
      // They follow the addresses, a moment later.
      if (name.startsWith('ip -6 route')) lines = lines.filter((line) => !line.includes('"type":"local"'));
    } else if (name === 'store') {
      // Where round robin goes on, and when something was written, is not the same.
      lines = lines.filter((line) => !/\/last_reserved_ip\.|\/lock |^$|\.tsbridge\/unsteady/.test(line));
      lines = lines.map((line) => line.replace(/( -> [^,]+),[0-9a-z]+,/, '$1,'));
    }
    result.set(name, lines);
  }
  return result;
}

/** What is in one state and not in the other, in words. */
export function differences(before: string, after: string): string[] {
  if (before === after) return [];
  const [a, b] = [sections(before), sections(after)];
  const found: string[] = [];
  for (const name of new Set([...a.keys(), ...b.keys()])) {
    const [was, is] = [a.get(name) ?? [], b.get(name) ?? []];
    for (const line of was) if (!is.includes(line)) found.push(`${name}: lacks ${line.slice(0, 300)}`);
    for (const line of is) if (!was.includes(line)) found.push(`${name}: has ${line.slice(0, 300)}`);
  }
  return found;
}
