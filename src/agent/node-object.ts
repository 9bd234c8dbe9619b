/** What the agent knows of a node: all else of the object is dropped when it is read, since there may be thousands. */
export interface ClusterNode {
  name: string;
  created: string; // metadata.creationTimestamp, which only the API server sets
  ranges: readonly string[]; // spec.podCIDRs, as they are written
  addresses: readonly string[]; // of status.addresses those of type InternalIP
}

/** More than that nobody needs: an object may hold a megabyte. */
const mostRanges = 8;
const mostAddresses = 16;
/** Longer than any prefix or address in text form. */
const longestText = 64;

/** A node from the API's JSON, or undefined when it is none. A field that is of another type than it should be counts as missing. */
export function parseNode(object: unknown): ClusterNode | undefined {
  const { metadata, spec, status } = record(object);
  const { name, creationTimestamp } = record(metadata);
  if (typeof name !== 'string' || name === '') return undefined;
  const { podCIDRs, podCIDR } = record(spec);
  const several = texts(podCIDRs, mostRanges);
  const addresses = array(record(status).addresses)
    .map(record)
    .filter(({ type }) => type === 'InternalIP')
    .map(({ address }) => address);
  return {
    name,
    created: typeof creationTimestamp === 'string' ? creationTimestamp : '',
    ranges: several.length > 0 ? several : texts([podCIDR], 1),
    addresses: texts(addresses, mostAddresses),
  };
}

/** Whether the agent would do the same for both. */
export const isSameNode = (a: ClusterNode, b: ClusterNode): boolean =>
  a.created === b.created && sameTexts(a.ranges, b.ranges) && sameTexts(a.addresses, b.addresses);

const sameTexts = (a: readonly string[], b: readonly string[]) =>
  a.length === b.length && a.every((text, i) => text === b[i]);

const record = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};

const array = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

/** The first `most` texts; '' and what is too long to mean something are kept as what they are: malformed. */
const texts = (value: unknown, most: number): string[] =>
  array(value)
    .slice(0, most)
    .filter((one) => typeof one === 'string')
    .map((text) => text.slice(0, longestText))
    .filter((text) => text !== '');
