/** What may be odd about a node, or about what the host has; each is a label of the metric tsbridge_agent_node_problems. */
export const problems = {
  'no-range': 'has no podCIDRs: no route',
  'no-address': 'has no InternalIP of the family of its range: no route',
  'two-addresses': 'has several InternalIPs of one family: the first one counts',
  'two-ranges': 'has several podCIDRs of one family: a route to each of them',
  malformed: 'has a podCIDR or an InternalIP that is none: it is passed over',
  'special-range': 'has a range that no pod can have (too large, loopback, link-local, multicast): refused',
  'outside-cluster': 'has a range outside of --cluster-cidr: refused',
  'own-range-elsewhere': "has a range that overlaps this node's own: refused",
  'covers-own':
    "has a range that covers an address of this node, its gateway or the API server's, or the link they are on: refused",
  'covers-node': "has a range that covers another node's address: refused",
  'duplicate-range': 'has a range that overlaps that of a node that is older: refused',
  'own-address': "has an address of this node's, or none that a packet can be sent to: refused",
  'address-in-range': 'has an address in the range of pods: refused',
  'not-on-link': 'is not on the same link, and the mode is direct: no route',
  'no-uplink': 'cannot be reached by VXLAN: this node has no address of that family to send from',
  'name-taken': 'has a name that gives the MAC address of another node that is older: no route through VXLAN',
  'foreign-route': 'has a route that somebody else has made: it stays as it is',
  'foreign-device': 'cannot be reached by VXLAN: there is a device of that name that is not ours',
  held: 'is not in the list (any more): its routes stay until that is sure',
} as const;

export type ProblemName = keyof typeof problems;

export interface Problem {
  node: string;
  problem: ProblemName;
  what: string; // the range or the address; '' when there is none
}
