import type { Host } from '../support/host.ts';

/**
 * What the attachments of a host left behind: host.leftovers() without what belongs to other plugins for good (portmap's
 * chains that all pods share) and without the host's own uplink, and every firewall rule that still names one of `words`:
 * pods' addresses, container ids.
 */
export function leftBehind(host: Host, words: readonly string[] = []): string[] {
  const own = host.leftovers().filter((left) => !left.startsWith('iptables :CNI-HOSTPORT-') && left !== 'veth eth0');
  return [...own, ...rulesNaming(host, words)];
}

/** The firewall's lines, of nftables and of both iptables, that hold one of the words as a whole word. */
function rulesNaming(host: Host, words: readonly string[]): string[] {
  if (words.length === 0) return [];
  const alternatives = words.map((word) => word.replaceAll('.', '\\.')).join('|');
  const named = new RegExp(`(^|[^0-9a-zA-Z.:])(${alternatives})($|[^0-9a-zA-Z.:])`);
  return [['nft', 'list', 'ruleset'], ['iptables-save'], ['ip6tables-save']].flatMap((program) => {
    const { stdout } = host.attempt(program);
    const lines = stdout.split('\n').filter((line) => named.test(line));
    return lines.map((line) => `${program[0]}: ${line.trim()}`);
  });
}
