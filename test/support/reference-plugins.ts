/** Debian's containernetworking-plugins: the reference to compare with, and the delegates (portmap, static, …). */
export const referencePlugins = '/usr/lib/cni';
