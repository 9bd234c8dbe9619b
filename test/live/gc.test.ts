import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { builds } from '../support/builds.ts';
import type { Container } from '../support/container.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

const conf = {
  cniVersion: '1.1.0',
  name: 'collected',
  type: 'tsbridge',
  bridge: 'gc0',
  isDefaultGateway: true,
  ipMasq: true,
  macspoofchk: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/24' }], [{ subnet: '2001:db8:1::/64' }]] },
};

const attachmentOf = (pod: Container) => ({ containerID: pod.id, ifname: 'eth0' });

for (const build of builds) {
  t.test(`${build.name}: GC`, { skip: missing('nft') }, async (t) => {
    for (const key of ['cni.dev/valid-attachments', 'cni.dev/attachments']) {
      t.test(`removes what is not in ${key}, of this network only`, async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const [kept, stale, foreign] = [host.container(), host.container(), host.container()];
        const other = { ...conf, name: 'other', bridge: 'gc1', ipam: { type: 'host-local', subnet: '10.2.0.0/24' } };
        const prevResult = host.cni({ command: 'ADD', container: kept, conf }).json;
        t.equal(host.cni({ command: 'ADD', container: stale, conf }).status, 0);
        const foreignResult = host.cni({ command: 'ADD', container: foreign, conf: other }).json;
        const { status, stdout } = host.cni({ command: 'GC', conf: { ...conf, [key]: [attachmentOf(kept)] } });
        t.equal(status, 0, stdout);
        t.equal(stdout, '');
        t.strictSame(Object.keys(host.leases('collected')), ['10.1.0.2', '2001:db8:1::2']);
        t.equal((stale.ip('link', 'show') as unknown[]).length, 1, 'only lo is left');
        t.equal(host.cni({ command: 'CHECK', container: kept, conf, prevResult }).stdout, '');
        t.equal(host.cni({ command: 'CHECK', container: foreign, conf: other, prevResult: foreignResult }).stdout, '');
        for (const [container, network] of [
          [kept, conf],
          [foreign, other],
        ] as const) {
          t.equal(host.cni({ command: 'DEL', container, conf: network }).status, 0);
        }
        t.strictSame(host.leftovers(), []);
      });
    }

    for (const [title, keys] of [
      ['null', { 'cni.dev/valid-attachments': null, 'cni.dev/attachments': null }],
      ['absent', {}],
    ] as const) {
      t.test(`with the list ${title} removes what is demonstrably dead and nothing that lives`, async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const [alive, dead] = [host.container(), host.container()];
        const prevResult = host.cni({ command: 'ADD', container: alive, conf }).json;
        t.equal(host.cni({ command: 'ADD', container: dead, conf }).status, 0);
        dead.remove();
        const { status, stdout } = host.cni({ command: 'GC', conf: { ...conf, ...keys } });
        t.equal(status, 0, stdout);
        t.strictSame(Object.keys(host.leases('collected')), ['10.1.0.2', '2001:db8:1::2']);
        t.equal(host.cni({ command: 'CHECK', container: alive, conf, prevResult }).stdout, '');
        t.equal(host.cni({ command: 'DEL', container: alive, conf }).status, 0);
        t.strictSame(host.leftovers(), []);
      });
    }

    t.test('an empty list means that everything is stale', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      t.equal(host.cni({ command: 'ADD', container: host.container(), conf }).status, 0);
      t.equal(host.cni({ command: 'GC', conf: { ...conf, 'cni.dev/valid-attachments': [] } }).status, 0);
      t.strictSame(host.leftovers(), []);
    });

    t.test('without a list, the name of the pair tells that it lives, whatever its alias', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const pods = [host.container(), host.container()];
      const results = pods.map((container) => host.cni({ command: 'ADD', container, conf }).json);
      host.run(['ip', 'link', 'set', results[0].interfaces[1].name, 'alias', 'web-7']);
      host.run(['ip', 'link', 'set', results[1].interfaces[1].name, 'alias', '']);
      t.equal(host.cni({ command: 'GC', conf }).stdout, '');
      for (const [i, container] of pods.entries())
        t.equal(host.cni({ command: 'CHECK', container, conf, prevResult: results[i] }).stdout, '');
      const valid = { 'cni.dev/valid-attachments': pods.map(attachmentOf) };
      t.equal(host.cni({ command: 'GC', conf: { ...conf, ...valid } }).stdout, '');
      for (const [i, container] of pods.entries())
        t.equal(host.cni({ command: 'CHECK', container, conf, prevResult: results[i] }).stdout, '');
    });

    for (const [title, keys] of [
      ['without a list', {}],
      ['with an empty list', { 'cni.dev/valid-attachments': [] }],
    ] as const) {
      t.test(`${title}, an ADD beside it is left whole`, async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        let isOver = false;
        // With a list, SPEC "GC" forbids an ADD beside it: what has ended is collected, and rightly. So here each ADD is stopped half-way.
        const collect = async () => {
          while (!isOver) {
            const { stdout } = await host.cniStart({ command: 'GC', conf: { ...conf, ...keys } }).done;
            if (stdout !== '') t.fail(stdout);
          }
        };
        if (title === 'without a list') {
          const collecting = collect();
          for (let i = 0; i < 12; i++) {
            const container = host.container();
            const { json: prevResult, stdout } = await host.cniStart({ command: 'ADD', container, conf }).done;
            t.ok(prevResult?.ips, stdout);
            const check = { command: 'CHECK', container, conf, prevResult } as const;
            t.equal(host.cni(check).stdout, '');
            if (i % 2) t.equal((await host.cniStart({ command: 'DEL', container, conf }).done).stdout, '');
          }
          isOver = true;
          await collecting;
          return;
        }
        // The IPAM is done, the pair and its rules are made, and iptables, which comes last, does not end.
        mkdirSync(host.outer('/run/slow'));
        writeFileSync(
          host.outer('/run/slow/iptables-restore'),
          '#!/bin/sh\ntouch /run/reached\nwhile [ ! -e /run/go ]; do sleep 0.05; done\nexec /usr/sbin/iptables-restore "$@"\n',
          { mode: 0o755 },
        );
        const container = host.container();
        const slow = { ...conf, ipMasqBackend: 'iptables' };
        const env = { PATH: `/run/slow:${process.env.PATH}` };
        const adding = host.cniStart({ command: 'ADD', container, conf: slow, env });
        for (let i = 0; i < 200 && !existsSync(host.outer('/run/reached')); i++)
          await new Promise((resolve) => setTimeout(resolve, 50));
        t.equal(host.cni({ command: 'GC', conf: { ...slow, ...keys } }).stdout, '');
        writeFileSync(host.outer('/run/go'), '');
        const { json: prevResult, stdout } = await adding.done;
        t.ok(prevResult?.ips, stdout);
        t.equal(host.cni({ command: 'CHECK', container, conf: slow, prevResult }).stdout, '');
        t.equal(host.cni({ command: 'GC', conf: { ...slow, ...keys } }).stdout, '', 'once it has ended');
        t.strictSame(host.leftovers(), []);
      });
    }

    for (const [title, over] of [
      ['the reference plugin', { type: 'bridge' }],
      ['iptables', { ipMasqBackend: 'iptables' }],
      ['nf_tables', {}],
    ] as const) {
      t.test(`with a list, all that ${title} has made for a stale attachment goes before its lease`, async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        const [kept, stale, dead] = [host.container(), host.container(), host.container()];
        const before = { ...conf, ...over, cniVersion: '1.0.0' };
        const plugin = before.type === 'bridge' ? { plugin: 'bridge' } : {};
        for (const container of [kept, stale, dead]) {
          const { status, stdout } = host.cni({ command: 'ADD', ...plugin, container, conf: before });
          t.equal(status, 0, stdout);
        }
        dead.remove();
        const valid = { 'cni.dev/valid-attachments': [attachmentOf(kept)] };
        t.equal(host.cni({ command: 'GC', conf: { ...conf, ...valid } }).stdout, '');
        t.strictSame(Object.keys(host.leases('collected')), ['10.1.0.2', '2001:db8:1::2']);
        t.equal((stale.ip('link', 'show') as unknown[]).length, 1, 'only lo is left');
        const rules = host.run(['nft', 'list', 'ruleset']);
        for (const { id } of [stale, dead]) t.notMatch(rules, new RegExp(id));
        t.notMatch(rules, /10\.1\.0\.[34]\b/);
        t.match(rules, new RegExp(kept.id));
        t.ok(kept.canReach('10.1.0.1'));
        t.equal(host.cni({ command: 'DEL', container: kept, conf }).stdout, '');
        t.strictSame(host.leftovers(), []);
      });
    }

    t.test('a lease stays as long as something of its attachment does', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const pod = host.container();
      t.equal(host.cni({ command: 'ADD', container: pod, conf }).status, 0);
      // A rule of somebody else's jumps to the chain: it cannot go.
      const chain = `cni-br-iface-${pod.id}-eth0`;
      host.run(['nft', `add table bridge nat; add chain bridge nat ${chain}; add chain bridge nat mine`]);
      host.run(['nft', `add rule bridge nat mine jump ${chain}`]);
      const empty = { ...conf, 'cni.dev/valid-attachments': [] };
      t.equal(host.cni({ command: 'GC', conf: empty }).status, 1);
      t.strictSame(Object.keys(host.leases('collected')), ['10.1.0.2', '2001:db8:1::2']);
      host.run(['nft', 'flush', 'chain', 'bridge', 'nat', 'mine']);
      t.equal(host.cni({ command: 'GC', conf: empty }).stdout, '');
      t.strictSame(host.leftovers(), []);
    });

    t.test('a version before 1.1.0 has no GC', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const { json } = host.cni({ command: 'GC', conf: { ...conf, cniVersion: '1.0.0' } });
      t.match(json, { code: 1, msg: 'config version does not allow GC' });
    });
  });
}
