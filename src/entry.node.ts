import { main } from './main.ts';
import { warmUp } from './warm-up.ts';

// The pkg build evaluates all modules at build time and starts from a snapshot of that heap. Without a snapshot (an
// executable for another processor) the same file simply runs.
const { startupSnapshot } = process.getBuiltinModule('node:v8');
if (startupSnapshot.isBuildingSnapshot()) {
  startupSnapshot.setDeserializeMainFunction(main);
  performance.now(); // loads ten modules of Node when it is first used: 3 ms
  warmUp();
} else {
  main();
}
