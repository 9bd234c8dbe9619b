// Checks of what TypeScript passes to a native function.
#include <math.h>

#include "engine.h"

bool integer_argument(JSContext *ctx, JSValueConst value, const char *role, int64_t minimum, int64_t maximum,
                      int64_t *integer) {
  double number;
  if (!JS_IsNumber(value)) {
    JS_ThrowTypeError(ctx, "%s must be a number", role);
    return false;
  }
  if (JS_ToFloat64(ctx, &number, value) < 0)
    return false;
  // NaN compares with nothing, so it ends here, too.
  if (!(number >= (double)minimum && number <= (double)maximum && number == trunc(number))) {
    JS_ThrowRangeError(ctx, "%s must be an integer from %lld to %lld", role, (long long)minimum, (long long)maximum);
    return false;
  }
  *integer = (int64_t)number;
  return true;
}

bool bytes_argument(JSContext *ctx, JSValueConst value, const char *role, uint8_t **bytes, size_t *length) {
  size_t offset, size;
  JSValue buffer = JS_GetTypedArrayBuffer(ctx, value, &offset, length, NULL);
  if (JS_IsException(buffer)) {
    JS_FreeValue(ctx, JS_GetException(ctx));
    JS_ThrowTypeError(ctx, "%s must be a typed array", role);
    return false;
  }
  uint8_t *start = JS_GetArrayBuffer(ctx, &size, buffer);
  JS_FreeValue(ctx, buffer); // the array keeps it
  if (!start)
    return false; // a TypeError is pending: the buffer is detached
  if (offset > size || *length > size - offset) {
    JS_ThrowTypeError(ctx, "%s lies outside of its buffer", role);
    return false;
  }
  *bytes = start + offset;
  return true;
}

bool length_argument(JSContext *ctx, JSValueConst value, const char *role, uint32_t maximum, uint32_t *length) {
  int64_t count;
  int is_array = JS_IsArray(ctx, value);
  if (is_array < 0)
    return false;
  if (!is_array) {
    JS_ThrowTypeError(ctx, "%s must be an array", role);
    return false;
  }
  JSValue number = JS_GetPropertyStr(ctx, value, "length");
  bool is_good = !JS_IsException(number) && integer_argument(ctx, number, role, 0, maximum, &count);
  JS_FreeValue(ctx, number);
  if (is_good)
    *length = (uint32_t)count;
  return is_good;
}
