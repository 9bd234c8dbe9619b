import { writeFileSync } from 'node:fs';
import t from 'tap';
import { builds } from '../support/builds.ts';
import { attempt } from '../support/command.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

// The engines tell of broken JSON in words of their own: check-config does in its own.

const broken = '{\n  "cniVersion": "1.0.0",\n  "name": "net", // of pods\n  "type": "tsbridge"\n}\n';
const wrong = JSON.stringify({ name: 'net', type: 'tsbridge', vlan: 5000, mtuu: 1 }, null, 2);

for (const build of builds) {
  t.test(`${build.name}: check-config and schema`, async (t) => {
    const dir = t.testdir({ 'a.conf': broken, 'b.conf': wrong });
    const run = (...words: string[]) => attempt([build.path, ...words], { env: {} });
    const { status, stdout, stderr } = run('check-config', `${dir}/a.conf`, `${dir}/b.conf`, '--root', dir);
    t.strictSame([status, stdout], [1, '']);
    t.strictSame(
      stderr
        .replaceAll(`${dir}/`, '')
        .replaceAll(/\n {4}/g, ' ')
        .replaceAll(/ +/g, ' ')
        .trimEnd()
        .split('\n'),
      [
        'a.conf:3:18: error: not JSON: expected a key in quotation marks, found "/"; JSON has no comments',
        'b.conf:1:1: warning: cniVersion: missing: it counts as 0.1.0, whose results have no interfaces, and one address of each family',
        'b.conf:1:1: error: cniVersion: 0.1.0 cannot express a result without addresses; expected 0.3.0 or newer, or ipam',
        'b.conf:4:3: error: vlan: 5000 is not a VLAN id (0 to 4094)',
        'b.conf:5:3: warning: mtuu: not known, and ignored; did you mean mtu?',
      ],
    );
    t.equal(JSON.parse(run('schema').stdout).$schema, 'http://json-schema.org/draft-07/schema#');
  });

  t.test(`${build.name}: check-config looks at the node's addresses`, { skip: missing() }, async (t) => {
    const host = await Host.create(t, { plugin: build.path });
    host.run(['ip', 'link', 'add', 'uplink', 'up', 'type', 'bridge']);
    host.run(['ip', 'addr', 'add', '10.1.0.200/24', 'dev', 'uplink']);
    host.run(['ip', 'link', 'add', 'own0', 'up', 'type', 'bridge']);
    host.run(['ip', 'addr', 'add', '10.1.0.1/16', 'dev', 'own0']);
    const conf = {
      cniVersion: '1.0.0',
      name: 'net',
      type: 'tsbridge',
      bridge: 'own0',
      ipam: { type: 'host-local', subnet: '10.1.0.0/16' },
    };
    writeFileSync(host.outer('/run/net.conf'), JSON.stringify(conf));
    const check = (...words: string[]) =>
      host.attempt([build.path, 'check-config', '/run/net.conf', '--json', ...words], { env: {} });
    const { status, stdout } = check();
    t.equal(status, 0);
    t.match(JSON.parse(stdout)[0].problems, [
      { message: '10.1.0.0/16 overlaps with 10.1.0.200/24, which this node has on uplink: one of them is not reached' },
    ]);
    t.equal(check('--strict').status, 1);
  });
}
