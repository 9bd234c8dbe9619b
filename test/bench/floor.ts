import { closeSync, mkdirSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { engine } from '#engine';
import { Call, dispatch } from '../../src/call.ts';
import type { Host } from '../../src/host.ts';
import { systemCalls } from '../../src/linux/system-calls.ts';
import { Namespace } from './namespace.ts';
import { type NetworkName, networks } from './networks.ts';
import type { Floor } from './results.ts';

const warmUp = 30;

/**
 * What is left when nothing has to be started: the plugin's own ADD, called again and again in this process, which has compiled
 * everything long ago. The time inside system calls is the kernel's, and no plugin in any language does these operations faster.
 */
export async function measureFloor(workDir: string, network: NetworkName, samples: number): Promise<Floor> {
  const { ipam, ...rest } = networks[network];
  const dataDir = join(workDir, 'floor');
  mkdirSync(dataDir, { recursive: true });
  const stdin = JSON.stringify({ ...rest, type: 'tsbridge', ipam: { ...ipam, type: 'host-local', dataDir } });
  using clock = new KernelClock();
  const floor: Floor = { network, kernelMs: [], wholeMs: [], systemCalls: 0 };
  using host = new Namespace(`host-floor-${network}`);
  using resident = new Namespace(`floor-${network}-resident`);
  using pod = new Namespace(`floor-${network}`);
  const call = async (command: string, { path }: Namespace) => {
    await callInProcess(command, path, stdin);
    closeBelow(dataDir);
  };
  host.enter();
  try {
    await call('ADD', resident);
    for (let n = 0; n < samples + warmUp; n++) {
      clock.reset();
      const start = performance.now();
      await callInProcess('ADD', pod.path, stdin);
      const wholeMs = performance.now() - start;
      if (n >= warmUp) {
        floor.wholeMs.push(Math.round(wholeMs * 1000) / 1000);
        floor.kernelMs.push(Math.round(clock.ms * 1000) / 1000);
        floor.systemCalls = clock.calls;
      }
      closeBelow(dataDir);
      await call('DEL', pod);
    }
    await call('DEL', resident);
  } finally {
    Namespace.home();
  }
  return floor;
}

/** A process keeps what it has locked until it exits, and another DEL would wait for that. */
function closeBelow(dir: string): void {
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      if (readlinkSync(`/proc/self/fd/${fd}`).startsWith(`${dir}/`)) closeSync(Number(fd));
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error; // readdir's own
    }
  }
}

async function callInProcess(command: string, netns: string, stdin: string): Promise<void> {
  let stdout = '';
  const env = {
    CNI_COMMAND: command,
    CNI_CONTAINERID: netns.replaceAll('/', '-').slice(1),
    CNI_NETNS: netns,
    CNI_IFNAME: 'eth0',
    CNI_PATH: '',
  };
  const host: Host = {
    env,
    args: [],
    readStdin: () => Buffer.from(stdin),
    peekStdin: () => Buffer.from(stdin),
    stdout: (text) => {
      stdout += text;
      return true;
    },
    stderr: (text) => void process.stderr.write(text),
    isDevice: () => false,
    sys: systemCalls,
    bootId: () => readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim(),
    holdSignals: () => {},
    heldSignal: async () => undefined,
    elapsedMs: () => 0,
  };
  const status = await dispatch(host, new Call(host));
  if (status !== 0) throw new Error(`${command} in this process: ${stdout}`);
}

/** Knows how long system calls took, until it is disposed of. */
class KernelClock implements Disposable {
  private readonly syscall = engine.syscall;
  ms = 0;
  calls = 0;

  constructor() {
    engine.syscall = (...args) => {
      const start = performance.now();
      const answer = this.syscall(...args);
      this.ms += performance.now() - start;
      this.calls++;
      return answer;
    };
  }

  reset(): void {
    this.ms = 0;
    this.calls = 0;
  }

  [Symbol.dispose](): void {
    engine.syscall = this.syscall;
  }
}
