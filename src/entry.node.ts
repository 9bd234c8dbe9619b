import { main } from './main.ts';
import { warmUp } from './warm-up.ts';

// The pkg build evaluates all modules at build time and starts from a snapshot of that heap: then the script that takes it has put this
// here. Without a snapshot (an executable for another processor) the same file simply runs.
const { startupSnapshot } = globalThis as { startupSnapshot?: typeof import('node:v8').startupSnapshot };
if (startupSnapshot) {
  startupSnapshot.setDeserializeMainFunction(main);
  warmUp();
} else {
  main();
}
