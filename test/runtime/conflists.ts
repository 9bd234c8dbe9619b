import type { Plugin } from './plugin.ts';

export interface ListOptions {
  cniVersion?: string; // default 1.0.0, the newest that Debian 12's runtimes take
  name?: string; // default pods
  subnets?: string[]; // default one IPv4 range
  capabilities?: Record<string, boolean>; // of the plugin itself
  after?: Record<string, unknown>[]; // default portmap
}

/** What a kubeadm cluster's nodes have in /etc/cni/net.d when nothing but the bridge plugin makes their network. */
export function kubeadmList(plugin: Plugin, options: ListOptions = {}) {
  const { cniVersion = '1.0.0', name = 'pods', subnets = ['10.244.1.0/24'], capabilities } = options;
  return {
    cniVersion,
    name,
    plugins: [
      {
        type: plugin.type,
        bridge: 'cni0',
        isDefaultGateway: true,
        ipMasq: true,
        hairpinMode: true,
        ...(capabilities ? { capabilities } : {}),
        ipam: { type: 'host-local', ranges: subnets.map((subnet) => [{ subnet }]) },
      },
      ...(options.after ?? [{ type: 'portmap', capabilities: { portMappings: true } }]),
    ],
  };
}

export const bandwidth = { type: 'bandwidth', capabilities: { bandwidth: true } };
export const portmap = { type: 'portmap', capabilities: { portMappings: true } };
