import { mkdirSync, symlinkSync } from 'node:fs';
import t from 'tap';
import { builds } from '../support/builds.ts';
import type { Container } from '../support/container.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

// CHECK of a pod that the reference plugin has made: its rules do the work, and DEL removes them one day.

const conf = {
  cniVersion: '1.0.0',
  name: 'gone',
  type: 'tsbridge',
  bridge: 'cni0',
  isDefaultGateway: true,
  ipMasq: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.60.0.0/24' }], [{ subnet: 'fd60::/64' }]] },
};

const addGo = (host: Host, container: Container, over: Record<string, unknown>, env: Record<string, string> = {}) => {
  const go = { ...conf, ...over, type: 'bridge' };
  const { status, json, stdout } = host.cni({ command: 'ADD', plugin: 'bridge', container, conf: go, env });
  if (status !== 0) throw new Error(stdout);
  return json;
};

function legacy(host: Host): Record<string, string> {
  mkdirSync(host.outer('/run/legacy'));
  for (const name of ['iptables', 'ip6tables'])
    symlinkSync(`/usr/sbin/${name}-legacy`, host.outer(`/run/legacy/${name}`));
  return { PATH: `/run/legacy:${process.env.PATH}` };
}

/** What the reference's back end for nftables makes (plugins v1.6 and later): hashes of the network, and of interface and container. */
const goNft = (hash: (text: string) => string, id: string) => `
  add table inet cni_plugins_masquerade
  add chain inet cni_plugins_masquerade masq_checks
  add chain inet cni_plugins_masquerade postrouting { type nat hook postrouting priority 100; }
  add rule inet cni_plugins_masquerade postrouting ip daddr 224.0.0.0/4 return
  add rule inet cni_plugins_masquerade postrouting goto masq_checks
  add rule inet cni_plugins_masquerade masq_checks ip saddr 10.60.0.2 ip daddr != 10.60.0.0/24 masquerade comment "${hash('gone')}-${hash(`eth0:${id}`)}, net: gone, if: eth0, id: ${id}"
  add rule inet cni_plugins_masquerade masq_checks ip6 saddr fd60::2 ip6 daddr != fd60::/64 masquerade comment "${hash('gone')}-${hash(`eth0:${id}`)}, net: gone, if: eth0, id: ${id}"
`;

/** The same of its portmap: a port at every address, and one at one of the host's. */
const goPorts = (id: string, last: number, port: number) =>
  ['ip', 'ip6']
    .map((family) => {
      const [address, to] =
        family === 'ip' ? [`10.60.0.${last}`, `10.60.0.${last}`] : [`fd60::${last}`, `[fd60::${last}]`];
      const atOne = `add rule ip cni_hostport hostip_hostports ip daddr 192.0.2.1 udp dport 5300 dnat to ${to}:53 comment "${id}"`;
      return `
  add table ${family} cni_hostport
  add chain ${family} cni_hostport hostports
  add chain ${family} cni_hostport hostip_hostports
  add chain ${family} cni_hostport prerouting { type nat hook prerouting priority -100; }
  flush chain ${family} cni_hostport prerouting
  add rule ${family} cni_hostport prerouting jump hostip_hostports
  add rule ${family} cni_hostport prerouting jump hostports
  add chain ${family} cni_hostport masquerading { type nat hook postrouting priority 100; }
  ${family === 'ip' && port === 8080 ? atOne : ''}
  add rule ${family} cni_hostport hostports tcp dport ${port} dnat to ${to}:80 comment "${id}"
  add rule ${family} cni_hostport masquerading ${family} saddr ${address} ${family} daddr ${address} masquerade comment "${id}"
`;
    })
    .join('');

for (const build of builds) {
  t.test(
    `${build.name}: CHECK after a switch-over`,
    { skip: missing('nft', 'iptables', 'iptables-legacy') },
    async (t) => {
      t.test('is content with the reference’s chains of iptables, and tells when they are gone', async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const [pod, other] = [host.container(), host.container()];
        const prevResult = addGo(host, pod, {});
        addGo(host, other, {});
        const check = (over: Record<string, unknown> = {}) =>
          host.cni({ command: 'CHECK', container: pod, conf: { ...conf, ...over }, prevResult });
        t.equal(check().stdout, '');
        t.equal(check({ ipMasqBackend: 'iptables' }).stdout, '', 'whatever the back end of the configuration');
        host.run(['ip6tables', '-t', 'nat', '-F', 'POSTROUTING']);
        t.match(check().json, { code: 101, msg: /^fd60::2 is not masqueraded/ });
        const rule =
          host
            .run(['iptables', '-t', 'nat', '-S', 'POSTROUTING'])
            .split('\n')
            .find((line) => line.includes(pod.id)) ?? '';
        host.run(['sh', '-c', `iptables -t nat ${rule.replace(/^-A/, '-D')}`]);
        t.match(check().json, { code: 101, msg: /^10\.60\.0\.2 is not masqueraded; fd60::2 is not masqueraded/ });
      });

      t.test('with those of the old iptables', async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const env = legacy(host);
        const pod = host.container();
        const prevResult = addGo(host, pod, {}, env);
        if (host.attempt(['iptables-legacy', '-t', 'nat', '-S'], { env }).status !== 0)
          return t.pass('this kernel has none');
        const check = () => host.cni({ command: 'CHECK', container: pod, conf, prevResult, env });
        t.equal(check().stdout, '');
        host.run(['iptables-legacy', '-t', 'nat', '-F', 'POSTROUTING']);
        t.match(check().json, { code: 101, msg: /^10\.60\.0\.2 is not masqueraded/ });
      });

      t.test('with the rules of its back end for nftables', async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const pod = host.container();
        const prevResult = addGo(host, pod, { ipMasq: false });
        const check = () => host.cni({ command: 'CHECK', container: pod, conf, prevResult });
        t.match(check().json, { code: 101 });
        const { createHash } = await import('node:crypto');
        const hash = (text: string) => createHash('sha512').update(text).digest('hex').slice(0, 16);
        host.run(['nft', '-f', '-'], { stdin: goNft(hash, pod.id) });
        t.equal(check().stdout, '');
        host.run(['nft', 'flush', 'chain', 'inet', 'cni_plugins_masquerade', 'postrouting']);
        t.match(check().json, { code: 101 });
      });

      t.test(
        'with our own chain of iptables, or set element, when the configuration has got another back end',
        async (t) => {
          const host = await Host.create(t, { plugin: build.path });
          for (const [before, after] of [
            ['iptables', 'nftables'],
            ['nftables', 'iptables'],
          ]) {
            const container = host.container();
            const { json: prevResult } = host.cni({
              command: 'ADD',
              container,
              conf: { ...conf, ipMasqBackend: before },
            });
            const check = { command: 'CHECK', container, conf: { ...conf, ipMasqBackend: after }, prevResult } as const;
            t.equal(host.cni(check).stdout, '');
            t.equal(host.cni({ ...check, command: 'DEL' }).stdout, '');
            t.strictSame(host.leftovers(), []);
          }
        },
      );

      t.test('with the ports that its portmap has mapped', async (t) => {
        for (const kind of ['nft', 'legacy'] as const) {
          const host = await Host.create(t, { plugin: build.path });
          const env = kind === 'legacy' ? legacy(host) : {};
          const iptables = kind === 'legacy' ? 'iptables-legacy' : 'iptables-nft';
          if (host.attempt([iptables, '-t', 'nat', '-S']).status !== 0) {
            t.pass(`this kernel has no ${iptables}`);
            continue;
          }
          const ports = {
            ipMasq: false,
            capabilities: { portMappings: true },
            runtimeConfig: {
              portMappings: [
                { hostPort: 8080, containerPort: 80, protocol: 'tcp' },
                { hostPort: 5300, containerPort: 53, protocol: 'udp', hostIP: '192.0.2.1' },
              ],
            },
          };
          const pod = host.container();
          const prevResult = addGo(host, pod, ports, env);
          const mapped = host.cni({
            command: 'ADD',
            plugin: 'portmap',
            container: pod,
            conf: { ...conf, ...ports, type: 'portmap' },
            prevResult,
            env,
          });
          t.equal(mapped.status, 0, mapped.stdout);
          const check = (portMappings: object[] = ports.runtimeConfig.portMappings) =>
            host.cni({
              command: 'CHECK',
              container: pod,
              conf: { ...conf, ...ports, runtimeConfig: { portMappings } },
              prevResult,
              env,
            });
          t.equal(check().stdout, '', kind);
          const [web, dns] = ports.runtimeConfig.portMappings as [object, object];
          for (const [portMappings, message] of [
            [[{ ...web, containerPort: 81 }], /^host port tcp 8080 is not mapped to 10\.60\.0\.2:81/],
            [[{ ...web, hostPort: 81 }], /^host port tcp 81 is not mapped/],
            [[{ ...web, protocol: 'udp' }], /^host port udp 8080 is not mapped/],
            [[{ ...web, hostIP: '192.0.2.1' }], /^host port tcp 192\.0\.2\.1:8080 is not mapped/],
            [[{ ...dns, hostIP: '192.0.2.2' }], /^host port udp 192\.0\.2\.2:5300 is not mapped/],
            [[{ ...dns, hostIP: undefined }], /^host port udp 5300 is not mapped/],
          ] as const)
            t.match(check([...portMappings]).json, { code: 101, msg: message }, `${kind}: ${message}`);

          // A pod of ours beside it: what maps its ports says nothing of the old one's.
          const other = host.container();
          const ours = { ...conf, ...ports, runtimeConfig: { portMappings: [{ ...web, hostPort: 9090 }] } };
          t.equal(host.cni({ command: 'ADD', container: other, conf: ours, env }).status, 0);
          t.equal(check().stdout, '', `${kind}: beside a pod of ours`);

          const flush = (program: string, chain: string) => host.run([program, '-t', 'nat', '-F', chain]);
          flush(iptables, 'OUTPUT');
          t.equal(check().stdout, '');
          flush(iptables, 'CNI-HOSTPORT-DNAT');
          t.match(check().json, {
            code: 101,
            msg: /^host port tcp 8080 is not mapped to 10\.60\.0\.2:80 .*; host port udp 192\.0\.2\.1:5300 is not mapped/,
          });
          flush(iptables.replace('ip', 'ip6'), 'PREROUTING');
          t.match(check().json, { code: 101, msg: /; host port tcp 8080 is not mapped to \[fd60::2\]:80/ });
          for (const container of [pod, other])
            t.equal(host.cni({ command: 'DEL', container, conf: { ...conf, ...ports }, env }).stdout, '');
          t.strictSame(
            // The reference's own chains, and the one that nothing leads to any more.
            host.leftovers().filter((left) => !/CNI-(HOSTPORT|DN)-/.test(left)),
            [],
            kind,
          );
        }
      });

      t.test('with the ports of its portmap’s back end for nftables, which GC knows, too', async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const mappings = [
          { hostPort: 8080, containerPort: 80, protocol: 'tcp' },
          { hostPort: 5300, containerPort: 53, protocol: 'udp', hostIP: '192.0.2.1' },
        ];
        const ports = {
          cniVersion: '1.1.0',
          ipMasq: false,
          capabilities: { portMappings: true },
          runtimeConfig: { portMappings: mappings },
        };
        const pods = [host.container(), host.container()] as const;
        const results = pods.map((pod) => addGo(host, pod, { ...ports, cniVersion: '1.0.0' }));
        host.run(['sysctl', '-qw', 'net.ipv4.conf.cni0.route_localnet=1']);
        host.run(['nft', '-f', '-'], { stdin: pods.map(({ id }, i) => goPorts(id, i + 2, 8080 + i)).join('') });
        const [pod, other] = pods;
        const check = () => {
          const call = { command: 'CHECK', container: pod, conf: { ...conf, ...ports } } as const;
          return host.cni({ ...call, prevResult: { ...results[0], cniVersion: '1.1.0' } });
        };
        t.equal(check().stdout, '');
        host.run(['nft', 'flush', 'chain', 'ip', 'cni_hostport', 'hostip_hostports']);
        t.match(check().json, { code: 101, msg: /^host port udp 192\.0\.2\.1:5300 is not mapped to 10\.60\.0\.2:53/ });
        host.run(['nft', 'flush', 'chain', 'ip6', 'cni_hostport', 'prerouting']);
        t.match(check().json, { code: 101, msg: /^host port tcp 8080 is not mapped to \[fd60::2\]:80/ });

        const collected = host.cni({
          command: 'GC',
          conf: { ...conf, ...ports, 'cni.dev/valid-attachments': [{ containerID: other.id, ifname: 'eth0' }] },
        });
        t.equal(collected.stdout, '');
        const listing = host.run(['nft', 'list', 'ruleset']);
        t.notMatch(listing, pod.id);
        t.notMatch(listing, '10.60.0.2');
        t.match(listing, `dnat to 10.60.0.3:80 comment "${other.id}"`, 'another pod’s stay');
        t.match(listing, `dnat to [fd60::3]:80 comment "${other.id}"`);
      });

      t.test('GC with a list collects the chains of its portmap', async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const ports = (hostPort: number) => ({
          ipMasq: false,
          capabilities: { portMappings: true },
          runtimeConfig: { portMappings: [{ hostPort, containerPort: 80, protocol: 'tcp' }] },
        });
        const pods = [8080, 8081].map((hostPort) => {
          const container = host.container();
          const prevResult = addGo(host, container, ports(hostPort));
          const portmap = { ...conf, ...ports(hostPort), type: 'portmap' };
          t.equal(host.cni({ command: 'ADD', plugin: 'portmap', container, conf: portmap, prevResult }).status, 0);
          return container;
        });
        const valid = [{ containerID: pods[1]?.id, ifname: 'eth0' }];
        const gc = { ...conf, cniVersion: '1.1.0', 'cni.dev/valid-attachments': valid };
        t.equal(host.cni({ command: 'GC', conf: gc }).stdout, '');
        for (const save of ['iptables-save', 'ip6tables-save']) {
          const saved = host.run([save, '-t', 'nat']);
          t.notMatch(saved, pods[0]?.id);
          t.match(saved, pods[1]?.id);
          t.equal(saved.match(/^:CNI-DN-/gm)?.length, 1);
        }
      });

      t.test('with its chains that check frames', async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const pod = host.container();
        const spoof = { macspoofchk: true, ipMasq: false };
        const prevResult = addGo(host, pod, spoof);
        const check = () => host.cni({ command: 'CHECK', container: pod, conf: { ...conf, ...spoof }, prevResult });
        t.equal(check().stdout, '');
        host.run(['nft', 'flush', 'chain', 'bridge', 'nat', 'PREROUTING']);
        t.match(check().json, { code: 101, msg: /are not checked for spoofed MAC addresses/ });
        t.equal(host.cni({ command: 'DEL', container: pod, conf: { ...conf, ...spoof }, prevResult }).stdout, '');
        t.strictSame(host.leftovers(), []);
      });
    },
  );
}
