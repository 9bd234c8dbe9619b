// Signals that are only remembered: TypeScript asks for them between two steps of its work.
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "engine.h"

static volatile sig_atomic_t seen;
static volatile sig_atomic_t is_alarm_caught;

static void remember(int number) {
  if (seen == 0)
    seen = number;
  // A system call that is about to wait has not been ended by this signal: the alarm will.
  if (is_alarm_caught)
    alarm(1);
}

// holdSignals(numbers): from now on.
JSValue native_hold_signals(JSContext *ctx, JSValueConst this_val, int argc, JSValueConst *argv) {
  (void)this_val, (void)argc;
  // Without SA_RESTART: a system call that waits ends with EINTR.
  struct sigaction action = {.sa_handler = remember};
  sigset_t signals;
  uint32_t count;
  sigemptyset(&signals);
  sigfillset(&action.sa_mask);
  if (!length_argument(ctx, argv[0], "the list of signals", 64, &count))
    return JS_EXCEPTION;
  for (uint32_t i = 0; i < count; i++) {
    int64_t number;
    JSValue element = JS_GetPropertyUint32(ctx, argv[0], i);
    bool is_good = !JS_IsException(element) && integer_argument(ctx, element, "a signal", 1, 64, &number);
    JS_FreeValue(ctx, element);
    if (!is_good)
      return JS_EXCEPTION;
    if (sigaction((int)number, &action, NULL) < 0)
      return JS_ThrowRangeError(ctx, "signal %d cannot be held: %s", (int)number, strerror(errno));
    sigaddset(&signals, (int)number);
  }
  // Whoever started this process may have left them blocked.
  sigprocmask(SIG_UNBLOCK, &signals, NULL);
  return JS_UNDEFINED;
}

static void do_nothing(int number) {
  (void)number;
}

// catchAlarm(): SIGALRM ends a system call that waits, and does nothing else. One comes a second after each signal that
// is held.
JSValue native_catch_alarm(JSContext *ctx, JSValueConst this_val, int argc, JSValueConst *argv) {
  (void)ctx, (void)this_val, (void)argc, (void)argv;
  struct sigaction action = {.sa_handler = do_nothing};
  sigset_t signals;
  sigaction(SIGALRM, &action, NULL);
  is_alarm_caught = 1;
  sigemptyset(&signals);
  sigaddset(&signals, SIGALRM);
  sigprocmask(SIG_UNBLOCK, &signals, NULL);
  return JS_UNDEFINED;
}

// seenSignal(): the first one that came, or 0.
JSValue native_seen_signal(JSContext *ctx, JSValueConst this_val, int argc, JSValueConst *argv) {
  (void)this_val, (void)argc, (void)argv;
  return JS_NewInt32(ctx, seen);
}
