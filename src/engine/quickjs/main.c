// The process: one call of the program, which ends it with the system call exit_group.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <unistd.h>

#include "snapshot.h"

// Whoever is started without stdin, stdout or stderr must not get a file of the store as one of them. Node.js does the
// same (PlatformInit, src/node.cc). Without /dev/null anything will do that can neither be read nor written. stdout can
// not be written either way: an answer that nobody gets must not be taken for given.
static void open_standard_descriptors(void) {
  struct pollfd standard[] = {{.fd = STDIN_FILENO}, {.fd = STDOUT_FILENO}, {.fd = STDERR_FILENO}};
  poll(standard, 3, 0);
  for (int i = 0; i < 3; i++) {
    if (standard[i].revents & POLLNVAL && open("/dev/null", i == STDOUT_FILENO ? O_RDONLY : O_RDWR) < 0)
      open("/", O_PATH);
  }
}

// How far the stack may grow, in bytes from here.
static size_t stack_size(void) {
  static const size_t most = 8 << 20; // also without a limit: 100,000 levels of JSON are an error
  struct rlimit limit;
  size_t size = most;
  if (getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur < most)
    size = limit.rlim_cur;
  // The limit counts from where the stack begins: there are the environment and the command line, the executable's name
  // above them.
  const char *here = __builtin_frame_address(0), *beginning = (const char *)getauxval(AT_EXECFN);
  size_t used = beginning > here ? (size_t)(beginning - here) : 0;
  // For functions in C that run between two checks of QuickJS's, and signal handlers.
  size_t margin = size / 4 < 128 * 1024 ? size / 4 : 128 * 1024;
  // NB: 0 would mean no limit at all to QuickJS.
  return used + margin < size ? size - used - margin : 1;
}

struct rejection {
  bool is_pending;
  JSValue promise, reason;
};

static void track_rejections(JSContext *ctx, JSValueConst promise, JSValueConst reason, JS_BOOL is_handled,
                             void *opaque) {
  struct rejection *first = opaque;
  if (!is_handled && !first->is_pending) {
    *first = (struct rejection){true, JS_DupValue(ctx, promise), JS_DupValue(ctx, reason)};
  } else if (is_handled && first->is_pending && JS_VALUE_GET_PTR(promise) == JS_VALUE_GET_PTR(first->promise)) {
    first->is_pending = false;
    JS_FreeValue(ctx, first->promise);
    JS_FreeValue(ctx, first->reason);
  }
}

// What the program uses of the language: neither Proxy nor WeakRef, nor String.normalize(). eval and the Function
// constructor only throw: no parser is linked.
static void add_intrinsics(JSContext *ctx) {
  JS_AddIntrinsicBaseObjects(ctx);
  JS_AddIntrinsicDate(ctx);
  JS_AddIntrinsicRegExp(ctx);
  JS_AddIntrinsicJSON(ctx);
  JS_AddIntrinsicMapSet(ctx);
  JS_AddIntrinsicTypedArrays(ctx);
  JS_AddIntrinsicPromise(ctx);
}

// Symbol.dispose, which QuickJS does not have yet: without it a class would get a method called "undefined".
static bool add_symbol_dispose(JSContext *ctx) {
  JSValue global = JS_GetGlobalObject(ctx);
  JSValue symbol = JS_GetPropertyStr(ctx, global, "Symbol");
  JSValue description = JS_NewString(ctx, "Symbol.dispose");
  JSValue dispose = JS_Call(ctx, symbol, JS_UNDEFINED, 1, (JSValueConst *)&description);
  bool is_good = !JS_IsException(dispose) && JS_DefinePropertyValueStr(ctx, symbol, "dispose", dispose, 0) >= 0;
  JS_FreeValue(ctx, description);
  JS_FreeValue(ctx, symbol);
  JS_FreeValue(ctx, global);
  return is_good;
}

// The entry of the program, ready to be evaluated.
static JSValue load_program(JSContext *ctx) {
  JSValue start = read_start(ctx);
  add_intrinsics(ctx);
  if (JS_IsException(start) || !add_symbol_dispose(ctx) || !native_module(ctx))
    return JS_EXCEPTION;
  JS_SetModuleLoaderFunc(JS_GetRuntime(ctx), NULL, load_module, NULL);
  JSValue entry = JS_GetPropertyUint32(ctx, start, 1);
  return JS_ResolveModule(ctx, entry) < 0 ? JS_EXCEPTION : entry;
}

static void run_jobs(JSRuntime *rt) {
  for (JSContext *its;;) {
    int status = JS_ExecutePendingJob(rt, &its);
    if (status < 0)
      fail_with_exception(its, "an error that nobody caught");
    if (status == 0)
      return;
  }
}

// The first promise that was rejected without anyone to handle it.
static struct rejection rejection;

// Everything that is the same in every process: the engine, and the program evaluated in it.
static struct program evaluate(JSRuntime **rt, JSContext **ctx) {
  *rt = new_runtime();
  *ctx = *rt ? JS_NewContextRaw(*rt) : NULL;
  if (!*ctx)
    fail("out of memory", "");
  // Reference counts free what is free; the process ends long before cycles matter.
  JS_SetGCThreshold(*rt, (size_t)-1);
  JS_SetMaxStackSize(*rt, stack_size());
  JS_SetHostPromiseRejectionTracker(*rt, track_rejections, &rejection);
  JSValue entry = load_program(*ctx);
  if (JS_IsException(entry) || JS_IsException(JS_EvalFunction(*ctx, entry)))
    fail_with_exception(*ctx, "the program cannot be started");
  run_jobs(*rt);
  return started_program();
}

// Calls one of the program's functions, without arguments.
static void call(JSContext *ctx, JSValueConst function) {
  if (JS_IsException(JS_Call(ctx, function, JS_UNDEFINED, 0, NULL)))
    fail_with_exception(ctx, "an error that nobody caught");
  run_jobs(JS_GetRuntime(ctx));
  if (rejection.is_pending)
    fail_with_value(ctx, "an error that nobody caught", rejection.reason);
}

int main(int argc, char **argv) {
  open_standard_descriptors();
  signal(SIGPIPE, SIG_IGN); // a reader that has gone is EPIPE, as in Node.js
  signal(SIGXFSZ, SIG_IGN); // and a file that may not grow (RLIMIT_FSIZE) is EFBIG
  keep_command_line(argc, argv);
  JSRuntime *rt = snapshot.rt;
  JSContext *ctx = snapshot.ctx;
  struct program program = snapshot.program;
  if (snapshot.is_taken) {
    JS_UpdateStackTop(rt);
    JS_SetMaxStackSize(rt, stack_size());
  } else {
    program = evaluate(&rt, &ctx);
    if (is_snapshot_wanted()) {
      call(ctx, program.ahead);
      write_snapshot(rt, ctx, program);
    }
  }
  call(ctx, program.run);
  fail("the process ended before its work did", "");
}
