// What the process was started with: its environment and its command line.
#include <string.h>
#include <unistd.h>

#include "engine.h"

extern char **environ;

static int word_count;
static char **words;

void keep_command_line(int argc, char **argv) {
  word_count = argc;
  words = argv;
}

bool is_only_word(const char *word) {
  return word_count == 2 && strcmp(words[1], word) == 0;
}

// args(): the words after the executable's name.
JSValue native_args(JSContext *ctx, JSValueConst this_val, int argc, JSValueConst *argv) {
  (void)this_val, (void)argc, (void)argv;
  JSValue list = JS_NewArray(ctx);
  if (JS_IsException(list))
    return JS_EXCEPTION;
  for (int i = 1; i < word_count; i++) {
    JSValue word = js_string(ctx, words[i], strlen(words[i]));
    if (JS_IsException(word) || JS_DefinePropertyValueUint32(ctx, list, (uint32_t)i - 1, word, JS_PROP_C_W_E) < 0) {
      JS_FreeValue(ctx, list);
      return JS_EXCEPTION;
    }
  }
  return list;
}

// environment(): an object without a prototype, from names to values.
JSValue native_environment(JSContext *ctx, JSValueConst this_val, int argc, JSValueConst *argv) {
  (void)this_val, (void)argc, (void)argv;
  size_t count = 0;
  JSValue variables = JS_NewObjectProto(ctx, JS_NULL);
  if (JS_IsException(variables))
    return JS_EXCEPTION;
  while (environ[count])
    count++;
  // Backwards: of two variables of one name the first one counts, as for getenv(3).
  while (count > 0) {
    const char *variable = environ[--count];
    const char *equals = strchr(variable, '=');
    if (!equals || equals == variable)
      continue;
    JSValue name = js_string(ctx, variable, (size_t)(equals - variable));
    JSValue value = js_string(ctx, equals + 1, strlen(equals + 1));
    JSAtom key = JS_IsException(name) ? JS_ATOM_NULL : JS_ValueToAtom(ctx, name);
    JS_FreeValue(ctx, name);
    if (key == JS_ATOM_NULL || JS_IsException(value)) {
      JS_FreeValue(ctx, value);
      JS_FreeAtom(ctx, key);
      goto exception;
    }
    int status = JS_DefinePropertyValue(ctx, variables, key, value, JS_PROP_C_W_E);
    JS_FreeAtom(ctx, key);
    if (status < 0)
      goto exception;
  }
  return variables;
exception:
  JS_FreeValue(ctx, variables);
  return JS_EXCEPTION;
}
