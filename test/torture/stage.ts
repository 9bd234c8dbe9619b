import { writeFileSync } from 'node:fs';
import type { Build } from '../support/builds.ts';
import { shWords } from '../support/command.ts';
import { Host } from '../support/host.ts';
import { differences, stateScript } from './host-state.ts';
import { confOf, type SweptNetwork } from './networks.ts';

export type Verb = 'ADD' | 'DEL' | 'GC' | 'CHECK';

/** The line of a scene that comes before a call of the verb for pod `b`. CHECK gets the result of its ADD in its configuration. */
export const prepared = (verb: Verb): string => {
  if (verb === 'ADD') return '';
  if (verb !== 'CHECK') return 'call ADD b';
  return 'call ADD b >/run/torture/result && { sed "s/}$//" /run/torture/b; printf ,\\"prevResult\\":; cat /run/torture/result; echo }; } >/run/torture/check';
};

/** What a part of a scene brought: its exit status, and what it printed. */
export interface Part {
  status: number;
  text: string;
}

/**
 * A host on which the same scene is played again and again: pod `a` lives on the network all the time, unless the scene is about the first pod of the
 * host; pod `b` is the one that things happen to.
 */
export class Stage implements Disposable {
  readonly host: Host;
  readonly network: SweptNetwork;
  /** Pod `b` is the first of the host: no bridge, no table, no store. */
  readonly isFirst: boolean;
  before = '';
  private readonly plugin: string;

  private constructor(host: Host, plugin: string, network: SweptNetwork, isFirst: boolean) {
    this.host = host;
    this.plugin = plugin;
    this.network = network;
    this.isFirst = isFirst;
  }

  static async set(build: Build, network: SweptNetwork, { isFirst = false } = {}): Promise<Stage> {
    const host = await Host.create(undefined, { plugin: build.path });
    const stage = new Stage(host, build.path, network, isFirst);
    for (const pod of ['a', 'b', 'c']) host.run(['ip', 'netns', 'add', pod]);
    host.run(['mkdir', '-p', '/run/torture']);
    const write = (name: string, conf: Record<string, unknown>) =>
      writeFileSync(host.outer(`/run/torture/${name}`), JSON.stringify(conf));
    write('a', confOf(network, 8080));
    write('b', confOf(network, 8081));
    write('c', confOf(network, 8082));
    const alive = isFirst ? [] : [{ containerID: 'pod-a', ifname: 'eth0' }];
    write('gc', { ...network.conf, 'cni.dev/valid-attachments': alive });
    if (isFirst) {
      stage.before = (await stage.play('call ADD c\ncall DEL c\nstate')).at(-1)?.text ?? '';
      return stage;
    }
    const [added] = await stage.play('call ADD a');
    if (added?.status !== 0) throw new Error(`${network.name}: ${added?.text}`);
    // Once there and back: what the first attachment of a kind leaves on purpose is there from now on.
    await stage.play('call ADD b\ncall DEL b');
    await new Promise((resolve) => setTimeout(resolve, 2500)); // duplicate addresses are detected, bridge ports forward
    stage.before = (await stage.play('state'))[0]?.text ?? '';
    return stage;
  }

  /**
   * Plays a scene: lines of sh, of which `call VERB [POD [NETNS]]` runs the plugin, `victim VERB POD` runs it behind `words`, and `state` shows the host. Each line is a part.
   */
  async play(lines: string, words: readonly string[] = []): Promise<Part[]> {
    const script = `
      plugin=${shWords([this.plugin])}
      ${stateScript}
      call() { # VERB [POD [NETNS]]
        case $1 in GC) who= conf=gc ;; *) who="CNI_CONTAINERID=pod-$2 CNI_NETNS=\${3-/run/netns/$2} CNI_IFNAME=eth0" conf=$2 ;; esac
        env -i PATH="$PATH" CNI_COMMAND=$1 $who CNI_PATH=/run/cni/bin "$plugin" </run/torture/$conf
      }
      victim() { # VERB POD: with the words that meddle with it
        case $1 in GC) who= conf=gc ;; *) who="CNI_CONTAINERID=pod-$2 CNI_NETNS=/run/netns/$2 CNI_IFNAME=eth0" conf=$2 ;; esac
        [ "$1" != CHECK ] || conf=check
        env -i PATH="$PATH" CNI_COMMAND=$1 $who CNI_PATH=/run/cni/bin ${shWords(words)} "$plugin" </run/torture/$conf
      }
      ${this.isFirst ? resetScript : ''}
      ${lines
        .split('\n')
        .map((line) => line.trim())
        .filter((line) => line !== '')
        .map((line) => `echo '@@@'; ${line === 'state' ? `state ${this.isFirst ? '' : 'a'}` : line} 2>&1; echo "@= $?"`)
        .join('\n')}`;
    const { stdout, stderr } = await this.host.start(['sh', '-c', script], { timeoutMs: 300_000 }).done;
    const parts = stdout.split(/^@@@\n/m).slice(1);
    return parts.map((part) => {
      const at = part.lastIndexOf('@= ');
      if (at < 0) throw new Error(`the scene was broken off: ${stdout}${stderr}`);
      return { status: Number(part.slice(at + 3)), text: part.slice(0, at) };
    });
  }

  /** What is not as it was before, in words. */
  differences(state: Part | undefined): string[] {
    const after = state?.text ?? '';
    if (!this.isFirst) return differences(this.before, after);
    // Made anew: a bridge has the MAC address that follows from the boot id, or from something else where that cannot be read.
    const [was, is] = [this.before, after].map((text) => text.replace(/"([0-9a-f]{2}:){5}[0-9a-f]{2}"/g, '"MAC"'));
    return differences(was as string, is as string);
  }

  /** The same, which whoever lends it puts away himself: a stage takes seconds to be set. */
  lent(): Stage {
    return Object.create(this, { [Symbol.dispose]: { value: () => {} } }) as Stage;
  }

  [Symbol.dispose](): void {
    this.host[Symbol.dispose]();
  }
}

/** Makes the host what it was before its first pod. */
const resetScript = `
  for link in $(ls /sys/class/net); do case $link in lo) ;; *) ip link del "$link" 2>/dev/null ;; esac; done
  nft flush ruleset 2>/dev/null
  rm -rf /var/lib/cni/networks /run/tsbridge
  echo 0 >/proc/sys/net/ipv4/ip_forward
  echo 0 >/proc/sys/net/ipv6/conf/all/forwarding`;
