import t from 'tap';
import { missingFeatures } from '../../../../src/commands/doctor/node.ts';
import { setting } from '../../../../src/commands/doctor/plugin-folders.ts';
import { netConf } from '../../../support/netconf.ts';

t.test('what the kernel lacks of what a network needs', async (t) => {
  const six = { type: 'host-local', ranges: [[{ subnet: 'fd00::/64' }]] } as never;
  for (const [name, conf, features, expected] of [
    ['nothing', { ipMasq: true, ipMasqBackend: 'nftables', macspoofchk: true, portIsolation: true, ipam: six }, {}, []],
    ['an old kernel, and nothing is asked of it', {}, { release: '4.4.0-generic', nftables: false, ipv6: false }, []],
    ['nf_tables', { macspoofchk: true }, { nftables: false }, ['nf_tables']],
    ['iptables does as well', { ipMasq: true }, { nftables: false }, []],
    [
      'counters',
      { ipMasq: true, ipMasqBackend: 'nftables' },
      { release: '5.4.0-42' },
      ['sets with counters in nf_tables'],
    ],
    ['isolation', { portIsolation: true }, { release: '4.15.0' }, ['isolated ports']],
    ['IPv6', { ipam: six }, { ipv6: false }, ['IPv6']],
    ['a release that says nothing', { portIsolation: true }, { release: '' }, []],
  ] as const) {
    const found = missingFeatures(netConf(conf as object), {
      release: '6.1.0',
      nftables: true,
      ipv6: true,
      ...features,
    });
    t.strictSame(
      found.map(({ problem }) => problem),
      expected.map((what) => `the kernel has no ${what}, which the network needs`),
      name,
    );
  }
});

t.test('keys of a TOML file', async (t) => {
  for (const [name, texts, expected] of [
    ['a text', ['[a]\nbin_dir = "/opt/cni/bin"\n'], ['/opt/cni/bin']],
    ['a list over lines', ['bin_dir = [\n  "/a/",\n  "/b", # last\n]\n'], ['/a', '/b']],
    ['single quotes', ["bin_dir='/a'"], ['/a']],
    ['a comment', ['# bin_dir = "/a"\n'], undefined],
    ['another key that ends so', ['my_bin_dir = "/a"\n'], undefined],
    ['the last file', ['bin_dir = "/a"', 'x = 1', 'bin_dir = "/b"'], ['/b']],
    ['nothing', [], undefined],
  ] as const) {
    t.strictSame(setting('bin_dir', texts), expected, name);
  }
});
