import fc from 'fast-check';
import t from 'tap';
import { CniError } from '../../../src/cni/error.ts';
import { type Judge, judge } from '../../../src/cni/judge.ts';
import { parseNetConf } from '../../../src/cni/parse-netconf.ts';
import { parseRequest } from '../../../src/cni/request.ts';

const requestOf = (command: string) =>
  parseRequest({ CNI_COMMAND: command, CNI_CONTAINERID: 'a', CNI_NETNS: '/x', CNI_IFNAME: 'eth0', CNI_PATH: '/x' });

const keys = [
  'bridge',
  'isGateway',
  'ipMasq',
  'ipMasqBackend',
  'nonMasqueradeCIDRs',
  'mtu',
  'vlan',
  'vlanTrunk',
  'dns',
  'args',
  'runtimeConfig',
  'prevResult',
  'ipam',
  'logLevel',
  'cniVersion',
  'name',
  'type',
  'cni.dev/valid-attachments',
];
const ipamKeys = [
  'type',
  'subnet',
  'rangeStart',
  'gateway',
  'ranges',
  'routes',
  'dataDir',
  'exclude',
  'sticky',
  'lockTimeoutMs',
];

/** Any JSON, and now and then a text that looks as if it belonged there. */
const value = fc.oneof(
  fc.jsonValue(),
  fc.constantFrom(
    '10.1.0.0/16',
    'fd00::/64',
    '10.1.0.5',
    '',
    '::ffff:1.2.3.4',
    'br0',
    [[{ subnet: '10.1.0.0/16' }]],
    [{ dst: '::/0' }],
  ),
);
const conf = fc.record({
  base: fc.constant({ name: 'net', cniVersion: '1.1.0', ipam: { type: 'host-local', subnet: '10.1.0.0/16' } }),
  more: fc.dictionary(fc.constantFrom(...keys), value),
  ipam: fc.option(fc.dictionary(fc.constantFrom(...ipamKeys), value)),
});

t.test('whatever the configuration is: it is understood, or refused with one of the protocol’s codes', async (t) => {
  for (const command of ['ADD', 'DEL', 'CHECK', 'GC', 'STATUS']) {
    const request = requestOf(command);
    const outcomes = { understood: 0, refused: 0 };
    fc.assert(
      fc.property(conf, ({ base, more, ipam }) => {
        const text = JSON.stringify({ ...base, ...more, ...(ipam ? { ipam: { ...base.ipam, ...ipam } } : {}) });
        try {
          parseNetConf(text, request, judge);
          outcomes.understood++;
        } catch (error) {
          if (!(error instanceof CniError) || ![1, 6, 7].includes(error.code) || error.message === '') throw error;
          outcomes.refused++;
        }
      }),
      { numRuns: 1000 },
    );
    t.ok(outcomes.refused > 0, `${command}: ${JSON.stringify(outcomes)}`);
  }
});

t.test('without a judge the same is understood, and what is refused is told apart', async (t) => {
  for (const command of ['ADD', 'DEL', 'CHECK', 'GC', 'STATUS']) {
    const request = requestOf(command);
    const outcomes = { understood: 0, thrown: 0, left: 0 };
    const prevResult = { cniVersion: '1.1.0', ips: [{ address: '10.1.0.5/16' }] };
    const outcomeOf = (parse: () => unknown) => {
      try {
        return parse();
      } catch (error) {
        if (!(error instanceof CniError)) throw error;
        return { code: error.code, message: error.message, details: error.details };
      }
    };
    fc.assert(
      fc.property(conf, ({ base, more, ipam }) => {
        const text = JSON.stringify({
          ...base,
          prevResult,
          ...more,
          ...(ipam ? { ipam: { ...base.ipam, ...ipam } } : {}),
        });
        let calls = 0;
        const counting: Judge = (...about) => {
          calls++;
          judge(...about);
        };
        const judged = outcomeOf(() => parseNetConf(text, request, counting));
        const alone = outcomeOf(() => parseNetConf(text, request));
        if (alone === undefined) {
          outcomes.left++;
          return calls > 0;
        }
        outcomes['code' in (alone as object) ? 'thrown' : 'understood']++;
        return JSON.stringify(alone) === JSON.stringify(judged);
      }),
      { numRuns: 1000 },
    );
    t.ok(outcomes.understood > 0 && outcomes.left > 0, `${command}: ${JSON.stringify(outcomes)}`);
  }
});

t.test('what is understood says the same when it is read again', async (t) => {
  fc.assert(
    fc.property(conf, ({ base, more, ipam }) => {
      const request = requestOf('ADD');
      const { prevResult: _, ...rest } = { prevResult: 0, ...more };
      let first: ReturnType<typeof parseNetConf>;
      try {
        first = parseNetConf(
          JSON.stringify({ ...base, ...rest, ...(ipam ? { ipam: { ...base.ipam, ...ipam } } : {}) }),
          request,
          judge,
        );
      } catch (error) {
        if (error instanceof CniError) return;
        throw error;
      }
      const second = parseNetConf(JSON.stringify(first.conf), request, judge);
      // What the runtime asked for has become part of the whole, and is not there to be asked for again.
      const whole = ({ conf }: typeof first) =>
        JSON.stringify({ ...conf, mac: 0, ipam: { ...conf.ipam, requestedIps: 0 } });
      if (whole(first) !== whole(second)) throw new Error(`${whole(first)} became ${whole(second)}`);
    }),
    { numRuns: 1000 },
  );
  t.pass('1000 times');
});
