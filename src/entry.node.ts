// What nearly every call needs is evaluated when the snapshot is taken, and not at each start.
import './cni/parse-netconf.ts';
import './cni/result-format.ts';
import './verbs/add.ts';
import './verbs/check.ts';
import './verbs/del.ts';
import './verbs/status.ts';
import { main } from './main.ts';

// The pkg build evaluates all modules at build time and starts from a snapshot of that heap. Without a snapshot (an
// executable for another processor) the same file simply runs.
const { startupSnapshot } = process.getBuiltinModule('node:v8');
if (startupSnapshot.isBuildingSnapshot()) {
  performance.now(); // loads ten modules of Node when it is first used: 3 ms
  startupSnapshot.setDeserializeMainFunction(main);
} else {
  main();
}
