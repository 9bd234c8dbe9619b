import t from 'tap';
import { parseResolvConf, readResolvConf } from '../../../src/ipam/resolv-conf.ts';

const text = `
# comment
; another
nameserver 192.0.2.0
nameserver   192.0.2.1 ignored
  nameserver\t192.0.2.2
nameserver
domain example.com
domain example.org
search one.example two.example
search three.example
sortlist 10.0.0.0
options ndots:2 rotate
options edns0
`;

t.test('resolv.conf is read as the reference plugin reads it', async (t) => {
  t.strictSame(parseResolvConf(text), {
    nameservers: ['192.0.2.0', '192.0.2.1', '192.0.2.2'],
    domain: 'example.org',
    search: ['one.example', 'two.example', 'three.example'],
    options: ['ndots:2', 'rotate', 'edns0'],
  });
  t.strictSame(parseResolvConf('# nothing\n'), {});
});

t.test('a file that is not there is an error that names it', async (t) => {
  t.throws(() => readResolvConf('/nonexistent/resolv.conf'), {
    code: 5,
    message: 'cannot read /nonexistent/resolv.conf: ENOENT',
    details:
      'The file is named by ipam.resolvConf, and must be a regular file of at most 1 MiB; correct the path, or leave the key out.',
  });
});
