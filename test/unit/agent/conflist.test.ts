import t from 'tap';
import { readTemplate, renderConflist } from '../../../src/agent/conflist.ts';
import { parseNetConf } from '../../../src/cni/parse-netconf.ts';
import { parseRequest } from '../../../src/cni/request.ts';
import { mustPrefix } from '../../../src/ip/prefix.ts';

const facts = {
  ranges: ['10.244.1.0/24', 'fd00:10:244:1::/64'].map(mustPrefix),
  mtu: 1430,
  cluster: ['10.244.1.0/24', '10.244.0.0/24', 'fd00:10:244::/56'].map(mustPrefix),
};

t.test('the one that is built in', async (t) => {
  const text = renderConflist(readTemplate(undefined), facts);
  const list = JSON.parse(text);
  t.strictSame(list, {
    cniVersion: '1.0.0',
    cniVersions: ['1.0.0', '1.1.0'],
    name: 'pods',
    plugins: [
      {
        type: 'tsbridge',
        capabilities: { portMappings: true },
        bridge: 'cni0',
        isDefaultGateway: true,
        hairpinMode: true,
        ipMasq: true,
        ipam: { type: 'host-local', ranges: [[{ subnet: '10.244.1.0/24' }], [{ subnet: 'fd00:10:244:1::/64' }]] },
        mtu: 1430,
        nonMasqueradeCIDRs: ['10.244.0.0/23', 'fd00:10:244::/56'],
      },
    ],
  });
  const request = parseRequest({
    CNI_COMMAND: 'ADD',
    CNI_CONTAINERID: 'a',
    CNI_NETNS: '/',
    CNI_IFNAME: 'eth0',
    CNI_PATH: '/opt/cni/bin',
  });
  const parsed = parseNetConf(JSON.stringify({ ...list.plugins[0], cniVersion: '1.1.0', name: 'pods' }), request);
  t.strictSame([parsed?.role, parsed?.warnings], ['main', []], 'the plugin takes it');
  t.equal(renderConflist(readTemplate(undefined), facts), text, 'the same again');
});

t.test('a template keeps what it says', async (t) => {
  const template = {
    name: 'mine',
    plugins: [
      { type: 'tuning' },
      { type: 'tsbridge', mtu: 9000, ipMasq: false, ipam: { type: 'host-local', routes: [{ dst: '0.0.0.0/0' }] } },
      { type: 'tsbridge', ipam: { type: 'dhcp', ranges: [] } },
    ],
  };
  const list = JSON.parse(renderConflist(readTemplate(JSON.stringify(template)), facts));
  t.strictSame(list, {
    name: 'mine',
    plugins: [
      { type: 'tuning' },
      {
        type: 'tsbridge',
        mtu: 9000,
        ipMasq: false,
        ipam: {
          type: 'host-local',
          routes: [{ dst: '0.0.0.0/0' }],
          ranges: [[{ subnet: '10.244.1.0/24' }], [{ subnet: 'fd00:10:244:1::/64' }]],
        },
      },
      { type: 'tsbridge', ipam: { type: 'dhcp', ranges: [] }, mtu: 1430 },
    ],
  });
});

t.test('what is no template', async (t) => {
  for (const [text, expected] of [
    ['{', /^file: no JSON: /],
    ['[]', /^file: expected a conflist/],
    ['{"plugins":[]}', /^file: a conflist needs a "name"/],
    ['{"name":"a","plugins":[{"type":"bridge"}]}', /^file: none of its plugins has the type tsbridge/],
  ] satisfies [string, RegExp][]) {
    t.throws(() => readTemplate(text, 'file'), { code: 7, message: expected }, text);
  }
});
