/**
 * When and where a lease was made, as far as that can prove it dead. `boot` is the short form of a boot id; `cookie` that of the
 * network namespace which had the attachment's host interface. A lease that another plugin made has no cookie: all that is known is
 * the boot in which it was seen first. `undefined`: nothing, and so nothing ever proves it dead.
 */
export type Life = { boot: string; cookie?: string } | undefined;

/** What the index knows of one attachment. */
export interface Entry {
  life: Life;
  /**
   * Seconds since the epoch: when the lease files were written. It ties the entry to these very files: a file of the same name that
   * somebody else made later was written at another time, and the entry proves nothing about it.
   */
  written: number;
  ips: string[];
  /** `<namespace>/<name>` of the pod, for people. Absent: the runtime did not say, or another plugin made the leases. */
  pod?: string;
  /** The ports of the host that lead to it, in the words of plan/kept-ports.ts: for when somebody has emptied nf_tables. Absent: none. */
  ports?: string;
}

/** A link target has at most 4095 bytes (PATH_MAX). More ports than fit are not kept. */
export const mostPorts = 3500;

/** Boot ids are random (RFC 9562, version 4): 32 bits tell those of one machine apart. */
export function shortBoot(bootId: string): string {
  const short = bootId.trim().slice(0, 8).toLowerCase();
  return short.length === 8 && consistsOf(short, base36.slice(0, 16)) ? short : unknownBoot;
}

/** Of a process that could not read the boot id: it may be any. */
export const unknownBoot = '00000000';

/** Names of Kubernetes (RFC 1123): whatever else CNI_ARGS may hold is not kept. It is shown on terminals. */
export const isPod = (text: string): boolean => /^[a-z0-9.-]{1,63}\/[a-z0-9.-]{1,253}$/.test(text);

/** An entry as the target of its symbolic link: `1f0c2d3e.1,t5kq2x,10.1.2.3,2001:db8::3,default/web,+own;tcp/8080/80`. */
export function formatEntry({ life, written, ips, pod, ports }: Entry): string {
  const boot = life ? (life.cookie === undefined ? life.boot : `${life.boot}.${life.cookie}`) : '-';
  return `${boot},${written.toString(36)},${ips.join(',')}${pod === undefined ? '' : `,${pod}`}${ports === undefined ? '' : `,+${ports}`}`;
}

/** The entry that a link target holds, or undefined when it holds none. */
export function parseEntry(target: string): Entry | undefined {
  const [made = '', written = '', ...ips] = target.split(',');
  const ports = ips.at(-1)?.startsWith('+') ? ips.pop()?.slice(1) : undefined;
  // No address has a slash.
  const pod = ips.at(-1)?.includes('/') ? ips.pop() : undefined;
  const seconds = Number.parseInt(written, 36);
  if (ips.length === 0 || written.length > 9 || seconds.toString(36) !== written || seconds < 0) return undefined;
  if (pod !== undefined && !isPod(pod)) return undefined;
  const life = made === '-' ? undefined : lifeOf(made);
  if (!life && made !== '-') return undefined;
  const entry: Entry = { life, written: seconds, ips };
  if (pod !== undefined) entry.pod = pod;
  if (ports !== undefined) entry.ports = ports;
  return entry;
}

/** Nearly all entries of a store are of one boot and namespace. */
let known: { made: string; life: Life } = { made: '', life: undefined };

function lifeOf(made: string): Life {
  if (made === known.made) return known.life;
  const life = parseLife(made);
  known = { made, life };
  return life;
}

function parseLife(made: string): Life {
  const dot = made.indexOf('.');
  const boot = dot < 0 ? made : made.slice(0, dot);
  if (boot.length !== 8 || !consistsOf(boot, base36.slice(0, 16))) return undefined;
  if (dot < 0) return { boot };
  const cookie = made.slice(dot + 1);
  return consistsOf(cookie, base36) ? { boot, cookie } : undefined;
}

const base36 = '0123456789abcdefghijklmnopqrstuvwxyz';

/** Without a regular expression: every DEL reads an entry, and the first one of a process takes 0.05 ms. */
function consistsOf(text: string, characters: string): boolean {
  for (let i = 0; i < text.length; i++) if (!characters.includes(text.charAt(i))) return false;
  return text !== '';
}
