import { foldKeys, isObject } from '../cni/schema.ts';
import { lstatIfThere } from '../linux/files.ts';
import type { CliOptions } from './command-table.ts';
import { inRoot } from './network-files.ts';
import { nearest } from './unknown-keys.ts';

/** Something about a plugin's `capabilities` that will not come to what it says. */
export interface CapabilityProblem {
  path: string; // within the file
  message: string;
}

/** CONVENTIONS, "Dynamic Plugin specific fields", and what containerd and podman have added. */
const known = [
  ...['portMappings', 'ipRanges', 'bandwidth', 'dns', 'ips', 'mac', 'infinibandGUID', 'deviceID', 'aliases'],
  ...['cgroupPath', 'io.kubernetes.cri.pod-annotations'],
];
/** What tsbridge makes use of. */
const own = ['portMappings', 'ipRanges', 'ips', 'mac'];

/** What a runtime has to pass: their sources, internal/cri/server/sandbox_run.go and ocicni's ocicni.go. */
const passedBy = {
  containerd: ['portMappings', 'bandwidth', 'dns', 'cgroupPath', 'io.kubernetes.cri.pod-annotations'],
  // CRI-O maps ports of the host by itself: nobody misses them.
  'CRI-O': ['portMappings', 'bandwidth', 'ipRanges', 'aliases', 'cgroupPath', 'io.kubernetes.cri.pod-annotations'],
};

/** Plugins of the reference that do nothing without a capability. */
const needs: Record<string, string> = { portmap: 'portMappings', bandwidth: 'bandwidth' };

/** The container runtime that the files of a node are of, if there is one, and only one. */
export function runtimeOf(options: CliOptions): keyof typeof passedBy | undefined {
  const has = (...dirs: string[]) => dirs.some((dir) => lstatIfThere(inRoot(options, dir)));
  const containerd = has('/etc/containerd', '/run/containerd');
  if (containerd === has('/etc/crio', '/run/crio')) return undefined;
  return containerd ? 'containerd' : 'CRI-O';
}

/** Capabilities that nobody passes, or that a plugin is without and needs. `plugins` are those of a list, or the only one. */
export function capabilityProblems(
  plugins: readonly { path: string; json: object }[],
  runtime: ReturnType<typeof runtimeOf>,
): CapabilityProblem[] {
  const all = plugins.map(({ path, json }) => {
    const { type, capabilities, snat, masqAll, ipam } = foldKeys(json, [
      'type',
      'capabilities',
      'snat',
      'masqAll',
      'ipam',
    ]);
    const has = isObject(capabilities) ? (capabilities as Record<string, unknown>) : {};
    return { path, type: String(type), has, wantsPorts: snat !== undefined || masqAll !== undefined, ipam };
  });
  const mapsPorts = all.filter(({ has, type }) => has.portMappings === true && ['tsbridge', 'portmap'].includes(type));
  const found: CapabilityProblem[] = [];
  for (const { path, type, has, wantsPorts } of all) {
    const at = `${path === '' ? '' : `${path}.`}capabilities`;
    for (const name of Object.keys(has)) {
      if (has[name] !== true) continue;
      const tell = (message: string) => found.push({ path: `${at}.${name}`, message });
      const like = nearest(name, known);
      if (!known.includes(name)) tell(`no runtime passes it${like ? `; did you mean ${like}?` : ''}`);
      else if (runtime && !passedBy[runtime].includes(name))
        tell(`${runtime} does not pass it, so it is as good as absent`);
      else if (type === 'tsbridge' && !own.includes(name))
        tell(`tsbridge makes nothing of it: it belongs to another plugin's`);
    }
    const needed = needs[type];
    if (needed !== undefined && has[needed] !== true) {
      found.push({ path: at, message: `without ${needed}, ${type} is told nothing, and does nothing` });
    }
    if (type === 'tsbridge' && wantsPorts && has.portMappings !== true) {
      found.push({ path: at, message: 'without portMappings no port is mapped: snat and masqAll do nothing' });
    }
  }
  if (mapsPorts.length > 1) {
    const [first, ...others] = mapsPorts;
    for (const { path } of others) {
      found.push({
        path: `${path}.capabilities.portMappings`,
        message: `${first?.path} has it as well: each of them maps the ports`,
      });
    }
  }
  return found;
}
