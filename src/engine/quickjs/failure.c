// The end of a process whose TypeScript cannot speak for itself: memory ran out, or an error went past it. A runtime
// reads one document of the protocol on stdout then, too — SPEC "Error".
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine.h"

// NB: nothing here allocates, or asks the engine for anything that it could not refuse.
enum { longest_escape = 6, tail_room = 16, write_timeout_ms = 10 * 1000 };
static char document[32 * 1024];
static size_t written;

static void put(const char *text) {
  size_t length = strlen(text);
  if (length > sizeof document - written)
    length = sizeof document - written;
  memcpy(document + written, text, length);
  written += length;
}

// A JSON string — RFC 8259 §7 — of UTF-8 as QuickJS writes it, with lone surrogates. What does not fit is left away,
// never half a character.
static void put_string(const char *text) {
  static const char digits[] = "0123456789abcdef";
  put("\"");
  for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
    bool is_start = (*at & 0xC0) != 0x80; // of a character
    if (is_start && sizeof document - written < longest_escape + tail_room)
      break;
    if (*at < 0x20) {
      put((char[]){'\\', 'u', '0', '0', digits[*at >> 4], digits[*at & 15], 0});
    } else if (*at == '"' || *at == '\\') {
      put((char[]){'\\', (char)*at, 0});
    } else if (*at == 0xED && at[1] >= 0xA0) {
      put("\xEF\xBF\xBD"); // U+FFFD for a surrogate
      at += at[2] ? 2 : 1;
    } else {
      put((char[]){(char)*at, 0});
    }
  }
  put("\"");
}

static void write_all(int fd) {
  for (size_t at = 0; at < written;) {
    ssize_t count = write(fd, document + at, written - at);
    if (count >= 0) {
      at += (size_t)count;
    } else if (errno == EAGAIN) {
      struct pollfd reader = {.fd = fd, .events = POLLOUT};
      if (poll(&reader, 1, write_timeout_ms) == 0)
        return;
    } else if (errno != EINTR) {
      return;
    }
  }
}

_Noreturn void fail(const char *what, const char *details) {
  bool has_caller = getenv("CNI_COMMAND") != NULL;
  written = 0;
  if (has_caller) {
    put("{\"cniVersion\":\"1.1.0\",\"code\":999,\"msg\":");
    put_string(what);
    put(",\"details\":");
    put_string(details);
    put("}\n");
  } else {
    put("tsbridge: ");
    put(what);
    put(*details ? ": " : "");
    put(details);
    put("\n");
  }
  write_all(has_caller ? STDOUT_FILENO : STDERR_FILENO);
  _exit(1);
}

// The text of a value, as far as memory and its toString() allow.
static const char *text_of(JSContext *ctx, JSValueConst value) {
  const char *text = JS_ToCString(ctx, value);
  if (!text)
    JS_FreeValue(ctx, JS_GetException(ctx));
  return text ? text : "";
}

_Noreturn void fail_with_value(JSContext *ctx, const char *what, JSValueConst reason) {
  static char details[16 * 1024];
  JSValue stack = JS_IsObject(reason) ? JS_GetPropertyStr(ctx, reason, "stack") : JS_UNDEFINED;
  const char *parts[] = {text_of(ctx, reason), JS_IsString(stack) ? "\n" : "",
                         JS_IsString(stack) ? text_of(ctx, stack) : ""};
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
    strncat(details, parts[i], sizeof details - strlen(details) - 1);
  fail(what, details);
}

_Noreturn void fail_with_exception(JSContext *ctx, const char *what) {
  fail_with_value(ctx, what, JS_GetException(ctx));
}
