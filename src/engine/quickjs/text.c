// UTF-8, both ways, as the WHATWG's encoder and decoder have it — https://encoding.spec.whatwg.org/#utf-8
#include <string.h>

#include "engine.h"

static const char replacement[] = "\xEF\xBF\xBD"; // U+FFFD
enum { replacement_length = sizeof replacement - 1 };

// QuickJS writes a lone surrogate as the three bytes that UTF-8 forbids, ED A0..BF xx. U+FFFD takes three as well.
static void replace_surrogates(char *text, size_t length) {
  for (char *at = text; (at = memchr(at, '\xED', length - (size_t)(at - text))); at++) {
    if ((uint8_t)at[1] >= 0xA0) // no \xED is the last byte of what QuickJS writes
      memcpy(at, replacement, replacement_length);
  }
}

const char *c_string(JSContext *ctx, JSValueConst value, const char *role) {
  size_t length;
  if (!JS_IsString(value)) {
    JS_ThrowTypeError(ctx, "%s must be a string", role);
    return NULL;
  }
  const char *text = JS_ToCStringLen(ctx, &length, value);
  if (!text)
    return NULL;
  if (strlen(text) != length) {
    JS_FreeCString(ctx, text);
    JS_ThrowTypeError(ctx, "%s must not have a NUL in it", role);
    return NULL;
  }
  // NB: const, because of a string that is all ASCII QuickJS gives the characters themselves. Then nothing is replaced
  // here.
  replace_surrogates((char *)text, length);
  return text;
}

// How many bytes from `at` on make one character, or are the start of one that does not go on (then `*is_valid` is
// false): the decoder puts one U+FFFD in the place of each such start. Unicode, table 3-7 (well-formed UTF-8 byte
// sequences).
static size_t sequence(const uint8_t *at, const uint8_t *end, bool *is_valid) {
  uint8_t lead = at[0], low = 0x80, high = 0xBF;
  size_t more, length = 1;
  *is_valid = true;
  if (lead < 0x80)
    return 1;
  *is_valid = false;
  if (lead < 0xC2 || lead > 0xF4)
    return 1;
  more = lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
  if (lead == 0xE0)
    low = 0xA0; // an overlong form
  else if (lead == 0xED)
    high = 0x9F; // surrogates
  else if (lead == 0xF0)
    low = 0x90;
  else if (lead == 0xF4)
    high = 0x8F; // beyond U+10FFFF
  for (; more > 0; more--, length++) {
    if (at + length == end || at[length] < low || at[length] > high)
      return length;
    low = 0x80;
    high = 0xBF;
  }
  *is_valid = true;
  return length;
}

// The length of the same text with U+FFFD for what is not UTF-8; writes it when `output` is not NULL.
static size_t repair(const uint8_t *bytes, size_t length, char *output, bool *is_valid) {
  const uint8_t *end = bytes + length;
  size_t written = 0;
  *is_valid = true;
  for (const uint8_t *at = bytes; at < end;) {
    bool is_character;
    size_t step = sequence(at, end, &is_character);
    const void *from = is_character ? (const void *)at : replacement;
    size_t size = is_character ? step : replacement_length;
    *is_valid &= is_character;
    if (output)
      memcpy(output + written, from, size);
    written += size;
    at += step;
  }
  return written;
}

static JSValue decode(JSContext *ctx, const uint8_t *bytes, size_t length, bool is_fatal) {
  bool is_valid;
  size_t repaired_length = repair(bytes, length, NULL, &is_valid);
  if (is_valid)
    return JS_NewStringLen(ctx, (const char *)bytes, length);
  if (is_fatal)
    return JS_ThrowTypeError(ctx, "the bytes are not UTF-8");
  char *repaired = js_malloc(ctx, repaired_length);
  if (!repaired)
    return JS_EXCEPTION;
  repair(bytes, length, repaired, &is_valid);
  JSValue text = JS_NewStringLen(ctx, repaired, repaired_length);
  js_free(ctx, repaired);
  return text;
}

JSValue js_string(JSContext *ctx, const char *bytes, size_t length) {
  return decode(ctx, (const uint8_t *)bytes, length, false);
}

// encode(text): a Uint8Array.
JSValue native_encode(JSContext *ctx, JSValueConst this_val, int argc, JSValueConst *argv) {
  (void)this_val, (void)argc;
  size_t length;
  if (!JS_IsString(argv[0]))
    return JS_ThrowTypeError(ctx, "the text to encode must be a string");
  const char *text = JS_ToCStringLen(ctx, &length, argv[0]);
  if (!text)
    return JS_EXCEPTION;
  JSValue buffer = JS_NewArrayBufferCopy(ctx, (const uint8_t *)text, length);
  JS_FreeCString(ctx, text);
  if (JS_IsException(buffer))
    return JS_EXCEPTION;
  size_t size;
  uint8_t *copy = JS_GetArrayBuffer(ctx, &size, buffer);
  if (copy)
    replace_surrogates((char *)copy, size);
  // NB: it reads three, whatever is said to be there: buffer, offset, length.
  JSValueConst arguments[] = {buffer, JS_UNDEFINED, JS_UNDEFINED};
  JSValue bytes = JS_NewTypedArray(ctx, 3, arguments, JS_TYPED_ARRAY_UINT8);
  JS_FreeValue(ctx, buffer);
  return bytes;
}

// decode(bytes, fatal): a string. A byte order mark stays.
JSValue native_decode(JSContext *ctx, JSValueConst this_val, int argc, JSValueConst *argv) {
  (void)this_val, (void)argc;
  uint8_t *bytes;
  size_t length;
  if (!JS_IsBool(argv[1]))
    return JS_ThrowTypeError(ctx, "fatal must be true or false");
  if (!bytes_argument(ctx, argv[0], "the bytes to decode", &bytes, &length))
    return JS_EXCEPTION;
  return decode(ctx, bytes, length, JS_ToBool(ctx, argv[1]));
}
