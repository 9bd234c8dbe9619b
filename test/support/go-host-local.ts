import { spawnSync } from 'node:child_process';
import { referencePlugins } from './reference-plugins.ts';

/** The reference plugin on a store. It is run without network namespaces: an IPAM plugin does not look at them. */
export interface GoHostLocal {
  dataDir: string;
  network: string;
  ranges: { subnet: string; rangeStart?: string; rangeEnd?: string; gateway?: string }[][];
}

export const goHostLocalPath = `${referencePlugins}/host-local`;

/** The environment and the configuration of one call. */
export function goCall(go: GoHostLocal, verb: string, containerID: string, ifname = 'eth0', requestedIp?: string) {
  return {
    env: {
      CNI_COMMAND: verb,
      CNI_CONTAINERID: containerID,
      CNI_IFNAME: ifname,
      CNI_NETNS: '/var/run/netns/none',
      CNI_PATH: referencePlugins,
      ...(requestedIp === undefined ? {} : { CNI_ARGS: `IP=${requestedIp}` }),
    },
    stdin: JSON.stringify({
      cniVersion: '1.0.0',
      name: go.network,
      type: 'bridge',
      ipam: { type: 'host-local', dataDir: go.dataDir, ranges: go.ranges },
    }),
  };
}

/** ADD: the addresses, or the error's message. */
export function goAdd(go: GoHostLocal, containerID: string, ifname = 'eth0', requestedIp?: string): string[] | string {
  const { env, stdin } = goCall(go, 'ADD', containerID, ifname, requestedIp);
  const { stdout } = spawnSync(goHostLocalPath, [], { env, input: stdin, encoding: 'utf8' });
  const result = JSON.parse(stdout) as { ips?: { address: string }[]; msg?: string };
  return result.ips ? result.ips.map(({ address }) => address.slice(0, address.indexOf('/'))) : (result.msg ?? stdout);
}

/** DEL. Throws when it fails. */
export function goDel(go: GoHostLocal, containerID: string, ifname = 'eth0'): void {
  const { env, stdin } = goCall(go, 'DEL', containerID, ifname);
  const { status, stdout, stderr } = spawnSync(goHostLocalPath, [], { env, input: stdin, encoding: 'utf8' });
  if (status !== 0) throw new Error(`the reference plugin's DEL failed: ${stdout}${stderr}`);
}

/** CHECK: whether it is content. */
export function goCheck(go: GoHostLocal, containerID: string, ifname = 'eth0'): boolean {
  const { env, stdin } = goCall(go, 'CHECK', containerID, ifname);
  return spawnSync(goHostLocalPath, [], { env, input: stdin }).status === 0;
}
