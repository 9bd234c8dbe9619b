import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { HostLocalConf } from '../../src/cni/netconf.ts';
import { parseRangeSets, type RawRange } from '../../src/cni/parse-ranges.ts';
import { type HostLocal, hostLocal } from '../../src/ipam/host-local.ts';
import { type SystemCalls, systemCalls } from '../../src/linux/system-calls.ts';
import type { Logger } from '../../src/log/logger.ts';
import { attachmentHash } from '../../src/plan/names.ts';

/** What one process would know when it works on the store. */
export interface As {
  containerID: string;
  ifname?: string; // default eth0
  requestedIps?: string[];
  stickyKey?: string;
  sys?: SystemCalls;
}

/**
 * A store in a directory of its own, on a host whose boots and interfaces are made up. `ipam(…)` is what a process would make of it;
 * they are all closed with the store, or by `exit`.
 */
export class TestStore implements Disposable {
  readonly dataDir = mkdtempSync(join(tmpdir(), 'tsb-ipam-'));
  readonly network = 'net';
  readonly logged: string[] = [];
  conf: HostLocalConf;
  bootId = '11111111-0000-4000-8000-000000000000';
  cookie: bigint | undefined = 1n;
  /** The host interfaces that exist, by their attachment's hash; undefined: the process does only IPAM. */
  veths: Set<string> | undefined = new Set();
  private open: HostLocal[] = [];

  constructor(sets: RawRange[][], conf: Partial<HostLocalConf> = {}) {
    this.conf = {
      type: 'host-local',
      ranges: parseRangeSets(sets.map((ranges, i) => ({ path: `ipam.ranges[${i}]`, ranges }))),
      routes: [],
      dataDir: this.dataDir,
      requestedIps: [],
      exclude: [],
      sticky: false,
      lockTimeoutMs: 5000,
      ...conf,
    };
  }

  get dir(): string {
    return `${this.dataDir}/${this.network}`;
  }

  hash = (containerID: string, ifname = 'eth0'): string =>
    attachmentHash({ network: this.network, containerID, ifname });

  ipam({ containerID, ifname = 'eth0', requestedIps, stickyKey, sys = systemCalls }: As): HostLocal {
    const { veths } = this;
    const note = (msg: string, fields?: Record<string, unknown>) =>
      void this.logged.push(`${msg} ${JSON.stringify(fields)}`);
    const log: Logger = { change() {}, debug() {}, warn: note, error: note };
    const ipam = hostLocal({
      conf: { ...this.conf, requestedIps: requestedIps ?? this.conf.requestedIps },
      attachment: { network: this.network, containerID, ifname },
      sys,
      log,
      bootId: this.bootId,
      hostCookie: veths ? this.cookie : undefined,
      hash: this.hash,
      vethExists: veths ? (hash) => veths.has(hash) : undefined,
      pod: stickyKey,
    });
    this.open.push(ipam);
    return ipam;
  }

  /** ADD by a process that makes the host interface and exits. Gives the addresses. */
  async add(containerID: string, options: Omit<As, 'containerID'> = {}): Promise<string[]> {
    const ipam = this.ipam({ containerID, ...options });
    const { ips } = await ipam.add();
    this.veths?.add(this.hash(containerID, options.ifname));
    ipam[Symbol.dispose]();
    return ips.map(({ address }) => address.slice(0, address.indexOf('/')));
  }

  /** DEL by a process that removes the host interface and exits. */
  async del(containerID: string, ifname = 'eth0'): Promise<void> {
    const ipam = this.ipam({ containerID, ifname });
    await ipam.held();
    this.veths?.delete(this.hash(containerID, ifname));
    await ipam.del();
    ipam[Symbol.dispose]();
  }

  async held(containerID: string, ifname = 'eth0'): Promise<string[]> {
    using ipam = this.ipam({ containerID, ifname });
    return await ipam.held();
  }

  async gc(valid?: { containerID: string; ifname: string }[]): Promise<void> {
    using ipam = this.ipam({ containerID: '', ifname: '' });
    await ipam.gc(valid);
  }

  /** What STATUS finds used up. */
  status(): string[] {
    using ipam = this.ipam({ containerID: '', ifname: '' });
    const full: string[] = [];
    ipam.status((what) => full.push(what));
    return full;
  }

  /** Another boot: no interface outlives it. */
  reboot(): void {
    this.bootId = `${(Number.parseInt(this.bootId.slice(0, 8), 16) + 0x01234567).toString(16).padStart(8, '0').slice(-8)}-0000-4000-8000-000000000000`;
    this.veths?.clear();
  }

  /** Whatever was open belonged to processes that were killed: the kernel has closed their files. */
  buryKilled(): void {
    this.open = [];
  }

  exists(): boolean {
    return existsSync(this.dir);
  }

  /** A person keeps an address out. */
  reserve(ip: string, note: string): void {
    writeFileSync(`${this.dir}/${ip}`, note);
  }

  /** A person removes everything that the reference plugin does not know. */
  dropIndex(): void {
    rmSync(`${this.dir}/.tsbridge`, { recursive: true, force: true });
  }

  /** The store as the reference plugin sees it: file name to content, without what is ours. */
  files(): Record<string, string> {
    const files: Record<string, string> = {};
    for (const name of readdirSync(this.dir).sort()) {
      if (name !== '.tsbridge') files[name] = readFileSync(`${this.dir}/${name}`, 'latin1');
    }
    return files;
  }

  /** Who has which address, by the lease files alone. */
  leases(): Record<string, string> {
    const isLease = ([name]: [string, string]) => name !== 'lock' && !name.startsWith('last_reserved_ip.');
    return Object.fromEntries(
      Object.entries(this.files())
        .filter(isLease)
        .map(([ip, text]) => [ip, text.replace('\r\n', '/')]),
    );
  }

  /** The index, by hash; without the seconds, which nobody can foretell. */
  index(): Record<string, string> {
    const entries: Record<string, string> = {};
    for (const name of readdirSync(`${this.dir}/.tsbridge`).sort()) {
      if (/^[0-9a-f]{16}$/.test(name)) {
        entries[name] = readlinkSync(`${this.dir}/.tsbridge/${name}`).replace(/,[0-9a-z]+,/, ',');
      }
    }
    return entries;
  }

  /** All processes end. */
  exit(): void {
    for (const ipam of this.open.splice(0)) ipam[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.exit();
    rmSync(this.dataDir, { recursive: true, force: true });
  }
}
