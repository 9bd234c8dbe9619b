import t from 'tap';
import { builds } from '../support/builds.ts';
import type { Container } from '../support/container.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

const conf = (lockTimeoutMs: number) => ({
  cniVersion: '1.0.0',
  name: 'meanwhile',
  type: 'tsbridge',
  bridge: 'mwh0',
  isDefaultGateway: true,
  ipMasq: true,
  ipam: {
    type: 'host-local',
    ranges: [[{ subnet: '10.1.0.0/24' }], [{ subnet: '2001:db8:1::/64' }]],
    lockTimeoutMs,
  },
});

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

for (const build of builds) {
  t.test(
    `${build.name}: DEL while ADD is at work on the attachment`,
    { skip: missing('strace', 'nft'), timeout: 120_000 },
    async (t) => {
      const host = await Host.create(t, { plugin: build.path });

      /** An ADD that has its lease, and stands still for two seconds in the midst of its work on the kernel. */
      const slowAdd = async (container: Container) => {
        const wrapper = ['strace', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=pwrite64', '-e'];
        const adding = host.cniStart({
          command: 'ADD',
          container,
          conf: conf(30_000),
          wrapper: [...wrapper, 'inject=pwrite64:delay_enter=2s:when=3'],
        });
        while (Object.keys(host.leases('meanwhile')).length < 2) await sleep(20);
        return adding;
      };

      t.test('waits for its end, and then removes everything', async (t) => {
        const pod = host.container();
        const adding = await slowAdd(pod);
        const deleted = await host.cniStart({ command: 'DEL', container: pod, conf: conf(30_000) }).done;
        t.strictSame([deleted.status, deleted.stdout], [0, '']);
        t.equal((await adding.done).status, 0);
        t.strictSame(host.leftovers(), []);
        t.equal(pod.attempt(['ip', 'link', 'show', 'dev', 'eth0']).status, 1);
      });

      t.test('two DELs at once, too', async (t) => {
        const pod = host.container();
        const adding = await slowAdd(pod);
        const deleting = [1, 2].map(() => host.cniStart({ command: 'DEL', container: pod, conf: conf(30_000) }).done);
        for (const { status, stdout } of await Promise.all(deleting)) t.strictSame([status, stdout], [0, '']);
        t.equal((await adding.done).status, 0);
        t.strictSame(host.leftovers(), []);
      });

      t.test('for as long as for the lock of the store, and changes nothing then', async (t) => {
        const pod = host.container();
        const adding = await slowAdd(pod);
        const { status, json } = host.cni({ command: 'DEL', container: pod, conf: conf(300) });
        t.equal(status, 1);
        t.equal(json.code, 11);
        t.match(
          json.msg,
          `another call is at work on this attachment: waited 300 ms for ${Host.dataDir}/meanwhile/10.1.0.`,
        );
        t.match(json.details, build.path, 'it names who');
        t.equal((await adding.done).status, 0);
        t.ok(pod.canReach('10.1.0.1'), 'ADD has come to a good end');
        t.equal(host.cni({ command: 'DEL', container: pod, conf: conf(300) }).status, 0);
        t.strictSame(host.leftovers(), []);
      });

      t.test(
        'does not know of one that has no lease yet: what it makes the next DEL finds, or GC without its pod',
        async (t) => {
          for (const isDeleted of [true, false]) {
            const pod = host.container();
            const wrapper = ['strace', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=flock', '-e'];
            const adding = host.cniStart({
              command: 'ADD',
              container: pod,
              conf: conf(30_000),
              wrapper: [...wrapper, 'inject=flock:delay_enter=2s:when=1'],
            });
            await sleep(300);
            const deleted = host.cni({ command: 'DEL', container: pod, conf: conf(30_000) });
            t.strictSame([deleted.status, deleted.stdout], [0, '']);
            t.equal((await adding.done).status, 0);
            if (isDeleted) t.equal(host.cni({ command: 'DEL', container: pod, conf: conf(300) }).status, 0);
            else {
              pod.remove();
              t.equal(host.cni({ command: 'GC', conf: { ...conf(300), cniVersion: '1.1.0' } }).stdout, '');
            }
            t.strictSame(host.leftovers(), [], isDeleted ? 'after a second DEL' : 'after GC');
          }
        },
      );
    },
  );
}
