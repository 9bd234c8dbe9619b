import t from 'tap';
import { builds } from '../support/builds.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

const conf = {
  cniVersion: '1.1.0',
  name: 'stp',
  type: 'tsbridge',
  bridge: 'stp0',
  isGateway: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.60.0.0/24' }]] },
  logFile: '/run/log',
  logLevel: 'warn',
};

for (const build of builds) {
  t.test(`${build.name}: a bridge that runs STP`, { skip: missing() }, async (t) => {
    t.test('ADD says in the log how long the pod is cut off; CHECK says until when, and that it is over', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const pod = host.container();
      host.run(['ip', 'link', 'add', 'stp0', 'type', 'bridge', 'stp_state', '1', 'forward_delay', '200']);
      const { status, json: prevResult, stdout } = host.cni({ command: 'ADD', container: pod, conf });
      t.equal(status, 0, stdout);
      const line = JSON.parse(host.run(['cat', '/run/log']));
      t.match(line, { level: 'warn', bridge: 'stp0', seconds: 4, msg: /^bridge stp0 runs STP/ });
      const check = () => host.cni({ command: 'CHECK', container: pod, conf, prevResult });
      t.match(check().json, {
        code: 101,
        msg: /^veth[0-9a-f]{11} does not forward yet, it is (listening|learning): stp0 runs STP, and the port will forward by itself, 4 s after ADD$/,
      });
      const started = performance.now();
      while (check().status !== 0 && performance.now() - started < 20_000)
        await new Promise((go) => setTimeout(go, 500));
      t.equal(check().stdout, '');
      t.ok(pod.canReach('10.60.0.1'));
    });

    t.test('a bridge without STP is not worth a word', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      host.run(['ip', 'link', 'add', 'stp0', 'type', 'bridge']);
      t.equal(host.cni({ command: 'ADD', container: host.container(), conf }).status, 0);
      t.equal(host.run(['sh', '-c', 'cat /run/log 2>/dev/null || true']), '');
    });
  });
}
