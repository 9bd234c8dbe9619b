import { mkdirSync, readdirSync, readlinkSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import type { Build } from '../support/builds.ts';
import type { CniOutcome } from '../support/cni.ts';
import type { Container } from '../support/container.ts';
import { Host } from '../support/host.ts';
import { Faults, type Row, row } from './row.ts';

const network = 'rebooted';
const conf = {
  cniVersion: '1.1.0',
  name: network,
  type: 'tsbridge',
  bridge: 'rbt0',
  isDefaultGateway: true,
  ipMasq: true,
  macspoofchk: true,
  // Room for six: what the dead keep is missed soon.
  ipam: {
    type: 'host-local',
    ranges: [
      [{ subnet: '10.71.0.0/24', rangeStart: '10.71.0.2', rangeEnd: '10.71.0.7' }],
      [{ subnet: '2001:db8:71::/64' }],
    ],
  },
};
const room = 6;
const store = `${Host.dataDir}/${network}`;

interface Pod {
  container: Container;
  addresses: string[];
}

/** A node with three pods, to which something happens. */
class Node implements Disposable {
  readonly host: Host;
  readonly found: Faults;
  pods: Pod[] = [];
  private readonly title: string;

  private constructor(host: Host, found: Faults, title: string) {
    this.host = host;
    this.found = found;
    this.title = title;
  }

  static async make(build: Build, found: Faults, title: string): Promise<Node> {
    const node = new Node(await Host.create(undefined, { plugin: build.path }), found, title);
    node.boot(1);
    for (let i = 0; i < 3; i++) node.add();
    return node;
  }

  /** Another boot id; '' for one that cannot be read. */
  boot(number: number | ''): void {
    const id = number === '' ? '' : `${String(number).repeat(8)}-1111-4111-8111-111111111111\n`;
    writeFileSync(this.host.outer('/run/boot_id'), id);
    this.host.attempt(['umount', '/proc/sys/kernel/random/boot_id']);
    this.host.run(['mount', '--bind', '/run/boot_id', '/proc/sys/kernel/random/boot_id']);
  }

  fault(what: string): void {
    this.found.add(`${this.title}: ${what}`);
  }

  /** Adds a pod. Its addresses must be nobody's. */
  add(): Pod | undefined {
    const container = this.host.container();
    const added = this.host.cni({ command: 'ADD', container, conf });
    if (added.status !== 0) {
      this.fault(`ADD: ${added.stdout}`);
      return undefined;
    }
    const addresses = addressesOf(added);
    for (const other of this.pods) {
      for (const address of addresses)
        if (other.addresses.includes(address)) this.fault(`${address} is handed out twice`);
    }
    const pod = { container, addresses };
    this.pods.push(pod);
    if (!container.canReach('10.71.0.1') || !container.canReach('2001:db8:71::1'))
      this.fault(`${container.id} has no network`);
    return pod;
  }

  del(pod: Pod): void {
    const { status, stdout } = this.host.cni({ command: 'DEL', container: pod.container, conf });
    if (status !== 0) this.fault(`DEL: ${stdout}`);
    this.pods = this.pods.filter((one) => one !== pod);
  }

  /** What a reboot takes with it. */
  loseKernelState(): void {
    this.host.run([
      'sh',
      '-c',
      'for pod in $(ip netns list | sed "s, .*,,"); do ip netns del $pod; done; nft flush ruleset; for link in $(ip -br link show type veth | sed "s/[@ ].*//"); do ip link del "$link" || true; done; ip link del rbt0; echo 0 >/proc/sys/net/ipv4/ip_forward; rm -rf /run/tsbridge',
    ]);
    this.pods = [];
  }

  loseStore(): void {
    rmSync(this.host.outer(store), { recursive: true });
  }

  /** GC by a runtime that knows its pods. */
  collect(): void {
    const valid = this.pods.map(({ container }) => ({ containerID: container.id, ifname: 'eth0' }));
    const collected = this.host.cni({ command: 'GC', conf: { ...conf, 'cni.dev/valid-attachments': valid } });
    if (collected.status !== 0) this.fault(`GC: ${collected.stdout}`);
  }

  /** Every address of the range can be had; everybody can be taken down; nothing is left. */
  end(): void {
    while (this.pods.length < room) if (!this.add()) break;
    for (const { container } of this.pods)
      if (!container.canReach('10.71.0.1')) this.fault(`${container.id} has lost its network`);
    for (const pod of this.pods) this.del(pod);
    this.collect();
    const left = this.host.leftovers();
    if (left.length > 0) this.fault(`left: ${left.join(', ')}`);
  }

  [Symbol.dispose](): void {
    this.host[Symbol.dispose]();
  }
}

const addressesOf = ({ json }: CniOutcome): string[] =>
  (json.ips as { address: string }[]).map(({ address }) => address.slice(0, address.indexOf('/')));

/** As if every lease had been made that many seconds later. */
function moveInTime(host: Host, seconds: number): void {
  const own = host.outer(`${store}/.tsbridge`);
  for (const name of readdirSync(host.outer(store))) {
    if (!/^[0-9]/.test(name) && !name.includes(':')) continue;
    const then = Math.floor(Date.now() / 1000) + seconds;
    utimesSync(host.outer(`${store}/${name}`), then, then);
  }
  for (const name of readdirSync(own)) {
    if (!/^[0-9a-f]{16}$/.test(name)) continue;
    const [life, written = '', ...rest] = readlinkSync(`${own}/${name}`).split(',');
    rmSync(`${own}/${name}`);
    symlinkSync([life, (Number.parseInt(written, 36) + seconds).toString(36), ...rest].join(','), `${own}/${name}`);
  }
}

const year = 365 * 86_400;

/** What happens to a node, by its name. */
const scenes: Record<string, (node: Node) => void> = {
  'kernel state gone, store kept': (node) => {
    node.loseKernelState();
    node.boot(2);
  },
  'kernel state gone within one boot, store kept': (node) => node.loseKernelState(),
  'store gone, kernel state kept': (node) => node.loseStore(),
  'half of the store gone': (node) => {
    const [first] = node.pods;
    for (const address of first?.addresses ?? []) rmSync(node.host.outer(`${store}/${address}`));
  },
  'the index gone': (node) => rmSync(node.host.outer(`${store}/.tsbridge`), { recursive: true }),
  'the leases gone, the index kept': (node) => {
    for (const { addresses } of node.pods)
      for (const address of addresses) rmSync(node.host.outer(`${store}/${address}`));
  },
  'half of the pods gone, without DEL': (node) => {
    const [first] = node.pods;
    first?.container.remove();
    node.pods.shift();
  },
  'rules gone': (node) => void node.host.run(['nft', 'flush', 'ruleset']),
  'the bridge gone': (node) => {
    node.host.run(['ip', 'link', 'del', 'rbt0']);
    for (const pod of [...node.pods]) node.del(pod);
  },
  'boot id unreadable': (node) => node.boot(''),
  'boot id unreadable, then readable': (node) => {
    node.boot('');
    node.add();
    node.boot(1);
  },
  'boot id unreadable after a reboot': (node) => {
    node.loseKernelState();
    node.boot('');
  },
  'clock set back by a year': (node) => moveInTime(node.host, year),
  'clock set forward by a year': (node) => moveInTime(node.host, -year),
  'clock set back by a year, and rebooted': (node) => {
    moveInTime(node.host, year);
    node.loseKernelState();
    node.boot(2);
  },
  "yesterday's copy of the store": (node) => {
    node.host.run(['sh', '-c', `cp -a ${store} /run/yesterday`]);
    for (const pod of node.pods.slice(0, 2)) node.del(pod);
    node.add();
    node.host.run(['sh', '-c', `rm -r ${store}; cp -a /run/yesterday ${store}`]);
  },
  "yesterday's copy over today's store": (node) => {
    node.host.run(['sh', '-c', `cp -a ${store} /run/yesterday`]);
    for (const pod of node.pods.slice(0, 2)) node.del(pod);
    node.add();
    node.host.run(['sh', '-c', `cp -a /run/yesterday/. ${store}/`]);
  },
  "yesterday's copy after a reboot": (node) => {
    node.host.run(['sh', '-c', `cp -a ${store} /run/yesterday`]);
    node.loseKernelState();
    node.boot(2);
    node.add();
    node.host.run(['sh', '-c', `rm -r ${store}; cp -a /run/yesterday ${store}`]);
  },
  "another node's copy of the store": (node) => {
    // Its leases are of other pods, of another boot; and of the same addresses.
    const dir = node.host.outer(store);
    rmSync(dir, { recursive: true });
    mkdirSync(`${dir}/.tsbridge`, { recursive: true });
    for (const address of ['10.71.0.2', '10.71.0.5', '2001:db8:71::5'])
      writeFileSync(`${dir}/${address}`, 'foreign\r\neth0');
    node.add();
    node.collect();
  },
  'disk full for the life of ten pods, then space again': (node) => diskFull(node),
};

/** The store is on a file system of its own, which has no room: ten pods come in vain and go; then there is room. */
function diskFull(node: Node): void {
  const { host } = node;
  for (const pod of [...node.pods]) node.del(pod);
  host.run(['sh', '-c', `rm -rf ${store}; mount -t tmpfs -o size=64k,nr_inodes=40 small ${Host.dataDir}`]);
  node.add();
  host.attempt([
    'sh',
    '-c',
    `dd if=/dev/zero of=${Host.dataDir}/filler bs=1k; for i in $(seq 50); do mkdir ${Host.dataDir}/d$i; done`,
  ]);
  for (let i = 0; i < 10; i++) {
    const container = host.container();
    const added = host.cni({ command: 'ADD', container, conf });
    if (added.status === 0) node.fault('there was room on a full disk');
    else if (added.json?.code !== 5 || !/ENOSPC/.test(added.json.msg) || !added.json.details)
      node.fault(`ADD: ${added.stdout}`);
    const deleted = host.cni({ command: 'DEL', container, conf });
    if (deleted.status !== 0) node.fault(`DEL on a full disk: ${deleted.stdout}`);
  }
  const leases = Object.keys(host.leases(network)).length;
  if (leases !== 2) node.fault(`${leases} leases while the disk was full`);
  host.run(['sh', '-c', `rm -rf ${Host.dataDir}/filler ${Host.dataDir}/d*`]);
}

/** Everything that may be lost while the rest is kept; of the first scenes so many only. */
export const reboots = (build: Build, most = Number.POSITIVE_INFINITY): Promise<Row> =>
  row(`reboot and restore on ${build.name}`, async () => {
    const found = new Faults();
    const played = Object.entries(scenes).slice(0, most);
    for (const [title, happen] of played) {
      using node = await Node.make(build, found, title);
      happen(node);
      node.end();
    }
    return { ran: `${played.length} scenes: ${played.map(([title]) => title).join('; ')}`, found: found.toString() };
  });
