import t from 'tap';
import { builds } from '../support/builds.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

const conf = {
  cniVersion: '1.1.0',
  name: 'alone',
  type: 'tsbridge',
  bridge: 'aln0',
  isDefaultGateway: true,
  ipMasq: true,
  macspoofchk: true,
  hairpinMode: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/24' }], [{ subnet: '2001:db8:1::/64' }]] },
};

for (const build of builds) {
  t.test(`${build.name}: no other program is started`, { skip: missing('strace', 'nft') }, async (t) => {
    const host = await Host.create(t, { plugin: build.path });
    const pod = host.container();
    let prevResult: unknown;
    for (const command of ['STATUS', 'ADD', 'CHECK', 'GC', 'DEL'] as const) {
      const trace = `/run/${command}.trace`;
      const { status, json, stdout } = host.cni({
        command,
        container: pod,
        conf: { ...conf, 'cni.dev/valid-attachments': [{ containerID: pod.id, ifname: 'eth0' }] },
        wrapper: ['strace', '-f', '-qq', '-e', 'trace=execve,execveat,fork,vfork,clone,clone3', '-o', trace],
        ...(command === 'ADD' || command === 'GC' || command === 'STATUS' ? {} : { prevResult }),
      });
      t.equal(status, 0, `${command}: ${stdout}`);
      if (command === 'ADD') prevResult = json;
      const lines = host.run(['cat', trace]).split('\n').filter(Boolean);
      t.equal(lines.filter((line) => /\bexecve(at)?\(/.test(line)).length, 1, `${command}: the plugin's own execve`);
      const processes = lines.filter((line) => /\b(v?fork|clone3?)\(/.test(line) && !line.includes('CLONE_THREAD'));
      t.strictSame(processes, [], `${command}: threads at most`);
    }
  });
}
