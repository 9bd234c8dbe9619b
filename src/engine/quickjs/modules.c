// The program's modules, out of the bytecode in this executable.
#include <string.h>

#include "blobs.h"
#include "engine.h"

// NB: with JS_READ_OBJ_ROM_DATA the bytecode is not copied, but used where it lies. QuickJS does so only if the names
// in it get the numbers that they had when it was made, the first ones after its own: it has to be read before anything
// else makes a name.
JSValue read_hot_modules(JSContext *ctx) {
  return JS_ReadObject(ctx, hot_modules.bytes, hot_modules.length, JS_READ_OBJ_BYTECODE | JS_READ_OBJ_ROM_DATA);
}

JSModuleDef *load_rare_module(JSContext *ctx, const char *name, void *opaque) {
  (void)opaque;
  for (size_t i = 0; i < rare_module_count; i++) {
    const struct blob *blob = &rare_modules[i];
    if (strcmp(blob->name, name) != 0)
      continue;
    JSValue module = JS_ReadObject(ctx, blob->bytes, blob->length, JS_READ_OBJ_BYTECODE);
    if (JS_IsException(module))
      return NULL;
    JS_FreeValue(ctx, module); // the context keeps it
    return JS_VALUE_GET_PTR(module);
  }
  JS_ThrowReferenceError(ctx, "there is no module '%s' in this executable", name);
  return NULL;
}
