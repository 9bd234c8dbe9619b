import t from 'tap';
import { builds } from '../support/builds.ts';
import { Host } from '../support/host.ts';
import { missing } from '../support/requirements.ts';

const conf = {
  cniVersion: '1.0.0',
  name: 'few',
  type: 'tsbridge',
  bridge: 'br0',
  isGateway: true,
  ipMasq: true,
  macspoofchk: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.60.0.0/24' }]] },
};

/** So few that the process cannot do its work, up to enough. Node.js itself ends without a word below some twenty. */
const limits = { pkg: { from: 22, to: 36 }, static: { from: 5, to: 20 } };

for (const build of builds) {
  t.test(`${build.name}: a process that may open few files`, { skip: missing('nft', 'prlimit') }, async (t) => {
    const host = await Host.create(t, { plugin: build.path });
    const pod = host.container();
    const codes = new Set<number>();
    const { from, to } = limits[build.name];
    for (let limit = from; limit <= to; limit++) {
      const wrapper = ['prlimit', `--nofile=${limit}`, '--'];
      const { status, json, stdout } = host.cni({ command: 'ADD', container: pod, conf, wrapper });
      if (status === 0) codes.add(0);
      else {
        codes.add(json?.code);
        t.match(json, { msg: /: EMFILE$/, details: /ulimit -n/ }, `${limit}: ${stdout}`);
        t.strictSame(host.leftovers(), [], `${limit} descriptors: undone`);
      }
      t.equal(host.cni({ command: 'DEL', container: pod, conf }).status, 0);
    }
    t.ok(codes.has(0), 'in the end there are enough');
    codes.delete(0);
    t.ok(codes.size > 0, 'at first there are not');
    t.notOk(codes.has(999), 'that is no defect');
  });
}
