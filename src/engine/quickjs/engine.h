// What the files of the QuickJS engine's C share. Each file is one concept; native.c lists what TypeScript sees of
// them.
#ifndef TSBRIDGE_ENGINE_H
#define TSBRIDGE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quickjs.h>

// A function of the module "tsbridge:native".
typedef JSValue native_function(JSContext *ctx, JSValueConst this_val, int argc, JSValueConst *argv);

native_function native_syscall;      // syscall.c
native_function native_encode;       // text.c
native_function native_decode;       // text.c
native_function native_hash64;       // hash.c
native_function native_environment;  // environment.c
native_function native_args;         // environment.c
native_function native_hold_signals; // signals.c
native_function native_seen_signal;  // signals.c
native_function native_catch_alarm;  // signals.c
native_function native_spawn;        // spawn.c
native_function native_send_aside;   // aside.c
native_function native_start;        // start.c

// environment.c: keeps what main() was given; then, whether the command line is this one word.
void keep_command_line(int argc, char **argv);
bool is_only_word(const char *word);

// native.c: makes "tsbridge:native" known to the context. Gives NULL with an exception pending when memory runs out.
JSModuleDef *native_module(JSContext *ctx);

// memory.c: NULL when memory runs out.
JSRuntime *new_runtime(void);

// What TypeScript has given to start(): start.c.
struct program {
  JSValue run;   // does the work, of one process
  JSValue ahead; // work that is the same in every process; a promise
};

struct program started_program(void);

// snapshot.c: whether the build runs this process, to get a snapshot.
bool is_snapshot_wanted(void);
// Gives the heap of this process, when the program has been evaluated, to the build. Ends the process.
void write_snapshot(JSRuntime *rt, JSContext *ctx, struct program program);
// Makes pages that are about to be written, at once: a fault for each would take a tenth of the time.
void prefault(void *start, size_t length);

// modules.c: the program, out of the bytecode in this executable.
JSValue read_start(JSContext *ctx);
JSModuleDef *load_module(JSContext *ctx, const char *name, void *opaque);

// unpack.c: undoes scripts/static/pack.ts. Gives how many bytes it has written, 0 when there is not room enough or the
// packed ones are damaged.
size_t unpack(const uint8_t *packed, size_t length, uint8_t *bytes, size_t room);

// failure.c: ends the process. `what` is one of our own sentences; the pending exception, or the given one, is the
// details.
_Noreturn void fail(const char *what, const char *details);
_Noreturn void fail_with_exception(JSContext *ctx, const char *what);
_Noreturn void fail_with_value(JSContext *ctx, const char *what, JSValueConst reason);

// text.c

// The characters of a string as UTF-8 with a NUL behind them, lone surrogates as U+FFFD; JS_FreeCString() frees them.
// NULL with a TypeError pending when it is no string, or when it has a NUL in it, at which the kernel would cut it off.
const char *c_string(JSContext *ctx, JSValueConst value, const char *role);
// The other way round, whatever the bytes are: what is not UTF-8 becomes U+FFFD.
JSValue js_string(JSContext *ctx, const char *bytes, size_t length);

// arguments.c: each throws a TypeError or RangeError, which names the argument by its role, and gives false.

// A number without a fraction, from minimum to maximum.
bool integer_argument(JSContext *ctx, JSValueConst value, const char *role, int64_t minimum, int64_t maximum,
                      int64_t *integer);
// The bytes that a typed array shows. They stay where they are as long as the array is alive and JavaScript does not
// run.
bool bytes_argument(JSContext *ctx, JSValueConst value, const char *role, uint8_t **bytes, size_t *length);
// How many elements an array has, at most `maximum`.
bool length_argument(JSContext *ctx, JSValueConst value, const char *role, uint32_t maximum, uint32_t *length);

#endif
