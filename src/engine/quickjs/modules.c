// The program's modules, out of the bytecode in this executable.
#include <stdlib.h>
#include <string.h>

#include "blobs.h"
#include "engine.h"

// What this process will evaluate, for all that can be told before the program runs. Whatever else it turns out to need
// is read then: a wrong guess costs time only.
static const struct blob *start(void) {
  const char *command = getenv("CNI_COMMAND");
  size_t i = 0;
  while (i + 1 < start_count && (!command || strcmp(starts[i].name, command) != 0))
    i++;
  return &starts[i];
}

// NB: with JS_READ_OBJ_ROM_DATA the bytecode is not copied, but used where it lies. QuickJS does so only if the names
// in it get the numbers that they had when it was made, the first ones after its own: it has to be read before anything
// else makes a name.
JSValue read_start(JSContext *ctx) {
  const struct blob *blob = start();
  return JS_ReadObject(ctx, blob->bytes, blob->length, JS_READ_OBJ_BYTECODE | JS_READ_OBJ_ROM_DATA);
}

// NULL with an exception pending when memory runs out.
static JSModuleDef *read_packed(JSContext *ctx, const struct blob *blob) {
  uint8_t *bytes = js_malloc(ctx, blob->unpacked);
  if (!bytes)
    return NULL;
  if (unpack(blob->bytes, blob->length, bytes, blob->unpacked) != blob->unpacked)
    fail("a module of this executable is damaged", blob->name);
  JSValue module = JS_ReadObject(ctx, bytes, blob->unpacked, JS_READ_OBJ_BYTECODE);
  js_free(ctx, bytes); // it has been copied
  if (JS_IsException(module))
    return NULL;
  JS_FreeValue(ctx, module); // the context keeps it
  return JS_VALUE_GET_PTR(module);
}

// QuickJS asks only for what has not been read yet.
JSModuleDef *load_module(JSContext *ctx, const char *name, void *opaque) {
  (void)opaque;
  for (size_t i = 0; i < module_count; i++)
    if (strcmp(modules[i].name, name) == 0)
      return read_packed(ctx, &modules[i]);
  JS_ThrowReferenceError(ctx, "there is no module '%s' in this executable", name);
  return NULL;
}
