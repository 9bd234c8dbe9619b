/** What one ADD makes and one DEL removes. SPEC "Lifecycle & Ordering": the three together identify it. */
export interface Attachment {
  network: string; // `name` of the network configuration
  containerID: string;
  ifname: string; // CNI_IFNAME
}
