import { Call, dispatch, type Verbs, verbs } from './dispatch.ts';
import { processHost } from './host.ts';

/**
 * The process: carries out one call and ends. Whatever happens, stdout gets one document at most, and the exit status is not 0 when
 * it is an error. Nothing is done before this function is called: a start-up snapshot holds the modules as they are then.
 */
export async function main(implementation: Verbs = verbs): Promise<void> {
  const host = processHost(performance.now());
  const call = new Call(host);
  // What no promise or try can catch: an error in a callback of a library.
  process.on('uncaughtException', (error) => exit(call.fail(error)));
  process.on('unhandledRejection', (error) => exit(call.fail(error)));
  process.on('exit', () => {
    if (!isOver) exit(call.fail(new Error('the process ended before its work did')));
  });
  exit(await dispatch(host, call, implementation));
}

let isOver = false;

/** Ends the process without taking its heap apart, which would take milliseconds. Nothing is pending: all writing is synchronous. */
function exit(status: number): never {
  isOver = true;
  // NB: not in Node's documentation, but what process.exit() ends with; Bun has it too.
  return (process as unknown as { reallyExit(status: number): never }).reallyExit(status);
}
