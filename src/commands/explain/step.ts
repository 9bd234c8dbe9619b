/** A part of what a verb does: why, and commands that a person could paste to have it done, or to see it. */
export interface Step {
  reason: string;
  commands: string[];
}

/** Where commands for the container go. */
export interface Where {
  netns: string; // a path
}

/** `ip`, in the container's namespace by its name, or by its path where it has none. */
export const ipIn = ({ netns }: Where): string =>
  `ip -n ${/^(?:\/var)?\/run\/netns\/([^/]+)$/.exec(netns)?.[1] ?? netns}`;

/** Any other program there. */
export const inContainer = ({ netns }: Where): string => `nsenter --net=${netns}`;

/** A text as one word of a shell. */
export const word = (text: string): string =>
  /^[\w./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;

/** A command of nft as one of a shell. Quotation marks in it are nft's own. */
export const nft = (text: string): string => `nft '${text.replaceAll("'", "'\\''")}'`;
