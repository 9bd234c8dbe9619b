import { readFileSync } from 'node:fs';
import t from 'tap';
import { builds } from '../support/builds.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

// DEL has the pair removed by another thread, and waits for it in the end. Whoever asks the process to end then gets a DEL that is done.

const conf = {
  cniVersion: '1.1.0',
  name: 'waited',
  type: 'tsbridge',
  bridge: 'wtd0',
  isGateway: true,
  ipMasq: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.63.0.0/24' }]] },
};

/** By what that thread asks the kernel: aio_write(3) of glibc tries pwrite64 first. */
const calls = { pkg: 'pwrite64', static: 'sendto' };
const heldUpMs = 2000;

for (const build of builds) {
  t.test(
    `${build.name}: signals while DEL waits for the removal of the pair`,
    { skip: missing('strace', 'nft') },
    async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const container = host.container();
      for (const signal of ['SIGTERM', 'SIGXCPU'] as const) {
        t.equal(host.cni({ command: 'ADD', container, conf }).status, 0);
        const call = calls[build.name];
        const delay = ['-e', `trace=${call}`, '-e', `inject=${call}:delay_enter=${heldUpMs}ms:when=1`];
        const started = performance.now();
        const del = host.cniStart({
          command: 'DEL',
          container,
          conf,
          wrapper: ['strace', '-f', '-qq', '-o', '/dev/null', ...delay],
        });
        // The rules go while the other thread is at work: after them there is nothing left but to wait.
        const hasRules = () => host.leftovers().some((one) => one.startsWith('nft element'));
        while (hasRules() && performance.now() - started < 20_000)
          await new Promise((resolve) => setTimeout(resolve, 20));
        const left = host.leftovers();
        t.ok(left.some((one) => one.startsWith('veth')) && left.some((one) => one.startsWith('lease')), left.join());
        const plugin = Number(readFileSync(`/proc/${del.pid}/task/${del.pid}/children`, 'utf8').trim());
        for (let i = 0; i < 5; i++) {
          process.kill(plugin, signal);
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
        const { status, stdout } = await del.done;
        t.strictSame([status, stdout], [0, ''], signal);
        t.ok(performance.now() - started > heldUpMs, 'it has waited');
        t.strictSame(host.leftovers(), []);
      }
    },
  );
}
