// compile-bytecode DIRECTORY ENTRY MODULE...: makes bytecode of a bundle in DIRECTORY, by the QuickJS that will read
// it. ENTRY with all that it imports statically becomes ENTRY.hot, an array of modules; each other MODULE becomes
// MODULE.rare. KEEP_LINES=hot in the environment keeps the line numbers of the former, too.
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <quickjs.h>

static JSValue hot_modules;
static uint32_t hot_count;
static bool is_hot = true;

static _Noreturn void stop(const char *what, const char *name) {
  fprintf(stderr, "compile-bytecode: %s: %s\n", name, what);
  exit(1);
}

static _Noreturn void stop_with_exception(JSContext *ctx, const char *name) {
  JSValue exception = JS_GetException(ctx);
  const char *text = JS_ToCString(ctx, exception);
  stop(text ? text : "an exception", name);
}

static char *read_file(const char *name, size_t *length) {
  FILE *file = fopen(name, "rb");
  if (!file || fseek(file, 0, SEEK_END) != 0)
    stop("cannot be opened", name);
  long size = ftell(file);
  char *text = malloc((size_t)size + 1);
  rewind(file);
  if (!text || fread(text, 1, (size_t)size, file) != (size_t)size)
    stop("cannot be read", name);
  fclose(file);
  text[size] = 0; // JS_Eval() wants it
  *length = (size_t)size;
  return text;
}

static JSValue compile(JSContext *ctx, const char *name) {
  size_t length;
  char *text = read_file(name, &length);
  bool keeps_lines = !is_hot || strstr(text, "import(");
  JS_SetStripInfo(JS_GetRuntime(ctx), keeps_lines ? JS_STRIP_SOURCE : JS_STRIP_DEBUG);
  JSValue module = JS_Eval(ctx, text, length, name, JS_EVAL_TYPE_MODULE | JS_EVAL_FLAG_COMPILE_ONLY);
  free(text);
  if (JS_IsException(module))
    stop_with_exception(ctx, name);
  return module;
}

static void add_hot(JSContext *ctx, uint32_t index, JSValue module) {
  JS_DefinePropertyValueUint32(ctx, hot_modules, index, JS_DupValue(ctx, module), JS_PROP_C_W_E);
}

static int no_exports(JSContext *ctx, JSModuleDef *module) {
  (void)ctx, (void)module;
  return 0;
}

// A static import. Of what the executable brings along, and for a rare part of all others, only the name is needed
// here.
static JSModuleDef *load(JSContext *ctx, const char *name, void *opaque) {
  (void)opaque;
  if (!is_hot || strncmp(name, "tsbridge:", 9) == 0)
    return JS_NewCModule(ctx, name, no_exports);
  JSValue module = compile(ctx, name);
  add_hot(ctx, hot_count++, module);
  return JS_VALUE_GET_PTR(module);
}

// Stops unless the reader will use the bytecode where it lies: src/engine/quickjs/modules.c.
static void check_in_place(const uint8_t *bytes, size_t length, const char *name) {
  JSMemoryUsage usage;
  JSRuntime *rt = JS_NewRuntime();
  JSContext *ctx = JS_NewContextRaw(rt);
  if (JS_IsException(JS_ReadObject(ctx, bytes, length, JS_READ_OBJ_BYTECODE | JS_READ_OBJ_ROM_DATA)))
    stop_with_exception(ctx, name);
  JS_ComputeMemoryUsage(rt, &usage);
  if (usage.js_func_code_size != 0)
    stop("its bytecode would be copied at each start: names have other numbers there", name);
}

static void write_bytecode(JSContext *ctx, JSValueConst object, const char *name, const char *suffix) {
  size_t length;
  uint8_t *bytes = JS_WriteObject(ctx, &length, object, JS_WRITE_OBJ_BYTECODE);
  if (!bytes)
    stop_with_exception(ctx, name);
  char *path = malloc(strlen(name) + strlen(suffix) + 1);
  strcat(strcpy(path, name), suffix);
  if (is_hot)
    check_in_place(bytes, length, name);
  FILE *file = fopen(path, "wb");
  if (!file || fwrite(bytes, 1, length, file) != length || fclose(file) != 0)
    stop("cannot be written", path);
  free(path);
  js_free(ctx, bytes);
}

int main(int argc, char **argv) {
  JSRuntime *rt = JS_NewRuntime();
  JSContext *ctx = JS_NewContext(rt);
  if (argc < 3 || chdir(argv[1]) != 0)
    stop("usage: compile-bytecode DIRECTORY ENTRY MODULE...", "arguments");
  JS_SetModuleLoaderFunc(rt, NULL, load, NULL);
  hot_modules = JS_NewArray(ctx);

  // Name number one. QuickJS uses bytecode where it lies only if its names get the numbers in the reader that they had
  // here: the first ones after QuickJS's own, in the order in which they are met. But each context makes this one
  // itself, before anything can be read.
  JSValue name = JS_NewObject(ctx);
  JS_SetPropertyStr(ctx, name, "AggregateError", JS_NULL);
  add_hot(ctx, 0, name);
  hot_count = 2;
  add_hot(ctx, 1, compile(ctx, argv[2]));
  write_bytecode(ctx, hot_modules, argv[2], ".hot");

  is_hot = false;
  // Each in a context of its own, which knows nobody else's modules.
  for (int i = 3; i < argc; i++) {
    JSContext *own = JS_NewContext(rt);
    write_bytecode(own, compile(own, argv[i]), argv[i], ".rare");
  }
  return 0;
}
