import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { purposeOfName } from '../bench/systemcalls.ts';
import { builds } from '../support/builds.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

// How many system calls one ADD makes on a host that has the bridge already, from reading the configuration to writing the result: counts,
// so that one more round trip to the kernel is noticed on a machine of any speed. What the runtimes do for themselves (memory, threads,
// signals) is not counted. If you exceed a budget for a good reason, raise it here and say why.

const base = { cniVersion: '1.0.0', type: 'tsbridge' };
const cluster = { ...base, isDefaultGateway: true, ipMasq: true, hairpinMode: true };

const networks: { conf: Record<string, unknown>; sockets: number; files: number; reason: string }[] = [
  {
    conf: { ...base, name: 'plain', bridge: 'br0', ipam: { type: 'host-local', subnet: '10.1.0.0/16' } },
    sockets: 30,
    files: 52,
    reason:
      'two sockets; reads before the first change; one batch for the host, one for the container; Node.js reads and writes a pipe of its own for each of four signals that it is to hold',
  },
  {
    conf: { ...cluster, name: 'cluster', bridge: 'br1', ipam: { type: 'host-local', subnet: '10.2.0.0/16' } },
    sockets: 54,
    files: 59,
    reason:
      'as plain; gateway address and ip_forward looked at; a third socket for nf_tables, whose rule and prefixes are looked at too: somebody may have removed them, or the configuration has changed',
  },
  {
    conf: {
      ...cluster,
      name: 'dual',
      bridge: 'br2',
      ipam: { type: 'host-local', ranges: [[{ subnet: '10.3.0.0/16' }], [{ subnet: 'fd00:3::/64' }]] },
    },
    sockets: 62,
    files: 94,
    reason: 'as cluster; one more lease; the IPv6 settings of the container and of the host',
  },
];

for (const { name: build, path: plugin } of builds) {
  t.test(`an ADD of ${build} makes few system calls`, { skip: missing('strace') }, async (t) => {
    const host = await Host.create(t, { plugin });
    const dir = mkdtempSync(join(tmpdir(), 'tsbridge-budget-'));
    t.teardown(() => rmSync(dir, { recursive: true }));
    for (const { conf, sockets, files, reason } of networks) {
      const first = host.cni({ command: 'ADD', container: host.container(), conf });
      t.equal(first.status, 0, `${conf.name}: the first ADD makes the bridge`);
      const trace = join(dir, String(conf.name));
      const wrapper = ['strace', '-f', '-o', trace];
      const added = host.cni({ command: 'ADD', container: host.container(), conf, wrapper });
      t.equal(added.status, 0, added.stdout);
      const calls = readFileSync(trace, 'utf8');
      const made = count(calls);
      t.ok(
        made.network <= sockets,
        `${conf.name}: ${made.network} on sockets and namespaces, at most ${sockets} (${reason})`,
      );
      t.ok(made.file <= files, `${conf.name}: ${made.file} on files, at most ${files} (${reason})`);
      t.ok(made.network > sockets / 2 && made.file > files / 2, `${conf.name}: the budget is not idle`);
    }
  });
}

/** The calls of the main thread, from the first read of stdin to the write of stdout. `4711 read(0, "{…"..., 65536) = 220` */
function count(trace: string): { network: number; file: number } {
  const lines = trace.split('\n');
  const main = lines[0]?.split(' ')[0];
  const own = lines.filter((line) => line.startsWith(`${main} `)).map((line) => line.slice(`${main}`.length).trim());
  const from = own.findIndex((line) => line.startsWith('read(0,'));
  const to = own.findLastIndex((line) => line.startsWith('write(1,'));
  if (from < 0 || to < from) throw new Error('the plugin neither read nor wrote');
  const calls = { network: 0, file: 0, runtime: 0 };
  for (const line of own.slice(from, to + 1)) {
    const name = /^(\w+)\(/.exec(line)?.[1]; // '<... recvfrom resumed>' is the end of a call that was counted
    if (name) calls[purposeOfName(name)]++;
  }
  return calls;
}
