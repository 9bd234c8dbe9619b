import type { AddressState, LinkState, RouteState } from '../state.ts';

/** A neighbour that the kernel was told of or has found. From RTM_NEWNEIGH, linux/neighbour.h. */
export interface NeighbourState {
  index: number; // of the link
  address: string;
  mac: string; // '' while it is not known
  permanent: boolean;
}

/** Where a VXLAN device sends the frames for a MAC address. From RTM_NEWNEIGH of the family AF_BRIDGE. */
export interface ForwardingState {
  index: number; // of the device
  mac: string;
  dst: string;
}

/** What a VXLAN device is, beside what every link has. From IFLA_VXLAN_*, linux/if_link.h. */
export interface VxlanState {
  vni: number;
  port: number; // UDP
  local?: string;
  learning: boolean;
  hasDefault: boolean; // there is a node that unknown frames are sent to
}

/** What the host has of links, addresses and routes: all that plan() asks. */
export interface PodRouteState {
  links: (LinkState & { vxlan?: VxlanState })[];
  addresses: AddressState[];
  routes: RouteState[]; // unicast, of the table main
  neighbours: NeighbourState[]; // of our devices
  forwarding: ForwardingState[]; // of our devices
}
