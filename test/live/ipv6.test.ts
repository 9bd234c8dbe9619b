import t from 'tap';
import { builds } from '../support/builds.ts';
import { capture } from '../support/capture.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

const network = (over: Record<string, unknown> = {}) => ({
  cniVersion: '1.0.0',
  name: 'six',
  type: 'tsbridge',
  bridge: 'six0',
  isGateway: true,
  isDefaultGateway: true,
  ...over,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/24' }], [{ subnet: '2001:db8:1::/64' }]] },
});

interface Address {
  local: string;
  scope: string;
  tentative?: boolean;
  nodad?: boolean;
}

for (const build of builds) {
  t.test(`${build.name}: IPv6`, { skip: missing('tcpdump') }, async (t) => {
    t.test('the address is usable when ADD returns, and survives a link that goes down and up', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const pod = host.container();
      t.equal(host.cni({ command: 'ADD', container: pod, conf: network() }).status, 0);
      t.equal(pod.attempt(['ping', '-n', '-c1', '-W0.9', '2001:db8:1::1']).status, 0, 'the first ping is answered');
      const address = () =>
        (pod.ip('-6', 'address', 'show', 'dev', 'eth0')[0].addr_info as Address[]).find(
          ({ scope }) => scope === 'global',
        );
      t.match(address(), { local: '2001:db8:1::2', nodad: true });
      pod.run(['ip', 'link', 'set', 'eth0', 'down']);
      t.match(address(), { local: '2001:db8:1::2' });
      pod.run(['ip', 'link', 'set', 'eth0', 'up']);
      t.ok(pod.canReach('2001:db8:1::1'));
      for (const [key, value] of Object.entries({ accept_dad: '0', keep_addr_on_down: '1', ndisc_notify: '1' })) {
        t.equal(pod.sysctl(`net/ipv6/conf/eth0/${key}`), value, key);
      }
    });

    t.test('enabledad waits until the address is no longer tentative', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const pod = host.container();
      const { status, stdout } = host.cni({ command: 'ADD', container: pod, conf: network({ enabledad: true }) });
      t.equal(status, 0, stdout);
      const [own] = (pod.ip('-6', 'address', 'show', 'dev', 'eth0')[0].addr_info as Address[]).filter(
        ({ scope }) => scope === 'global',
      );
      t.match(own, { local: '2001:db8:1::2' });
      t.notOk(own?.tentative);
      t.notOk(own?.nodad);
      t.equal(pod.sysctl('net/ipv6/conf/eth0/accept_dad'), '1');
    });

    t.test('enabledad: a duplicate is an error that names the address, and all is undone', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      host.run(['ip', 'link', 'add', 'six0', 'type', 'bridge']);
      host.run(['ip', 'link', 'set', 'six0', 'up']);
      // Somebody else on the bridge has the address that the pod will get.
      const squatter = host.container();
      host.run([
        'ip',
        'link',
        'add',
        'squat',
        'master',
        'six0',
        'up',
        'type',
        'veth',
        'peer',
        'name',
        'eth0',
        'netns',
        squatter.name,
      ]);
      squatter.run(['ip', 'address', 'add', '2001:db8:1::2/64', 'dev', 'eth0', 'nodad']);
      squatter.run(['ip', 'link', 'set', 'eth0', 'up']);
      const pod = host.container();
      const { status, json } = host.cni({ command: 'ADD', container: pod, conf: network({ enabledad: true }) });
      t.equal(status, 1);
      t.match(json.msg + json.details, /2001:db8:1::2/);
      t.equal((pod.ip('link', 'show') as unknown[]).length, 1);
      t.strictSame(host.leases('six'), {});
    });

    t.test('router advertisements from pods do not reach the host', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const { json } = host.cni({
        command: 'ADD',
        container: host.container(),
        conf: network({ isGateway: false, isDefaultGateway: false }),
      });
      for (const { name } of json.interfaces.slice(0, 2))
        t.equal(host.sysctl(`net/ipv6/conf/${name}/accept_ra`), '0', name);
    });

    t.test('arriving, the pod announces its IPv4 and its IPv6 address', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      host.cni({ command: 'ADD', container: host.container(), conf: network() });
      const bridge = await capture(host, 'six0', 'arp or icmp6');
      t.equal(host.cni({ command: 'ADD', container: host.container(), conf: network() }).status, 0);
      const announcements = [
        /ARP, (Request who-has|Reply) 10\.1\.0\.3 (\(ff:ff:ff:ff:ff:ff\) )?(tell 10\.1\.0\.3|is-at)/,
        /neighbor advertisement, tgt is 2001:db8:1::3/,
      ];
      const seen = await bridge.seen(announcements);
      for (const announcement of announcements) t.match(seen, announcement);
    });

    t.test('a container with IPv6 switched off gets it for its interface', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const pod = host.container();
      pod.run([
        'sh',
        '-c',
        'echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6',
      ]);
      const { status, stdout } = host.cni({ command: 'ADD', container: pod, conf: network() });
      t.equal(status, 0, stdout);
      t.ok(pod.canReach('2001:db8:1::1'));
    });

    t.test('an IPv4 network works with a read-only /proc/sys when forwarding is on already', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      host.run([
        'sh',
        '-c',
        'echo 1 >/proc/sys/net/ipv4/ip_forward; mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys',
      ]);
      const pod = host.container();
      const conf = { ...network(), ipam: { type: 'host-local', subnet: '10.1.0.0/24' } };
      const { status, stdout } = host.cni({ command: 'ADD', container: pod, conf });
      t.equal(status, 0, stdout);
      t.ok(pod.canReach('10.1.0.1'));
    });

    t.test('an IPv4 network works where there are no IPv6 sysctls at all, as on a kernel without IPv6', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      host.run(['mount', '-t', 'tmpfs', 'nothing', '/proc/sys/net/ipv6']);
      const pod = host.container();
      const conf = { ...network(), ipam: { type: 'host-local', subnet: '10.1.0.0/24' } };
      const { status, json: prevResult, stdout } = host.cni({ command: 'ADD', container: pod, conf });
      t.equal(status, 0, stdout);
      t.ok(pod.canReach('10.1.0.1'));
      t.equal(host.cni({ command: 'CHECK', container: pod, conf, prevResult }).stdout, '');
      t.equal(host.cni({ command: 'DEL', container: pod, conf }).status, 0);
      t.strictSame(host.leftovers(), []);
    });

    t.test('with a read-only /proc/sys and forwarding off, the error names the sysctl and all is undone', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      host.run(['sh', '-c', 'mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys']);
      const conf = { ...network(), ipam: { type: 'host-local', subnet: '10.1.0.0/24' } };
      const { status, json } = host.cni({ command: 'ADD', container: host.container(), conf });
      t.equal(status, 1);
      t.match(json, { code: 100, msg: /net\/ipv4\/ip_forward/ });
      t.strictSame(host.leftovers(), []);
      t.notOk(
        (host.ip('link', 'show') as { ifname: string }[]).some(({ ifname }) => ifname === 'six0'),
        'the bridge is gone again',
      );
    });
  });
}
