/**
 * What keeps a text from being the MAC address of an interface, or undefined when nothing does: six bytes, not multicast
 * (the low bit of the first byte, IEEE 802 section 8.2), not all zero. linux/etherdevice.h, is_valid_ether_addr().
 */
export function macProblem(text: string): string | undefined {
  // Go's net.ParseMAC also reads 00-1a-… and 001a.…
  const quoted = JSON.stringify(text);
  const bytes = macBytes(text);
  if (!bytes) return `${quoted} is not a MAC address; expected six bytes like 02:1a:2b:3c:4d:5e`;
  if (Number.parseInt(bytes.slice(0, 2), 16) & 1)
    return `${quoted} is a multicast address; an interface needs a unicast one (even first byte)`;
  if (bytes === '000000000000') return `${quoted} is all zero; an interface needs an address of its own`;
  return undefined;
}

/** Twelve lower-case hexadecimal digits of 02:1a:2b:3c:4d:5e, 02-1a-2b-3c-4d-5e or 021a.2b3c.4d5e, or undefined. */
function macBytes(text: string): string | undefined {
  if (
    /^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$|^[0-9a-fA-F]{2}(-[0-9a-fA-F]{2}){5}$|^[0-9a-fA-F]{4}(\.[0-9a-fA-F]{4}){2}$/.test(
      text,
    )
  ) {
    return text.replace(/[:.-]/g, '').toLowerCase();
  }
  return undefined;
}

/** A MAC address as lower-case bytes between colons. Calls `fail` with `<path>: <problem>` when it is none. */
export function parseMac(text: string, fail: (problem: string) => never, path: string): string {
  const problem = macProblem(text);
  if (problem !== undefined) fail(`${path}: ${problem}`);
  return (macBytes(text) ?? '').replace(/..(?=.)/g, '$&:');
}
