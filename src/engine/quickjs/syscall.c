// Any system call. What it means, what its answer means, and whether a buffer is as long as its length says, is
// TypeScript's business (src/linux/): here is only what the language cannot do.
#include <errno.h>
#include <unistd.h>

#include "engine.h"

enum { max_arguments = 6 };
// Beyond it a number in JavaScript has no exact value.
static const int64_t max_safe_integer = ((int64_t)1 << 53) - 1;

// One argument as the kernel takes it. `text` is set when it has to be freed.
static bool kernel_argument(JSContext *ctx, JSValueConst value, long *argument, const char **text) {
  static const char role[] = "an argument of a system call";
  uint8_t *bytes;
  size_t length;
  int64_t integer;
  if (JS_IsNumber(value)) {
    if (!integer_argument(ctx, value, role, -max_safe_integer, max_safe_integer, &integer))
      return false;
    *argument = integer;
  } else if (JS_IsString(value)) {
    *text = c_string(ctx, value, role);
    if (!*text)
      return false;
    *argument = (long)*text;
  } else if (JS_IsNull(value)) {
    *argument = 0;
  } else {
    if (!bytes_argument(ctx, value, role, &bytes, &length))
      return false;
    *argument = (long)bytes;
  }
  return true;
}

// syscall(number, ...args): the kernel's answer as it is, -errno when it failed.
JSValue native_syscall(JSContext *ctx, JSValueConst this_val, int argc, JSValueConst *argv) {
  (void)this_val;
  long arguments[max_arguments] = {0};
  const char *texts[max_arguments] = {NULL};
  JSValue result = JS_EXCEPTION;
  int64_t number;
  if (argc > 1 + max_arguments)
    return JS_ThrowTypeError(ctx, "a system call takes %d arguments at most", max_arguments);
  if (!integer_argument(ctx, argv[0], "the number of a system call", 0, INT32_MAX, &number))
    return JS_EXCEPTION;
  for (int i = 1; i < argc; i++) {
    if (!kernel_argument(ctx, argv[i], &arguments[i - 1], &texts[i - 1]))
      goto done;
  }
  long answer = syscall(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
  result = JS_NewInt64(ctx, answer == -1 ? -errno : answer);
done:
  for (int i = 0; i < max_arguments; i++)
    JS_FreeCString(ctx, texts[i]);
  return result;
}
