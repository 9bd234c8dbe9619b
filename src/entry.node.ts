import { main } from './main.ts';

// The pkg build evaluates all modules at build time and starts from a snapshot of that heap. Without a snapshot (an
// executable for another processor) the same file simply runs.
const { startupSnapshot } = process.getBuiltinModule('node:v8');
if (startupSnapshot.isBuildingSnapshot()) startupSnapshot.setDeserializeMainFunction(main);
else main();
