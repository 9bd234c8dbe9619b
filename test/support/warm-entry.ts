import { main } from '../../src/main.ts';
import { warmUp } from '../../src/engine/node/warm-up.ts';

/** The entry of a start-up snapshot that has done what every call does. */
const { startupSnapshot } = process.getBuiltinModule('node:v8');
startupSnapshot.setDeserializeMainFunction(main);
warmUp();
