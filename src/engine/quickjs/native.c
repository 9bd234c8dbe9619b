// The module "tsbridge:native": all that TypeScript gets from C. native.d.ts beside this file says it in types.
#include "engine.h"

#if defined(__x86_64__)
static const char machine[] = "x64";
#elif defined(__aarch64__)
static const char machine[] = "arm64";
#else
#error "src/linux/ knows the system calls of x86-64 and arm64"
#endif

// NB: QuickJS fills up missing arguments with undefined, to the length that stands here.
// clang-format off
static const JSCFunctionListEntry exports[] = {
    JS_PROP_STRING_DEF("machine", machine, 0),
    JS_CFUNC_DEF("environment", 0, native_environment),
    JS_CFUNC_DEF("syscall", 1, native_syscall),
    JS_CFUNC_DEF("encode", 1, native_encode),
    JS_CFUNC_DEF("decode", 2, native_decode),
    JS_CFUNC_DEF("hash64", 1, native_hash64),
    JS_CFUNC_DEF("holdSignals", 1, native_hold_signals),
    JS_CFUNC_DEF("seenSignal", 0, native_seen_signal),
    JS_CFUNC_DEF("catchAlarm", 0, native_catch_alarm),
    JS_CFUNC_DEF("spawn", 5, native_spawn),
    JS_CFUNC_DEF("sendAside", 2, native_send_aside),
    JS_CFUNC_DEF("args", 0, native_args),
    JS_CFUNC_DEF("start", 2, native_start),
};
// clang-format on
enum { export_count = sizeof exports / sizeof exports[0] };

static int initialize(JSContext *ctx, JSModuleDef *module) {
  return JS_SetModuleExportList(ctx, module, exports, export_count);
}

JSModuleDef *native_module(JSContext *ctx) {
  JSModuleDef *module = JS_NewCModule(ctx, "tsbridge:native", initialize);
  if (!module || JS_AddModuleExportList(ctx, module, exports, export_count) < 0)
    return NULL;
  return module;
}
