// compile-bytecode together DIRECTORY FILE MODULE...: makes bytecode of modules of a bundle in DIRECTORY, by the
// QuickJS that will read it. FILE becomes an array of the MODULEs, the program's entry first, and of all that they
// import statically: what a process reads at its start. compile-bytecode apart DIRECTORY MODULE...: each MODULE becomes
// MODULE.apart, which is read when it is asked for.
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <quickjs.h>

static JSValue together; // undefined: apart
static uint32_t count;

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
  bool keeps_lines = JS_IsUndefined(together) || strstr(text, "import(");
  JS_SetStripInfo(JS_GetRuntime(ctx), keeps_lines ? JS_STRIP_SOURCE : JS_STRIP_DEBUG);
  JSValue module = JS_Eval(ctx, text, length, name, JS_EVAL_TYPE_MODULE | JS_EVAL_FLAG_COMPILE_ONLY);
  free(text);
  if (JS_IsException(module))
    stop_with_exception(ctx, name);
  return module;
}

static void add(JSContext *ctx, JSValue element) {
  JS_DefinePropertyValueUint32(ctx, together, count++, JS_DupValue(ctx, element), JS_PROP_C_W_E);
}

static int no_exports(JSContext *ctx, JSModuleDef *module) {
  (void)ctx, (void)module;
  return 0;
}

// A static import. Of what the executable brings along, and for a module apart of all others, only the name is needed
// here.
static JSModuleDef *load(JSContext *ctx, const char *name, void *opaque) {
  (void)opaque;
  if (JS_IsUndefined(together) || strncmp(name, "tsbridge:", 9) == 0)
    return JS_NewCModule(ctx, name, no_exports);
  JSValue module = compile(ctx, name);
  add(ctx, module);
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

static void write_bytecode(JSContext *ctx, JSValueConst object, const char *path) {
  size_t length;
  uint8_t *bytes = JS_WriteObject(ctx, &length, object, JS_WRITE_OBJ_BYTECODE);
  if (!bytes)
    stop_with_exception(ctx, path);
  if (!JS_IsUndefined(together))
    check_in_place(bytes, length, path);
  FILE *file = fopen(path, "wb");
  if (!file || fwrite(bytes, 1, length, file) != length || fclose(file) != 0)
    stop("cannot be written", path);
  js_free(ctx, bytes);
}

// Name number one. QuickJS uses bytecode where it lies only if its names get the numbers in the reader that they had
// here: the first ones after QuickJS's own, in the order in which they are met. But each context makes this one itself,
// before anything can be read.
static JSValue name_number_one(JSContext *ctx) {
  JSValue name = JS_NewObject(ctx);
  JS_SetPropertyStr(ctx, name, "AggregateError", JS_NULL);
  return name;
}

// Whether a module has been added: another one may import it.
static bool is_there(JSContext *ctx, const char *name) {
  JSAtom wanted = JS_NewAtom(ctx, name);
  bool found = false;
  for (uint32_t i = 1; i < count && !found; i++) {
    JSValue module = JS_GetPropertyUint32(ctx, together, i);
    JSAtom its = JS_GetModuleName(ctx, JS_VALUE_GET_PTR(module));
    found = its == wanted;
    JS_FreeAtom(ctx, its);
    JS_FreeValue(ctx, module);
  }
  JS_FreeAtom(ctx, wanted);
  return found;
}

int main(int argc, char **argv) {
  JSRuntime *rt = JS_NewRuntime();
  bool is_together = argc > 4 && strcmp(argv[1], "together") == 0;
  if (!(is_together || (argc > 2 && strcmp(argv[1], "apart") == 0)) || chdir(argv[2]) != 0)
    stop("usage: compile-bytecode together DIRECTORY FILE MODULE... | apart DIRECTORY MODULE...", "arguments");
  JS_SetModuleLoaderFunc(rt, NULL, load, NULL);
  together = JS_UNDEFINED;
  if (is_together) {
    JSContext *ctx = JS_NewContext(rt);
    together = JS_NewArray(ctx);
    add(ctx, name_number_one(ctx));
    for (int i = 4; i < argc; i++) {
      if (is_there(ctx, argv[i]))
        continue;
      // NB: what it imports is compiled, and added, meanwhile; it comes before that.
      uint32_t index = count++;
      JS_DefinePropertyValueUint32(ctx, together, index, compile(ctx, argv[i]), JS_PROP_C_W_E);
    }
    write_bytecode(ctx, together, argv[3]);
    return 0;
  }
  // Each in a context of its own, which knows nobody else's modules.
  for (int i = 3; i < argc; i++) {
    char path[1024];
    JSContext *own = JS_NewContext(rt);
    snprintf(path, sizeof path, "%s.apart", argv[i]);
    write_bytecode(own, compile(own, argv[i]), path);
  }
  return 0;
}
