import type { Dns } from '../cni/result.ts';
import { text } from '../linux/bytes.ts';
import { readRegularFile } from '../linux/files.ts';
import { ioFailure } from './store/io-failure.ts';

/**
 * The DNS settings of a resolv.conf(5) text, read as the reference plugin reads it: `nameserver` lines add up, the last `domain`
 * counts, and all words of all `search` and `options` lines are kept. Comments, unknown keywords and keywords without a value are skipped.
 */
export function parseResolvConf(content: string): Dns {
  const dns: Dns = {};
  for (const line of content.split('\n')) {
    const [keyword = '', ...values] = line.trim().split(/\s+/);
    const [first] = values;
    if (first === undefined || keyword.startsWith('#') || keyword.startsWith(';')) continue;
    if (keyword === 'nameserver') dns.nameservers = [...(dns.nameservers ?? []), first];
    else if (keyword === 'domain') dns.domain = first;
    else if (keyword === 'search') dns.search = [...(dns.search ?? []), ...values];
    else if (keyword === 'options') dns.options = [...(dns.options ?? []), ...values];
  }
  return dns;
}

/** Much more than the kilobyte that such a file has. */
const maxBytes = 1024 * 1024;

/** The DNS settings of the file at `path`. @throws CniError 5 when it cannot be read. */
export function readResolvConf(path: string): Dns {
  try {
    return parseResolvConf(text(readRegularFile(path, maxBytes)));
  } catch (error) {
    throw ioFailure(
      'read',
      path,
      error,
      'The file is named by ipam.resolvConf, and must be a regular file of at most 1 MiB; correct the path, or leave the key out.',
    );
  }
}
