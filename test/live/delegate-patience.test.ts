import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { defaultTimeoutMs } from '../../src/ipam/delegate/delegate.ts';
import { builds } from '../support/builds.ts';
import { Host } from '../support/host.ts';

t.test('another IPAM plugin has three minutes at least', async (t) => {
  t.ok(defaultTimeoutMs >= 180_000);
});

/** The plugin writes down what it is asked and told, in /run/slow/log. */
const head = `#!/bin/sh
cat >/dev/null
log() { echo "$*" >>/run/slow/log; }
log "$CNI_COMMAND"
`;

/** What it does at ADD, having said that it has begun. */
const behaviours = {
  obedient: `trap 'log told; exit 1' TERM
[ "$CNI_COMMAND" = ADD ] || exit 0
log begun
sleep 60 & wait`,
  deaf: `[ "$CNI_COMMAND" = ADD ] || exit 0
trap '' TERM
log begun
sleep 60`,
  'slow to release': `case "$CNI_COMMAND" in
ADD) log begun; exec sleep 60;;
DEL) sleep 2; log released;;
esac`,
};

for (const build of builds) {
  t.test(`${build.name}: another IPAM plugin that takes its time`, async (t) => {
    const conf = { cniVersion: '1.0.0', name: 'slow', type: 'tsbridge', bridge: 'brslow', ipam: { type: 'slow' } };
    const start = async (behaviour: keyof typeof behaviours) => {
      const host = await Host.create(t, { plugin: build.path });
      mkdirSync(host.outer('/run/slow'));
      writeFileSync(host.outer('/run/slow/slow'), `${head}${behaviours[behaviour]}\n`);
      chmodSync(host.outer('/run/slow/slow'), 0o755);
      const log = () => {
        const file = host.outer('/run/slow/log');
        return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
      };
      return { host, log, call: { container: host.container(), path: '/run/slow' } };
    };

    for (const [behaviour, { mostMs, wanted }] of Object.entries({
      obedient: { mostMs: 2000, wanted: ['ADD', 'begun', 'told', 'DEL'] },
      deaf: { mostMs: 5000, wanted: ['ADD', 'begun', 'DEL'] },
      'slow to release': { mostMs: 5000, wanted: ['ADD', 'begun', 'DEL', 'released'] },
    })) {
      t.test(`SIGTERM: the plugin is told, and its ADD undone (${behaviour})`, async (t) => {
        const { host, log, call } = await start(behaviour as keyof typeof behaviours);
        const adding = host.cniStart({ command: 'ADD', conf, ...call });
        while (!log().includes('begun')) await sleep(10);
        const begun = performance.now();
        adding.kill('SIGTERM');
        const { json } = await adding.done;
        const ms = performance.now() - begun;
        t.match(json, {
          code: 11,
          msg: 'terminated while IPAM plugin slow was at work, which was told to stop',
          details: /^It was run as \/run\/slow\/slow with CNI_COMMAND=ADD\.$/,
        });
        t.strictSame(log(), wanted);
        t.ok(ms < mostMs, `${ms} ms`);
        t.strictSame(host.leftovers(), []);
      });
    }

    t.test('ipamTimeoutMs', async (t) => {
      const { host, log, call } = await start('deaf');
      const begun = performance.now();
      const { json } = host.cni({ command: 'ADD', conf: { ...conf, ipamTimeoutMs: 1000 }, ...call });
      const ms = performance.now() - begun;
      t.match(json, {
        code: 103,
        msg: 'IPAM plugin slow: no answer to ADD after 1000 ms; it was killed',
        details: /A plugin that needs longer gets it with "ipamTimeoutMs"\.$/,
      });
      t.ok(ms > 1000 && ms < 5000, `${ms} ms`);
      t.strictSame(log(), ['ADD', 'begun', 'DEL']);
      t.strictSame(host.leftovers(), []);
    });
  });
}
