/**
 * The host-local IPAM as a process of its own, for tests that need several at once, or one to kill. It is called as a CNI plugin is:
 * CNI_* in the environment, the configuration on stdin, a result or an error on stdout. Besides:
 *
 *   TEST_BOOT_ID   the boot id; TEST_COOKIE the network namespace (absent: IPAM only)
 *   TEST_VETHS     a directory; a host interface exists when a file of its attachment's hash is in it
 *   TEST_STICKY    the pod for ipam.sticky
 *   TEST_VERB      what to call instead of CNI_COMMAND's method: `undoAdd` (after an ADD), `held`
 *   TEST_HOLD      after the verb: prints `held` to stderr and waits for a signal, with all files open
 */
import { existsSync, readFileSync } from 'node:fs';
import { asCniError, CniError, errorDocument } from '../../src/cni/error.ts';
import { parseRangeSets, type RawRange } from '../../src/cni/parse-ranges.ts';
import { hostLocal } from '../../src/ipam/host-local.ts';
import { systemCalls } from '../../src/linux/system-calls.ts';
import { silent } from '../../src/log/logger.ts';
import { attachmentHash } from '../../src/plan/names.ts';

interface RawConf {
  name: string;
  ipam: {
    ranges: RawRange[][];
    dataDir: string;
    resolvConf?: string;
    exclude?: string[];
    sticky?: boolean;
    lockTimeoutMs?: number;
  };
  runtimeConfig?: { ips?: string[] };
  'cni.dev/valid-attachments'?: { containerID: string; ifname: string }[];
}

const { env } = process;
const conf = JSON.parse(readFileSync(0, 'utf8')) as RawConf;
const [network, containerID, ifname] = [conf.name, env.CNI_CONTAINERID ?? '', env.CNI_IFNAME ?? ''];
const veths = env.TEST_VETHS;

async function run(): Promise<unknown> {
  const ipam = hostLocal({
    conf: {
      type: 'host-local',
      ranges: parseRangeSets(conf.ipam.ranges.map((ranges, i) => ({ path: `ipam.ranges[${i}]`, ranges }))),
      routes: [],
      dataDir: conf.ipam.dataDir,
      ...(conf.ipam.resolvConf === undefined ? {} : { resolvConf: conf.ipam.resolvConf }),
      requestedIps: conf.runtimeConfig?.ips ?? [],
      exclude: conf.ipam.exclude ?? [],
      sticky: conf.ipam.sticky ?? false,
      lockTimeoutMs: conf.ipam.lockTimeoutMs ?? 30_000,
    },
    attachment: { network, containerID, ifname },
    sys: systemCalls,
    log: env.TEST_LOG
      ? { ...silent, warn: (msg, fields) => process.stderr.write(`${msg} ${JSON.stringify(fields)}\n`) }
      : silent,
    bootId: env.TEST_BOOT_ID ?? '11111111-0000-4000-8000-000000000000',
    hostCookie: env.TEST_COOKIE === undefined ? undefined : BigInt(env.TEST_COOKIE),
    hash: (id, dev) => attachmentHash({ network, containerID: id, ifname: dev }),
    vethExists: veths === undefined ? undefined : (hash) => existsSync(`${veths}/${hash}`),
    pod: env.TEST_STICKY,
  });
  switch (env.CNI_COMMAND) {
    case 'ADD': {
      const lease = await ipam.add();
      return env.TEST_VERB === 'undoAdd' ? (await ipam.undoAdd()).map(String) : lease;
    }
    case 'DEL':
      return env.TEST_VERB === 'held' ? ipam.held() : ipam.del();
    case 'CHECK':
      return ipam.check([]);
    case 'GC':
      return ipam.gc(conf['cni.dev/valid-attachments']);
    case 'STATUS':
      return ipam.status((what, details) => {
        throw new CniError(50, what, { details });
      });
    default:
      throw new CniError(4, `unknown command ${env.CNI_COMMAND}`);
  }
}

try {
  const result = await run();
  if (result !== undefined) process.stdout.write(JSON.stringify(result));
} catch (error) {
  process.stdout.write(errorDocument(asCniError(error), '1.0.0'));
  process.exitCode = 1;
}
if (env.TEST_HOLD) {
  process.stderr.write('held\n');
  setInterval(() => {}, 1000);
}
