import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { builds } from '../support/builds.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

const conf = {
  cniVersion: '1.1.0',
  name: 'ready',
  type: 'tsbridge',
  bridge: 'st0',
  isDefaultGateway: true,
  ipMasq: true,
  macspoofchk: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/24' }], [{ subnet: '2001:db8:1::/64' }]] },
};

for (const build of builds) {
  t.test(`${build.name}: STATUS`, { skip: missing('nft') }, async (t) => {
    t.test('is silent when an ADD would be served, before the first and after', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      t.strictSame(host.cni({ command: 'STATUS', conf }).stdout, '');
      t.equal(host.cni({ command: 'ADD', container: host.container(), conf }).status, 0);
      const { status, stdout } = host.cni({ command: 'STATUS', conf });
      t.equal(status, 0, stdout);
      t.equal(stdout, '');
    });

    for (const { title, prepare, over, msg } of [
      {
        title: 'the store cannot be written',
        prepare: (host: Host) => writeFileSync(host.outer('/run/file'), ''),
        over: { ipam: { type: 'host-local', subnet: '10.9.0.0/29', dataDir: '/run/file' } },
        msg: /\/run\/file/,
      },
      {
        title: 'the bridge name is taken',
        prepare: (host: Host) => host.run(['ip', 'link', 'add', 'st0', 'type', 'veth', 'peer', 'name', 'st1']),
        over: {},
        msg: /st0 exists and is not a bridge/,
      },
    ]) {
      t.test(`is 50 when ${title}`, async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        prepare(host);
        const { status, json, stdout } = host.cni({ command: 'STATUS', conf: { ...conf, ...over } });
        t.equal(status, 1, stdout);
        t.match(json, { cniVersion: '1.1.0', code: 50, msg });
      });
    }

    // The kubelet makes a node NotReady on any error, and evicts the very pods that use the network up.
    for (const { title, prepare, over, msg, usage } of [
      {
        title: 'no address is left',
        prepare: (host: Host) => {
          mkdirSync(host.outer('/var/lib/cni/networks/ready'), { recursive: true });
          for (let i = 2; i < 7; i++)
            writeFileSync(host.outer(`/var/lib/cni/networks/ready/10.9.0.${i}`), `someone${i}\r\neth0`);
        },
        over: { ipam: { type: 'host-local', subnet: '10.9.0.0/29' } },
        msg: 'no addresses left in 10.9.0.1-10.9.0.6',
        usage: 'st0: no such interface yet\n10.9.0.1-10.9.0.6: 5 of 5 addresses taken\n',
      },
      {
        title: 'no bridge port is left',
        prepare: (host: Host) => {
          // Both ends of 511 pairs, and one of another.
          const pairs = Array.from({ length: 512 }, (_, i) => `link add p${i} master st0 type veth peer name q${i}\n`);
          const others = Array.from({ length: 511 }, (_, i) => `link set q${i} master st0\n`);
          host.run(['ip', '-batch', '-'], {
            stdin: ['link add st0 type bridge\n', ...pairs, ...others].join(''),
          });
        },
        over: { ipam: { type: 'host-local', subnet: '10.9.0.0/29' } },
        msg: 'st0 has 1023 ports, as many as a bridge can have',
        usage: 'st0: 1023 of 1023 ports\n10.9.0.1-10.9.0.6: 0 of 5 addresses taken\n',
      },
    ]) {
      t.test(`is silent but for the log when ${title}, unless it is asked for an error`, async (t) => {
        const host = await Host.create(t, { plugin: build.path });
        prepare(host);
        const full = { ...conf, ...over };
        const { status, stdout } = host.cni({
          command: 'STATUS',
          conf: { ...full, logFile: '/run/log', logLevel: 'warn' },
        });
        t.strictSame([status, stdout], [0, '']);
        const lines = readFileSync(host.outer('/run/log'), 'utf8').trimEnd().split('\n');
        t.match(
          lines.map((line) => JSON.parse(line)),
          [{ level: 'warn', msg }],
        );
        const asked = host.cni({ command: 'STATUS', conf: { ...full, statusErrorWhenFull: true } });
        t.strictSame([asked.status, asked.json.code, asked.json.msg], [1, 50, msg]);

        writeFileSync(host.outer('/run/full.conf'), JSON.stringify(full));
        const shown = host.attempt([build.path, 'status', '/run/full.conf'], { env: {} });
        t.strictSame([shown.status, shown.stdout], [1, usage], 'people are told');
        t.match(shown.stderr, new RegExp(`^tsbridge status: ${msg}`));
      });
    }

    t.test('people are told that there is room', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      t.equal(host.cni({ command: 'ADD', container: host.container(), conf }).status, 0);
      t.equal(
        host.run([build.path, 'status'], { env: {}, stdin: JSON.stringify(conf) }),
        [
          'st0: 1 of 1023 ports',
          '10.1.0.1-10.1.0.254: 1 of 253 addresses taken',
          '2001:db8:1::1-2001:db8:1:0:ffff:ffff:ffff:ffff: 1 of 18446744073709551614 addresses taken',
          'another pod would find room\n',
        ].join('\n'),
      );
    });

    t.test('as the IPAM plugin of another: the same of its addresses', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      mkdirSync(host.outer('/var/lib/cni/networks/ready'), { recursive: true });
      for (const i of [2, 3, 4, 5, 6])
        writeFileSync(host.outer(`/var/lib/cni/networks/ready/10.9.0.${i}`), `someone${i}\r\neth0`);
      const other = {
        cniVersion: '1.1.0',
        name: 'ready',
        type: 'macvlan',
        ipam: { type: 'tsbridge', subnet: '10.9.0.0/29' },
      };
      t.strictSame(host.cni({ command: 'STATUS', conf: other }).stdout, '');
      t.match(host.cni({ command: 'STATUS', conf: { ...other, statusErrorWhenFull: true } }).json, { code: 50 });
      const shown = host.attempt([build.path, 'status'], { env: {}, stdin: JSON.stringify(other) });
      t.strictSame([shown.status, shown.stdout], [1, '10.9.0.1-10.9.0.6: 5 of 5 addresses taken\n'], 'people are told');
      t.match(shown.stderr, /^tsbridge status: no addresses left in 10\.9\.0\.1-10\.9\.0\.6/);
    });
  });
}
