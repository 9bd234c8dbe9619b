import { existsSync, readFileSync } from 'node:fs';

/**
 * tap-summary.ts STATUS FILE.tap TEST…: counts what a run of tap reported, and prints `N passed, N failed, N skipped`.
 * A test file that the report does not name has failed, whatever the reason it is absent for; so has a run without a
 * report, and one that ended with a failure that no test tells of. Exits with 1 if anything has failed.
 */
const [status, report = '', ...files] = process.argv.slice(2);
const text = existsSync(report) ? readFileSync(report, 'utf8') : '';

const totals = [...text.matchAll(/^# \{ (total: .*) \}$/gm)].at(-1)?.[1] ?? '';
const count = (key: string) => Number(new RegExp(`\\b${key}: (\\d+)`).exec(totals)?.[1] ?? 0);

const reported = new Set([...text.matchAll(/^(?:not )?ok \d+ - (\S+)/gm)].map(([, file]) => file));
const absent = files.filter((file) => !reported.has(file));
for (const file of absent) console.log(`no report from ${file}`);

let failed = count('fail') + absent.length;
if (failed === 0 && (status !== '0' || totals === '')) failed = 1;
const skipped = count('skip') + count('todo');
for (const [, reason] of text.matchAll(/# SKIP (.*)$/gm)) console.log(`skipped: ${reason}`);

console.log(`${count('pass')} passed, ${failed} failed, ${skipped} skipped`);
process.exit(failed === 0 ? 0 : 1);
