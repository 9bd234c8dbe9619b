import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { builds } from '../support/builds.ts';
import { type Started, start } from '../support/command.ts';
import { type GoHostLocal, goCall, goHostLocalPath } from '../support/go-host-local.ts';
import { Host } from '../support/host.ts';

const ranges = [[{ subnet: '10.0.0.0/14', rangeStart: '10.2.0.1' }]];

/** A data directory with a store of so many leases. */
function store(t: { teardown(fn: () => void): void }, leases = 0): GoHostLocal {
  const dataDir = mkdtempSync(join(tmpdir(), 'tsb-lock-'));
  t.teardown(() => rmSync(dataDir, { recursive: true }));
  mkdirSync(`${dataDir}/net`);
  writeFileSync(`${dataDir}/net/lock`, '');
  for (let i = 0; i < leases; i++) writeFileSync(`${dataDir}/net/10.1.${i >> 8}.${i & 255}`, `c-${i}\r\neth0`);
  return { dataDir, network: 'net', ranges };
}

/** Starts the executable as the IPAM plugin of another one. */
function ipam(path: string, go: GoHostLocal, verb: string, id: string, lockTimeoutMs: number): Started {
  const conf = {
    cniVersion: '1.0.0',
    name: go.network,
    type: 'bridge',
    ipam: { type: 'tsbridge', dataDir: go.dataDir, ranges, lockTimeoutMs },
  };
  const { env } = goCall(go, verb, id);
  return start([path], { env: { ...env, PATH: process.env.PATH ?? '' }, stdin: JSON.stringify(conf) });
}

/** Somebody else holds the lock until `release`. */
async function hold(go: GoHostLocal): Promise<{ release(): Promise<unknown> }> {
  const sign = `${go.dataDir}/held`;
  const holder = start(['flock', '-F', `${go.dataDir}/net/lock`, 'sh', '-c', `touch ${sign}; exec sleep 60`]);
  while (!existsSync(sign)) await sleep(10);
  rmSync(sign);
  return {
    release() {
      holder.kill();
      return holder.done;
    },
  };
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function timed<T>(act: Promise<T>): Promise<{ result: T; ms: number }> {
  const started = performance.now();
  const result = await act;
  return { result, ms: performance.now() - started };
}

for (const build of builds) {
  t.test(`${build.name}: the lock of a store that others hold`, async (t) => {
    t.test('is waited for until it is free', async (t) => {
      const go = store(t);
      const holder = await hold(go);
      const adding = ipam(build.path, go, 'ADD', 'a', 30_000);
      await sleep(1500);
      await holder.release();
      const { result, ms } = await timed(adding.done);
      t.equal(result.status, 0, result.stdout);
      t.ok(ms < 1000, `${ms} ms after it was free`);
      t.equal(readFileSync(`${go.dataDir}/net/10.2.0.1`, 'latin1'), 'a\r\neth0');
    });

    t.test('is had in the order of asking', async (t) => {
      const go = store(t);
      const holder = await hold(go);
      const adding = ipam(build.path, go, 'ADD', 'a', 30_000);
      await sleep(1000);
      const others = [1, 2].map(() => start(['flock', '-F', `${go.dataDir}/net/lock`, 'sleep', '3']));
      await sleep(1200);
      await holder.release();
      const { result, ms } = await timed(adding.done);
      t.equal(result.status, 0, result.stdout);
      t.ok(ms < 2000, `${ms} ms after it was free: nobody who came later was first`);
      for (const other of others) other.kill();
      await Promise.all(others.map(({ done }) => done));
    });

    t.test('is waited for so long and no longer, and its holder named', async (t) => {
      const go = store(t);
      const holder = await hold(go);
      const { result, ms } = await timed(ipam(build.path, go, 'ADD', 'a', 1000).done);
      await holder.release();
      t.ok(ms > 1000 && ms < 3000, `${ms} ms`);
      t.match(JSON.parse(result.stdout), {
        code: 11,
        msg: `the address store is locked: waited 1000 ms for ${go.dataDir}/net/lock`,
        details: /^It is held by process \d+ \(.+\)\.$/,
      });
    });

    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
      t.test(`${signal} ends the wait at once`, async (t) => {
        const go = store(t);
        const holder = await hold(go);
        for (const verb of ['ADD', 'DEL']) {
          const call = ipam(build.path, go, verb, 'a', 30_000);
          await sleep(1000);
          call.kill(signal);
          const { result, ms } = await timed(call.done);
          t.match(JSON.parse(result.stdout), {
            code: 11,
            msg: `terminated while the address store was locked: waited for ${go.dataDir}/net/lock`,
          });
          t.ok(ms < 1000, `${verb}: ${ms} ms`);
        }
        await holder.release();
      });
    }

    t.test('makes DEL wait once, and the rest of it is done', async (t) => {
      const host = await Host.create(t, { plugin: build.path });
      const pod = host.container();
      const conf = {
        cniVersion: '1.0.0',
        name: 'net',
        type: 'tsbridge',
        bridge: 'br0',
        ipam: { type: 'host-local', ranges, lockTimeoutMs: 4000 },
      };
      t.equal(host.cni({ command: 'ADD', container: pod, conf }).status, 0);
      const lock = '/var/lib/cni/networks/net/lock';
      const holder = host.start(['flock', '-F', lock, 'sh', '-c', 'touch /run/held; exec sleep 60']);
      while (!existsSync(host.outer('/run/held'))) await sleep(10);
      const { result, ms } = await timed(host.cniStart({ command: 'DEL', container: pod, conf }).done);
      t.match(result.json, { code: 11, msg: `the address store is locked: waited 4000 ms for ${lock}` });
      t.ok(ms > 4000 && ms < 8000, `${ms} ms: once, not twice`);
      t.strictSame(host.ip('link', 'show', 'type', 'veth'), [], 'the pair is gone');
      holder.kill();
      await holder.done;
      t.equal(host.cni({ command: 'DEL', container: pod, conf }).status, 0);
      t.strictSame(host.leftovers(), []);
    });

    t.test(
      'beside a row of the reference plugin, which reads all leases each time: everybody gets through',
      { skip: !existsSync(goHostLocalPath) && `NOT RUN: ${goHostLocalPath} not installed (make setup-test)` },
      async (t) => {
        const go = store(t, 4000);
        let isOver = false;
        const loops = [0, 1, 2, 3].map(async (loop) => {
          for (let i = 0; !isOver; i++) {
            const { env, stdin } = goCall(go, 'ADD', `go-${loop}-${i}`);
            const { status, stdout } = await start([goHostLocalPath], { env, stdin }).done;
            if (status !== 0) throw new Error(stdout);
          }
        });
        await sleep(500);
        for (let i = 0; i < 8; i++) {
          const { status, stdout } = await ipam(build.path, go, 'ADD', `ours-${i}`, 10_000).done;
          t.equal(status, 0, stdout);
        }
        isOver = true;
        await Promise.all(loops);
      },
    );
  });
}
