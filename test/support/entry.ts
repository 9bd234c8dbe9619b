import { main } from '../../src/main.ts';

/** The process as both builds start it. */
main();
