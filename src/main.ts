import { engine } from '#engine';
import { Call, dispatch } from './call.ts';
import { nowMs } from './linux/clock.ts';
import { processHost } from './process-host.ts';

// The process: one call, from the environment to the exit status. Whatever happens, stdout gets one document at most, and the exit status is
// not 0 when it is an error. Nothing is done before `run` is called: a start-up snapshot holds the modules as they are then.

let call: Call | undefined;

engine.start({
  run() {
    const host = processHost(nowMs());
    call = new Call(host);
    return dispatch(host, call);
  },
  defect: (error) => call?.fail(error) ?? 1,
  ahead: async () => (await import('./warm-up.ts')).warmUp(),
});
