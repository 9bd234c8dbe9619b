import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import t from 'tap';
import { builds } from '../support/builds.ts';
import type { Container } from '../support/container.ts';
import { Host } from '../support/host.ts';
import { referencePlugins } from '../support/reference-plugins.ts';
import { missing } from '../support/requirements.ts';

const conf = {
  cniVersion: '1.0.0',
  name: 'lan',
  type: 'tsbridge',
  bridge: 'lan0',
  ipam: { type: 'dhcp' },
};

const leaseSeconds = 12;

/** A LAN: a bridge with an uplink, and behind that a router that gives addresses by DHCP. */
class Lan {
  readonly host: Host;
  readonly router: Container;

  private constructor(host: Host, router: Container) {
    this.host = host;
    this.router = router;
  }

  static async create(t: { teardown(fn: () => unknown): void }, host: Host): Promise<Lan> {
    const router = host.container('router');
    host.run(['ip', 'link', 'add', 'lan0', 'type', 'bridge']);
    host.run(['ip', 'link', 'set', 'lan0', 'up']);
    host.run([
      'ip',
      'link',
      'add',
      'uplink',
      'master',
      'lan0',
      'type',
      'veth',
      'peer',
      'name',
      'lan',
      'netns',
      'router',
    ]);
    host.run(['ip', 'link', 'set', 'uplink', 'up']);
    router.run(['ip', 'address', 'add', '10.77.0.1/24', 'dev', 'lan']);
    router.run(['ip', 'link', 'set', 'lan', 'up']);
    writeFileSync(
      host.outer('/run/udhcpd.conf'),
      [
        'interface lan',
        'start 10.77.0.20',
        'end 10.77.0.40',
        'lease_file /run/udhcpd.leases',
        'pidfile /run/udhcpd.pid',
        'auto_time 1',
        'min_lease 5',
        'option subnet 255.255.255.0',
        'option router 10.77.0.1',
        `option lease ${leaseSeconds}`,
        '',
      ].join('\n'),
    );
    writeFileSync(host.outer('/run/udhcpd.leases'), '');
    for (const server of [
      router.start(['busybox', 'udhcpd', '-f', '/run/udhcpd.conf']),
      host.start([`${referencePlugins}/dhcp`, 'daemon']),
    ])
      t.teardown(() => server.kill());
    for (let i = 0; i < 100 && !existsSync(host.outer('/run/cni/dhcp.sock')); i++) await setTimeout(50);
    return new Lan(host, router);
  }

  /** The seconds that the lease of an address has left; 0: it has been released, or is over. */
  async left(address: string): Promise<number> {
    this.host.run(['sh', '-c', 'kill -USR1 $(cat /run/udhcpd.pid)']); // writes the file
    await setTimeout(200);
    const bytes = readFileSync(this.host.outer('/run/udhcpd.leases'));
    // int64 time of writing; then for each lease u32 expires (seconds from then), u32 address, … — busybox, networking/udhcp/dhcpd.h
    for (let at = 8; at + 36 <= bytes.length; at += 36) {
      const ip = [...bytes.subarray(at + 4, at + 8)].join('.');
      if (ip === address) return bytes.readUInt32BE(at);
    }
    return 0;
  }
}

for (const build of builds) {
  t.test(`${build.name}: addresses by DHCP`, { skip: missing('busybox') }, async (t) => {
    t.test('a lease is given through the pair, renewed, and released by DEL', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const lan = await Lan.create(t, host);
      const pod = host.container();
      const started = Date.now();
      const { status, json: prevResult, stdout } = host.cni({ command: 'ADD', container: pod, conf });
      t.equal(status, 0, stdout);
      t.ok(Date.now() - started < 15_000, `${Date.now() - started} ms`);
      const address = prevResult.ips[0].address as string;
      t.match(address, /^10\.77\.0\.(2\d|3\d|40)\/24$/);
      t.equal(prevResult.ips[0].gateway, '10.77.0.1');
      t.ok(pod.canReach('10.77.0.1'), 'by the uplink');
      t.equal(host.cni({ command: 'CHECK', container: pod, conf, prevResult }).stdout, '');
      const ip = address.slice(0, -3);
      const first = await lan.left(ip);
      t.ok(first > 0 && first <= leaseSeconds, `${first} s are left`);
      await setTimeout((first + 1) * 1000);
      const second = await lan.left(ip);
      t.ok(second > 0, `renewed: ${second} s are left when the first lease is over`);
      // Wherever in its time the lease is now, nobody but a release ends it within the next moment.
      if (second < 4) await setTimeout((second - 1) * 1000);
      t.equal(host.cni({ command: 'DEL', container: pod, conf, prevResult }).stdout, '');
      t.equal(await lan.left(ip), 0, 'released');
      t.strictSame((pod.ip('link', 'show') as unknown[]).length, 1, 'only lo is left');
      t.equal(host.cni({ command: 'DEL', container: pod, conf, prevResult }).stdout, '', 'again');
    });

    t.test('a failed ADD gives the lease back, and then the pair goes', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const lan = await Lan.create(t, host);
      // Another network's gateway in the subnet that the router turns out to have.
      host.run(['ip', 'address', 'add', '10.77.0.9/24', 'dev', 'lan0']);
      const { json, stdout } = host.cni({
        command: 'ADD',
        container: host.container(),
        conf: { ...conf, isGateway: true },
      });
      t.match(json, { code: 102, msg: /10\.77\.0\.9/ }, stdout);
      t.equal(await lan.left('10.77.0.20'), 0);
      t.notMatch(host.run(['ip', '-o', 'link']), /veth[0-9a-f]{11}/);
      t.match(host.run(['ip', '-o', 'link']), /lan0/, 'the bridge was there before');
    });
  });

  t.test(`${build.name}: an IPAM plugin that fails`, { skip: missing() }, async (t) => {
    const plugin = (host: Host, verbs: Record<string, string>) => {
      const cases = Object.entries(verbs).map(([verb, script]) => `${verb}) ${script} ;;`);
      const look = 'echo "$CNI_COMMAND $(nsenter --net=$CNI_NETNS ip -o link show eth0 2>&1)" >>/run/calls';
      writeFileSync(
        host.outer('/run/cni/bin/odd'),
        `#!/bin/sh\n${look}\ncase $CNI_COMMAND in\n${cases.join('\n')}\nesac\n`,
        {
          mode: 0o755,
        },
      );
    };
    const odd = { ...conf, ipMasq: true, macspoofchk: true, ipam: { type: 'odd' } };
    const answer = `echo '{"cniVersion":"1.0.0","ips":[{"address":"10.77.0.5/24"}]}'`;
    const calls = (host: Host) => readFileSync(host.outer('/run/calls'), 'utf8');

    t.test('finds the interface, down and a port of the bridge, at ADD and at DEL', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      plugin(host, { ADD: `bridge link show >/run/ports; ${answer}`, DEL: 'true' });
      const pod = host.container();
      t.equal(host.cni({ command: 'ADD', container: pod, conf: odd }).status, 0);
      t.match(calls(host), /^ADD \d+: eth0@\S+ <BROADCAST,MULTICAST(,M-DOWN)?> /);
      t.match(readFileSync(host.outer('/run/ports'), 'utf8'), /veth\S+ .* master lan0/);
      t.equal(host.cni({ command: 'DEL', container: pod, conf: odd }).status, 0);
      t.match(calls(host), /^DEL \d+: eth0@/m);
      t.strictSame(host.leftovers(), []);
    });

    t.test('at DEL: all else is removed, and its error reported', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      plugin(host, { ADD: answer, DEL: `echo '{"code":55,"msg":"no server"}'; exit 1` });
      const pod = host.container();
      t.equal(host.cni({ command: 'ADD', container: pod, conf: odd }).status, 0);
      t.match(host.cni({ command: 'DEL', container: pod, conf: odd }).json, { code: 55, msg: 'no server' });
      t.strictSame(host.leftovers(), []);
      t.equal((pod.ip('link', 'show') as unknown[]).length, 1);
    });

    t.test('at ADD: its DEL is run while the interface is there, then that and the bridge go', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      plugin(host, { ADD: `echo '{"code":55,"msg":"no offer"}'; exit 1`, DEL: 'true' });
      const { json } = host.cni({ command: 'ADD', container: host.container(), conf: odd });
      t.match(json, { code: 55, msg: 'no offer' });
      t.match(calls(host), /^DEL \d+: eth0@/m);
      t.strictSame(
        (host.ip('link', 'show') as { ifname: string }[]).map(({ ifname }) => ifname),
        ['lo'],
      );
    });

    t.test('that is not there at all: nothing is changed', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const log = '/run/log';
      const { json } = host.cni({
        command: 'ADD',
        container: host.container(),
        conf: odd,
        env: { TSBRIDGE_LOG_LEVEL: 'debug', TSBRIDGE_LOG_FILE: log },
      });
      t.match(json, { code: 4, msg: /failed to find plugin "odd"/ });
      t.notMatch(readFileSync(host.outer(log), 'utf8'), /ip link add/);
    });
  });
}
