// start(run, ahead): what TypeScript gives when it has been evaluated. Called once.
#include "engine.h"

static struct program given;
static bool is_given;

JSValue native_start(JSContext *ctx, JSValueConst this_val, int argc, JSValueConst *argv) {
  (void)this_val, (void)argc;
  if (!JS_IsFunction(ctx, argv[0]) || !JS_IsFunction(ctx, argv[1]))
    return JS_ThrowTypeError(ctx, "start() takes two functions");
  if (is_given)
    return JS_ThrowTypeError(ctx, "start() has been called");
  is_given = true;
  given = (struct program){JS_DupValue(ctx, argv[0]), JS_DupValue(ctx, argv[1])};
  return JS_UNDEFINED;
}

struct program started_program(void) {
  if (!is_given)
    fail("the process ended before its work did", "the program did not call start()");
  return given;
}
