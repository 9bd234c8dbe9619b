/** Networks as clusters have them, from the least to the most that an ADD has to do. */
export const networks = [
  { name: 'plain', bridge: 'plain0', ipam: { type: 'host-local', subnet: '10.1.0.0/24' } },
  {
    name: 'cluster',
    bridge: 'cluster0',
    isDefaultGateway: true,
    ipMasq: true,
    hairpinMode: true,
    ipam: { type: 'host-local', ranges: [[{ subnet: '10.2.0.0/24' }]] },
  },
  {
    name: 'dual',
    bridge: 'dual0',
    isDefaultGateway: true,
    ipMasq: true,
    hairpinMode: true,
    ipam: { type: 'host-local', ranges: [[{ subnet: '10.3.0.0/24' }], [{ subnet: '2001:db8:3::/64' }]] },
  },
].map((network) => ({ cniVersion: '1.0.0', type: 'tsbridge', ...network }));
