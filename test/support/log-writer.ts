/** Writes lines to a log file: `log-writer.ts FILE NAME COUNT`. */
import { utf8 } from '../../src/linux/bytes.ts';
import { LogFile } from '../../src/log/log-file.ts';

const [path = '', name = '', count = ''] = process.argv.slice(2);
const log = new LogFile(path);
for (let i = 0; i < Number(count); i++) log.write(utf8(`{"name":"${name}","i":${i},"text":"${'x'.repeat(200)}"}\n`));
