import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { asCniError } from '../../../../src/cni/error.ts';
import {
  chainName,
  iptablesMasqAdd,
  iptablesMasqCheck,
  iptablesMasqDel,
} from '../../../../src/kernel/iptables/masquerade.ts';
import { failure } from '../../../../src/kernel/iptables/run.ts';
import { shWords } from '../../../support/command.ts';

const attachment = { network: 'podnet', containerID: 'abc', ifname: 'eth0' };
const chain = 'CNI-035bb1f04a0f1a50322640e1'; // sha512 of podnet, abc and eth0 with NULs between
const whose = '-m comment --comment "name: \\"podnet\\" id: \\"abc\\""';
const jump = `-A POSTROUTING -s 10.1.0.5/32 ${whose} -j ${chain}`;
const pod = { address: '10.1.0.5/16', local: ['10.1.0.0/16'] };
const rules = [
  `-A ${chain} -d 10.1.0.0/16 ${whose} -j ACCEPT`,
  `-A ${chain} ! -d 224.0.0.0/4 ${whose} -j MASQUERADE`,
  `-A POSTROUTING -s 10.1.0.5 ${whose} -j ${chain}`,
];
const list = (program: string, of: string) => `${program} -w 10 -t nat -S ${of}`;
const restore = (program: string, ...lines: string[]) => [
  `${program}-restore -w 10 --noflush`,
  '*nat',
  ...lines,
  'COMMIT',
];

/** Programs that write down how they were called and what they read, and answer as a shell script says. Gives what they wrote down. */
function fakeIptables(t: Test, script: string): () => string[] {
  const dir = t.testdir();
  const log = join(dir, 'log');
  const text = `#!/bin/sh
input=$(cat)
name=$(basename "$0")
echo "$name $*" >> ${shWords([log])}
[ -z "$input" ] || printf '%s\\n' "$input" >> ${shWords([log])}
${script}
`;
  for (const program of ['iptables', 'ip6tables', 'iptables-restore', 'ip6tables-restore']) {
    writeFileSync(join(dir, program), text);
    chmodSync(join(dir, program), 0o755);
  }
  const before = process.env.PATH;
  process.env.PATH = `${dir}:${before}`;
  t.teardown(() => {
    process.env.PATH = before;
  });
  return () => (existsSync(log) ? readFileSync(log, 'utf8').trimEnd().split('\n') : []);
}

/** What `iptables -S POSTROUTING` prints when our jump is there. */
const listing = `case "$*" in *"-S POSTROUTING") cat <<'END'
-P POSTROUTING ACCEPT
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
${jump}
END
esac`;

t.test('a new pod takes one process per family', async (t) => {
  const log = fakeIptables(t, '');
  await iptablesMasqAdd(attachment, [pod, { address: 'fd00::5', local: ['fd00::/64'] }]);
  t.strictSame(log(), [
    ...restore('iptables', `-N ${chain}`, ...rules),
    ...restore(
      'ip6tables',
      `-N ${chain}`,
      `-A ${chain} -d fd00::/64 ${whose} -j ACCEPT`,
      `-A ${chain} ! -d ff00::/8 ${whose} -j MASQUERADE`,
      `-A POSTROUTING -s fd00::5 ${whose} -j ${chain}`,
    ),
  ]);
});

t.test('a chain that is there is emptied, its jumps are replaced, in one go', async (t) => {
  const log = fakeIptables(t, `case "$input" in *"-N CNI-"*) exit 1;; esac\n${listing}`);
  await iptablesMasqAdd(attachment, [pod]);
  t.strictSame(log(), [
    ...restore('iptables', `-N ${chain}`, ...rules),
    list('iptables', 'POSTROUTING'),
    ...restore('iptables', `:${chain} - [0:0]`, jump.replace('-A', '-D'), ...rules),
  ]);
});

t.test('a failure takes back the family that went well', async (t) => {
  const log = fakeIptables(t, `case $name in ip6tables-restore) echo "no such table" >&2; exit 3;; esac\n${listing}`);
  try {
    await iptablesMasqAdd(attachment, [pod, { address: 'fd00::5', local: [] }]);
    t.fail('it must throw');
  } catch (error) {
    const { code, message, details } = asCniError(error);
    t.strictSame(
      { code, message, details },
      {
        code: 100,
        message: `cannot masquerade by ip6tables-restore, chain ${chain}: exit status 3`,
        details: 'no such table',
      },
    );
  }
  t.strictSame(log().slice(-7), [
    list('iptables', 'POSTROUTING'),
    ...restore('iptables', `:${chain} - [0:0]`, jump.replace('-A', '-D'), `-X ${chain}`),
  ]);
});

t.test('DEL removes the jumps before the chain', async (t) => {
  const log = fakeIptables(t, listing);
  t.strictSame(await iptablesMasqDel(attachment, ['10.1.0.5/16', '10.1.0.6/16']), []);
  t.strictSame(log(), [
    list('iptables', 'POSTROUTING'),
    ...restore('iptables', `:${chain} - [0:0]`, jump.replace('-A', '-D'), `-X ${chain}`),
  ]);
});

t.test('DEL without addresses looks in both families; one that has no nat table has nothing to remove', async (t) => {
  const log = fakeIptables(t, `case $name in ip6tables) exit 3;; esac\n${listing}`);
  t.strictSame(await iptablesMasqDel(attachment, []), []);
  t.equal(log().at(-1), list('ip6tables', 'POSTROUTING'));
});

t.test('DEL goes on after an error, and gives it', async (t) => {
  const log = fakeIptables(t, `case $name in iptables-restore) echo "it broke" >&2; exit 2;; esac`);
  const errors = await iptablesMasqDel(attachment, []);
  t.strictSame(
    errors.map((error) => [error.message, asCniError(error).details]),
    [[`cannot remove chain ${chain} of iptables: exit status 2`, 'it broke']],
  );
  t.ok(log().includes('ip6tables-restore -w 10 --noflush'));
});

t.test('a lock that others hold is error 11', async (t) => {
  fakeIptables(t, 'echo "Another app is currently holding the xtables lock." >&2; exit 4');
  t.match(await iptablesMasqDel(attachment, ['10.1.0.5']), [
    {
      code: 11,
      message: 'iptables -w 10 -t nat -S POSTROUTING did not get the lock of iptables within 10 s',
      details: 'Another app is currently holding the xtables lock.',
    },
  ]);
});

t.test(
  'the same exit status without a word of a lock is the kernel refusing: error 100, with what was said',
  async (t) => {
    fakeIptables(
      t,
      'echo "iptables v1.8.9 (nf_tables): Could not fetch rule set generation id: Permission denied" >&2; exit 4',
    );
    const details = 'iptables v1.8.9 (nf_tables): Could not fetch rule set generation id: Permission denied';
    await t.rejects(async () => iptablesMasqAdd(attachment, [pod]), { code: 100, details });
    t.match(await iptablesMasqDel(attachment, ['10.1.0.5']), [
      { code: 100, message: 'cannot run iptables -w 10 -t nat -S POSTROUTING: exit status 4', details },
    ]);
    await t.rejects(async () => iptablesMasqCheck(attachment, ['10.1.0.5/16']), { code: 100, details });
  },
);

t.test('CHECK finds the addresses whose jump is there, if the chain masquerades', async (t) => {
  fakeIptables(
    t,
    `case "$*" in *"-S ${chain}") echo '-A ${chain} ! -d 224.0.0.0/4 ${whose} -j MASQUERADE';; esac\n${listing}`,
  );
  t.strictSame(await iptablesMasqCheck(attachment, ['10.1.0.5/16', '10.1.0.50/16', 'fd00::5/64']), ['10.1.0.5']);
  fakeIptables(t, listing);
  t.strictSame(await iptablesMasqCheck(attachment, ['10.1.0.5/16']), [], 'the chain is empty');
});

t.test('the chain has the interface in its name, and no two attachments the same', async (t) => {
  t.equal(chainName(attachment), chain);
  const others = [
    { network: 'podneta', containerID: 'bc', ifname: 'eth0' },
    { network: 'podnet', containerID: 'abce', ifname: 'th0' },
    { network: 'podnet', containerID: 'abc', ifname: 'eth1' },
  ].map(chainName);
  t.equal(new Set([chain, ...others]).size, 4);
});

t.test('no iptables at all is a missing feature', async (t) => {
  const { code, message, details } = failure('masquerade', { status: undefined, stdout: '', stderr: '' });
  t.equal(code, 104);
  t.equal(message, 'cannot masquerade: there is no such program');
  t.match(details, /Install iptables, or use "ipMasqBackend": "nftables"/);
});
