import { readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { builds } from '../support/builds.ts';
import { run, shWords } from '../support/command.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

const conf = {
  cniVersion: '1.0.0',
  name: 'shown',
  type: 'tsbridge',
  bridge: 'sh0',
  isGateway: true,
  ipMasq: true,
  capabilities: { portMappings: true },
  ipam: { type: 'host-local', subnet: '10.1.0.0/24' },
};

const podArgs = (name: string) => `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=${name}`;

/** A host with the network configured where runtimes look for it. */
async function node(t: Parameters<typeof Host.create>[0], plugin: string) {
  const host = await Host.create(t, { plugin });
  host.run(['mkdir', '-p', '/run/net.d']);
  writeFileSync(host.outer('/run/net.d/10-shown.conf'), JSON.stringify(conf));
  const show = (...words: string[]) =>
    host.attempt([plugin, 'show', '--conf-dir', '/run/net.d', ...words], { env: {} });
  return { host, show };
}

for (const build of builds) {
  t.test(`${build.name}: tsbridge show`, { skip: missing('nft') }, async (t) => {
    const { host, show } = await node(t, build.path);
    t.match(show(), { status: 0, stdout: /^sh0\n {2}no such interface yet\n {2}network shown\n$/ }, 'before any pod');

    const [web, db] = [host.container('web'), host.container('db')];
    const portMappings = [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }];
    const added = host.cni({
      command: 'ADD',
      container: web,
      conf: { ...conf, runtimeConfig: { portMappings } },
      args: podArgs('web-0'),
    });
    t.equal(added.status, 0, added.stdout);
    t.equal(host.cni({ command: 'ADD', container: db, conf }).status, 0);
    t.ok(web.canReach('10.1.0.1'));

    t.test('draws what is there', async (t) => {
      const { status, stdout, stderr } = show();
      t.strictSame([status, stderr], [0, ''], stdout);
      const bridge = host.ip('link', 'show', 'dev', 'sh0')[0];
      const [line = '', ...rest] = stdout.split('\n');
      t.match(line, /^sh0 {2}10\.1\.0\.1\/24/);
      t.equal(rest[0], `│ up, MAC ${bridge.address}, mtu 1500`);
      t.equal(rest[1], '│ 2 of 1023 ports used');
      t.match(stdout, /^├─ veth[0-9a-f]{11} {2}10\.1\.0\.2\n│ {4}pod {6}default\/web-0\n/m);
      t.match(stdout, new RegExp(`^│ {4}eth0 {5}${web.id}\n│ {4}netns {4}${web.netns}\n`, 'm'));
      t.match(stdout, /^│ {4}ports {4}tcp 8080 to 80\n/m);
      t.match(stdout, new RegExp(`^└─ veth[0-9a-f]{11} {2}10\\.1\\.0\\.3\n {5}eth0 {5}${db.id}\n`, 'm'));
      t.strictSame(
        stdout.split('\n').filter((one) => one.length > 80),
        [],
        'within 80 columns',
      );
    });

    t.test('--json', async (t) => {
      const [shown, ...others] = JSON.parse(show('--json').stdout);
      t.strictSame(others, []);
      const { attachments, mac, ...bridge } = shown;
      t.match(bridge, {
        bridge: 'sh0',
        networks: ['shown'],
        exists: true,
        up: true,
        mtu: 1500,
        vlanFiltering: false,
        ports: { used: 2, max: 1023, others: 0 },
        odd: [],
      });
      t.ok(bridge.addresses.includes('10.1.0.1/24'));
      const [first] = attachments;
      const counters = host.ip('-s', 'link', 'show', 'dev', first.interface)[0];
      t.match(first, {
        network: 'shown',
        containerID: web.id,
        ifname: 'eth0',
        pod: 'default/web-0',
        addresses: ['10.1.0.2'],
        netns: web.netns,
        mac: web.ip('link', 'show', 'dev', 'eth0')[0].address,
        hostPorts: ['tcp 8080 to 80'],
        odd: [],
      });
      t.ok(first.sent.packets > 0 && first.sent.packets <= counters.stats64.rx.packets, 'what the pod has sent');
      t.ok(first.received.bytes > 0 && first.received.bytes <= counters.stats64.tx.bytes, 'and received');
    });

    t.test('one pod, however it is called', async (t) => {
      const dev = JSON.parse(show('--json').stdout)[0].attachments[0].interface;
      for (const name of ['default/web-0', 'web-0', '10.1.0.2', dev, web.id]) {
        const [bridge] = JSON.parse(show('--json', name).stdout);
        t.strictSame(
          bridge.attachments.map(({ containerID }: { containerID: string }) => containerID),
          [web.id],
          name,
        );
      }
      for (const name of ['sh0', 'shown']) t.equal(JSON.parse(show('--json', name).stdout)[0].attachments.length, 2);
      t.match(show('nobody'), {
        status: 1,
        stdout: '',
        stderr: 'tsbridge show: no network, bridge or pod "nobody"\n  there are sh0\n',
      });
    });

    t.test('--svg: a drawing for a document', async (t) => {
      const drawn = () => readFileSync(host.outer('/run/drawing.svg'), 'utf8');
      t.strictSame(
        [show('--svg', '/run/drawing.svg').status, show('--svg', '/run/drawing.svg').stdout],
        [0, ''],
        'twice',
      );
      const svg = drawn();
      const read = 'import sys, xml.dom.minidom; print(xml.dom.minidom.parse(sys.argv[1]).documentElement.tagName)';
      t.equal(run(['python3', '-c', read, host.outer('/run/drawing.svg')]), 'svg\n', 'is XML');
      for (const word of ['sh0', '10.1.0.1/24', 'default/web-0', '10.1.0.2', 'ports tcp 8080 to 80', db.id]) {
        t.ok(svg.includes(`>${word}`), word);
      }
      t.notOk(svg.includes('class="odd">'), 'nothing is odd');
      t.strictSame(host.run(['sh', '-c', 'ls /run | grep drawing']), 'drawing.svg\n', 'nothing beside it');

      writeFileSync(host.outer('/run/mine'), 'precious');
      host.run(['ln', '-s', '/run/drawing.svg', '/run/link']);
      for (const path of ['/run/mine', '/run/link', '/run']) {
        const refused = show('--svg', path);
        t.match(refused, {
          status: 1,
          stdout: '',
          stderr: new RegExp(`^tsbridge show: ${path} is there, and is none of`),
        });
      }
      t.equal(readFileSync(host.outer('/run/mine'), 'utf8'), 'precious');
      t.match(show('--svg', '/run/none/x'), { status: 1, stderr: /cannot write \/run\/none\/x: ENOENT/ });
      t.match(show('--svg', '/run/x', '--watch'), { status: 1, stderr: /do not go together/ });
    });

    t.test('--watch looks again and again', async (t) => {
      const started = host.start([build.path, 'show', '--conf-dir', '/run/net.d', '--watch', '--json'], {
        env: {},
        timeoutMs: 60_000,
      });
      await new Promise((resolve) => setTimeout(resolve, 6000));
      started.kill('SIGINT');
      const { stdout } = await started.done;
      const looks = stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line)[0].attachments.length);
      t.ok(looks.length >= 2 && looks.every((count) => count === 2), JSON.stringify(looks));
    });

    t.test('--watch on a terminal: one screen', { skip: missing('script', 'timeout') }, async (t) => {
      const watch = shWords(['timeout', '3', build.path, 'show', '--conf-dir', '/run/net.d', '--watch']);
      const env = { PATH: '/usr/bin:/bin', TERM: 'xterm', NO_COLOR: '1', SHELL: '/bin/sh' };
      const { stdout } = host.attempt(['script', '-qec', `stty rows 8 cols 80; ${watch}`, '/dev/null'], { env });
      const [before, ...frames] = stdout.split('\x1b[H');
      t.equal(before, '');
      t.ok(frames.length >= 1);
      for (const frame of frames) {
        t.match(frame, /^sh0 {2}10\.1\.0\.1\/24/);
        t.ok(frame.endsWith(' more lines\x1b[K\r\n\x1b[J'), 'what does not fit is counted');
        t.equal(frame.split('\n').length, 8, 'the last line stays free');
      }
    });

    t.test('a bridge that has another MAC address than when a pod was added', async (t) => {
      const [{ address }] = host.ip('link', 'show', 'dev', 'sh0');
      const interfaces = [
        { name: 'sh0', mac: address.toUpperCase() },
        { name: 'eth0', mac: '02:00:00:00:00:07', sandbox: web.netns },
      ];
      const cached = { containerId: web.id, networkName: 'shown', ifName: 'eth0', result: { interfaces } };
      host.run(['mkdir', '-p', '/var/lib/cni/results']);
      writeFileSync(host.outer(`/var/lib/cni/results/shown-${web.id}-eth0`), JSON.stringify(cached));
      t.strictSame(JSON.parse(show('--json').stdout)[0].odd, [], 'the same');
      host.run(['ip', 'link', 'set', 'sh0', 'address', '02:00:00:00:00:42']);
      t.strictSame(JSON.parse(show('--json').stdout)[0].odd, [
        `MAC changed: it was ${address} when default/web-0 was added`,
      ]);
      host.run(['ip', 'link', 'set', 'sh0', 'address', address]);
    });

    t.test('what is odd', async (t) => {
      const [bridge] = JSON.parse(show('--json').stdout);
      const [webDev, dbDev] = bridge.attachments.map((one: { interface: string }) => one.interface);
      const odd = () => {
        const { status, stdout } = show('--json');
        const [found] = JSON.parse(stdout);
        return [status, found.odd, ...found.attachments.map((one: { odd: string[] }) => one.odd)];
      };
      host.run(['ip', 'link', 'set', webDev, 'down']);
      t.strictSame(odd(), [1, [], [`down: ip link set ${webDev} up`], []], 'down');
      host.run(['ip', 'link', 'set', webDev, 'up']);

      const mac = host.ip('link', 'show', 'dev', webDev)[0].address;
      host.run(['ip', 'link', 'set', webDev, 'address', '02:00:00:00:00:99']);
      t.strictSame(odd(), [1, [], [`MAC changed: ${webDev} has 02:00:00:00:00:99`], []], 'MAC changed');
      host.run(['ip', 'link', 'set', webDev, 'address', mac]);

      db.run(['ip', 'addr', 'flush', 'dev', 'eth0', 'scope', 'global']);
      t.strictSame(odd(), [1, [], [], ['its interface has no 10.1.0.3']], 'an address is gone');

      host.run(['ip', 'link', 'del', dbDev]);
      t.strictSame(odd(), [1, [], [], ['no veth: only the lease is left']], 'no veth');
      t.match(show().stdout, /^└─ \(no veth\) {2}10\.1\.0\.3$/m);
      t.equal(host.cni({ command: 'DEL', container: db, conf }).status, 0);

      host.run(['rm', '/var/lib/cni/networks/shown/10.1.0.2']);
      t.strictSame(odd(), [1, [], ['no lease: the next pod may be given its address']], 'no lease');
      host.run(['ip', 'link', 'set', 'sh0', 'down']);
      t.match(odd()[1], ['down: no frame crosses it'], 'the bridge is down');
    });
  });

  t.test(
    `${build.name}: namespaces that are not where most runtimes have them`,
    { skip: missing('nft') },
    async (t) => {
      const { host, show } = await node(t, build.path);
      const netnsOf = () =>
        JSON.parse(show('--json').stdout)[0].attachments.map(({ netns }: { netns: string }) => netns);
      const pod = host.container('elsewhere');
      const started = pod.start(['sleep', '60']);
      host.run([
        'sh',
        '-ec',
        'mkdir /run/user; touch /run/user/ns; mount --bind /run/netns/elsewhere /run/user/ns; umount /run/netns/elsewhere; rm /run/netns/elsewhere',
      ]);
      const added = host.cni({ command: 'ADD', containerID: 'elsewhere', netns: '/run/user/ns', conf });
      t.equal(added.status, 0, added.stdout);
      t.match(netnsOf(), [/^\/proc\/\d+\/ns\/net$/], 'by a process in it');
      started.kill();
      await started.done;
      t.match(netnsOf(), [/^nsid \d+$/], 'nobody knows where');
      const interfaces = [{ name: 'eth0', mac: '02:00:00:00:00:07', sandbox: '/run/user/ns' }];
      host.run(['mkdir', '-p', '/var/lib/cni/results']);
      writeFileSync(host.outer('/var/lib/cni/results/any'), JSON.stringify({ result: { interfaces } }));
      writeFileSync(host.outer('/var/lib/cni/results/odd'), '{');
      t.strictSame(netnsOf(), ['/run/user/ns'], 'as the runtime has told');
    },
  );

  t.test(`${build.name}: pods of the reference plugins`, { skip: missing('nft') }, async (t) => {
    const { host, show } = await node(t, build.path);
    const old = host.container('old');
    const added = host.cni({ command: 'ADD', plugin: 'bridge', container: old, conf: { ...conf, type: 'bridge' } });
    t.equal(added.status, 0, added.stdout);
    const { status, stdout } = show('--json');
    const [{ attachments }] = JSON.parse(stdout);
    t.strictSame([status, attachments.length], [0, 1]);
    t.match(attachments[0], {
      containerID: old.id,
      ifname: 'eth0',
      addresses: ['10.1.0.2'],
      netns: old.netns,
      odd: [],
    });
  });
}
