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
