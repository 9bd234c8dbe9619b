import t from 'tap';
import { builds } from '../support/builds.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

const conf = {
  cniVersion: '1.0.0',
  name: 'crashed',
  type: 'tsbridge',
  bridge: 'crs0',
  isDefaultGateway: true,
  ipMasq: true,
  macspoofchk: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/24' }], [{ subnet: '2001:db8:1::/64' }]] },
};

/** System calls that change the host: the points between which an ADD may be killed. */
const changing =
  'sendto,link,linkat,symlink,symlinkat,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,utimensat,setns';

/** An ADD that is killed as it enters its n-th changing system call. True when it was; false when it came to its end before. */
function killedAt(host: Host, plugin: string, pod: ReturnType<Host['container']>, n: number): boolean {
  const outcome = host.cni({
    command: 'ADD',
    container: pod,
    conf,
    wrapper: [
      'strace',
      '-qq',
      '-e',
      `trace=${changing}`,
      '-e',
      `inject=${changing}:signal=KILL:when=${n}`,
      '-o',
      '/dev/null',
    ],
    plugin,
  });
  return outcome.status !== 0;
}

for (const build of builds) {
  t.test(
    `${build.name}: killed at any system call`,
    { skip: missing('strace', 'nft'), timeout: 300_000 },
    async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      let n = 1;
      t.test('DEL clears whatever is left, with and without the namespace', async (t) => {
        for (; n < 200; n++) {
          const pod = host.container();
          const killed = killedAt(host, build.path, pod, n);
          if (n % 2 === 0) pod.remove();
          const { status, stdout } = host.cni({ command: 'DEL', container: pod, conf });
          const left = host.leftovers();
          if (status !== 0 || left.length > 0) t.fail(`killed at call ${n}: ${left.join(', ')} ${stdout}`);
          if (!killed) break;
        }
        t.ok(n > 8 && n < 200, `${n - 1} points of death`);
      });

      t.test('a second ADD of the same attachment, or GC, goes over what is left', async (t) => {
        for (let i = 1; i < n; i++) {
          const pod = host.container();
          if (!killedAt(host, build.path, pod, i)) break;
          if (pod.attempt(['ip', 'link', 'show', 'dev', 'eth0']).status !== 0) {
            const again = host.cni({ command: 'ADD', container: pod, conf });
            if (again.status !== 0) t.fail(`killed at call ${i}: ADD again: ${again.stdout}`);
            t.equal(Object.keys(host.leases('crashed')).length, 2, `killed at call ${i}: one address of each family`);
          }
          const collected = host.cni({
            command: 'GC',
            conf: { ...conf, cniVersion: '1.1.0', 'cni.dev/valid-attachments': [] },
          });
          const left = host.leftovers();
          if (collected.status !== 0 || left.length > 0)
            t.fail(`killed at call ${i}: GC: ${left.join(', ')} ${collected.stdout}`);
        }
        t.strictSame(host.leftovers(), []);
      });

      t.test('SIGTERM: ADD undoes what it did, or has not begun', async (t) => {
        for (const delayMs of [1, 5, 10, 15, 20, 25, 30, 40, 50]) {
          const pod = host.container();
          const started = host.cniStart({ command: 'ADD', container: pod, conf });
          await new Promise((resolve) => setTimeout(resolve, delayMs));
          // NB: the process that nsenter became; a signal to it goes to the plugin.
          started.kill('SIGTERM');
          const { status, json } = await started.done;
          if (status === 0) t.equal(host.cni({ command: 'DEL', container: pod, conf }).status, 0);
          else if (json) t.match(json, { msg: /SIGTERM/ });
          t.strictSame(host.leftovers(), [], `SIGTERM after ${delayMs} ms`);
        }
      });
    },
  );
}
