import { Call, dispatch, type Verbs, verbs } from './dispatch.ts';
import { processHost } from './host.ts';
import { nowMs } from './sys/clock.ts';

/**
 * The process: carries out one call and ends. Whatever happens, stdout gets one document at most, and the exit status is not 0 when
 * it is an error. Nothing is done before this function is called: a start-up snapshot holds the modules as they are then.
 */
export async function main(implementation: Verbs = verbs): Promise<void> {
  const host = processHost(nowMs());
  const call = new Call(host);
  let isOver = false;
  const end = (status: number): never => {
    isOver = true;
    return host.exit(status);
  };
  // What no promise or try can catch: an error in a callback of a library.
  process.on('uncaughtException', (error) => end(call.fail(error)));
  process.on('unhandledRejection', (error) => end(call.fail(error)));
  process.on('exit', () => {
    if (!isOver) end(call.fail(new Error('the process ended before its work did')));
  });
  end(await dispatch(host, call, implementation));
}
