import t from 'tap';
import { builds } from '../support/builds.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

// DEL locks the lease before it begins to remove the pair and gives the lease back when the pair is gone: there is no moment in which an ADD
// that finds no other address could take this one for a dead attachment's. Neither pod may come to harm, wherever DEL is held up.

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

/** Where DEL is held up: before its first flock(2), its second, and so on; and whether the pair is gone by then. */
const moments = [
  { where: 'before it locks the store', isPairGone: false },
  { where: 'before it locks its lease, with the store locked', isPairGone: false },
  { where: 'before it unlocks the store, with its lease locked', isPairGone: false },
  { where: 'before it locks the store for the release', isPairGone: true },
  { where: 'before it unlocks the store after the release', isPairGone: true },
];

const holdUp = (n: number) => ['strace', '-qq', '-o', '/dev/null', '-e', `inject=flock:delay_enter=2000000:when=${n}`];

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

for (const build of builds) {
  t.test(
    `${build.name}: the last address of a range goes from pod to pod`,
    { skip: missing('strace', 'nft'), timeout: 300_000 },
    async (t) => {
      for (const [i, { where, isPairGone }] of moments.entries()) {
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
            const hasPair = () => host.attempt(['ip', 'link', 'show', 'dev', veth]).status === 0;
            if (isPairGone) while (hasPair()) await sleep(10);
            else await sleep(1000);
            t.ok(isAtWork, 'DEL is held up');
            t.equal(hasPair(), !isPairGone);

            let added = await host.cniStart({ command: 'ADD', container: next, conf }).done;
            if (i === 0) t.ok(added.status !== 0 && isAtWork, 'the address of a pair that is there is not given away');
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
