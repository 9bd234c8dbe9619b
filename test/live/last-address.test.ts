import t from 'tap';
import { builds } from '../support/builds.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

// DEL begins to remove the pair before it locks the store, so there is a moment in which its lease has neither a pair nor anybody at work on
// it: an ADD that finds no other address reclaims it. Neither pod may come to harm by that.

/** A range of one address, beside the gateway's. */
const conf = {
  cniVersion: '1.0.0',
  name: 'narrow',
  type: 'tsbridge',
  bridge: 'nrw0',
  isDefaultGateway: true,
  ipMasq: true,
  macspoofchk: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/30' }]] },
};

/** Where DEL is held up: before its first flock(2), its second, and so on. */
const moments = [
  'before it locks the store',
  'before it locks its lease, with the store locked',
  'before it unlocks the store, with its lease locked',
  'before it locks the store for the release',
  'before it unlocks the store after the release',
];

const holdUp = (n: number) => ['strace', '-qq', '-o', '/dev/null', '-e', `inject=flock:delay_enter=2000000:when=${n}`];

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

for (const build of builds) {
  t.test(
    `${build.name}: the last address of a range goes from pod to pod`,
    { skip: missing('strace', 'nft'), timeout: 300_000 },
    async (t) => {
      for (const [i, where] of moments.entries()) {
        for (const withResult of i === 0 ? [true, false] : [true]) {
          const title = `DEL${withResult ? ' with prevResult' : ''} held up ${where}`;
          t.test(title, async (t) => {
            const host = await Host.create(t, { plugin: build.path });
            const [old, next] = [host.container(), host.container()];
            const first = host.cni({ command: 'ADD', container: old, conf });
            const veth = first.json?.interfaces[1].name;
            const prevResult = withResult ? { prevResult: first.json } : {};

            let isAtWork = true;
            const { done } = host.cniStart({
              command: 'DEL',
              container: old,
              conf,
              wrapper: holdUp(i + 1),
              ...prevResult,
            });
            const deleted = done.finally(() => {
              isAtWork = false;
            });
            while (host.attempt(['ip', 'link', 'show', 'dev', veth]).status === 0) await sleep(10);
            t.ok(isAtWork, 'the pair goes while DEL is at work');

            let added = await host.cniStart({ command: 'ADD', container: next, conf }).done;
            if (i === 0) t.ok(added.status === 0 && isAtWork, `the address is given away meanwhile: ${added.stdout}`);
            t.equal((await deleted).status, 0, (await deleted).stdout);
            if (added.status !== 0) {
              t.match(added.json, { code: 11, msg: /no addresses left/ });
              added = host.cni({ command: 'ADD', container: next, conf });
            }

            t.equal(added.json?.ips[0].address, '10.1.0.2/30', added.stdout);
            t.match(host.leases('narrow'), { '10.1.0.2': next.id });
            const set = host.run(['nft', 'list', 'set', 'inet', 'tsbridge', 'pods4.narrow']);
            t.match(set, new RegExp(`10.1.0.2 .*comment "network=narrow container=${next.id} interface=eth0"`));
            t.notMatch(set, old.id);
            t.equal(host.cni({ command: 'CHECK', container: next, conf, prevResult: added.json }).stdout, '');
            t.ok(next.canReach('10.1.0.1'));
            t.equal(host.cni({ command: 'DEL', container: next, conf }).status, 0);
            t.strictSame(host.leftovers(), []);
          });
        }
      }
    },
  );
}
