// send(2) on a thread of its own: the kernel removes interfaces while the caller goes on.
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "engine.h"

// A transfer under way. It owns a copy of the bytes: the caller may write into his.
struct transfer {
  pthread_t thread;
  bool is_running;
  int fd;
  ssize_t result; // bytes sent or -errno
  size_t length;
  uint8_t bytes[];
};

enum { stack_size = 64 * 1024 };

static JSClassID transfer_class;

static void carry_out(struct transfer *transfer) {
  ssize_t sent = send(transfer->fd, transfer->bytes, transfer->length, 0);
  transfer->result = sent < 0 ? -errno : sent;
}

static void *thread_main(void *transfer) {
  carry_out(transfer);
  return NULL;
}

// The new thread has the namespaces of the calling one — clone(2). Gives false if there can be none.
static bool start_thread(struct transfer *transfer) {
  pthread_attr_t attributes;
  sigset_t all, before;
  if (pthread_attr_init(&attributes))
    return false;
  pthread_attr_setstacksize(&attributes, stack_size);
  // Signals are for the main thread, whose waiting they end.
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = pthread_create(&transfer->thread, &attributes, thread_main, transfer);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
  return error == 0;
}

static void finish(struct transfer *transfer) {
  if (transfer->is_running)
    pthread_join(transfer->thread, NULL);
  transfer->is_running = false;
}

static void finalize(JSRuntime *rt, JSValue object) {
  struct transfer *transfer = JS_GetOpaque(object, transfer_class);
  (void)rt;
  if (!transfer)
    return;
  finish(transfer); // NB: it reads the bytes until then
  free(transfer);
}

static const JSClassDef transfer_definition = {.class_name = "Transfer", .finalizer = finalize};

// The function that sendAside() gives.
static JSValue wait_for_end(JSContext *ctx, JSValueConst this_val, int argc, JSValueConst *argv, int magic,
                            JSValue *data) {
  (void)this_val, (void)argc, (void)argv, (void)magic;
  struct transfer *transfer = JS_GetOpaque2(ctx, data[0], transfer_class);
  if (!transfer)
    return JS_EXCEPTION;
  finish(transfer);
  return JS_NewInt64(ctx, transfer->result);
}

// An object that owns the transfer.
static JSValue owner(JSContext *ctx, struct transfer *transfer) {
  JSRuntime *rt = JS_GetRuntime(ctx);
  JS_NewClassID(&transfer_class);
  if (!JS_IsRegisteredClass(rt, transfer_class) && JS_NewClass(rt, transfer_class, &transfer_definition) < 0)
    return JS_EXCEPTION;
  JSValue object = JS_NewObjectProtoClass(ctx, JS_NULL, transfer_class);
  if (!JS_IsException(object))
    JS_SetOpaque(object, transfer);
  return object;
}

// sendAside(fd, bytes): begins, and gives a function that waits for the end.
JSValue native_send_aside(JSContext *ctx, JSValueConst this_val, int argc, JSValueConst *argv) {
  (void)this_val, (void)argc;
  int64_t fd;
  uint8_t *bytes;
  size_t length;
  if (!integer_argument(ctx, argv[0], "a descriptor", 0, INT32_MAX, &fd) ||
      !bytes_argument(ctx, argv[1], "the bytes to send", &bytes, &length))
    return JS_EXCEPTION;
  // Not js_malloc(): the thread must not meet the engine's memory.
  struct transfer *transfer = malloc(sizeof *transfer + length);
  if (!transfer)
    return JS_ThrowOutOfMemory(ctx);
  *transfer = (struct transfer){.fd = (int)fd, .length = length};
  memcpy(transfer->bytes, bytes, length);
  JSValue object = owner(ctx, transfer);
  if (JS_IsException(object)) {
    free(transfer);
    return JS_EXCEPTION;
  }
  JSValue wait = JS_NewCFunctionData(ctx, wait_for_end, 0, 0, 1, (JSValueConst *)&object);
  if (!JS_IsException(wait)) {
    transfer->is_running = start_thread(transfer);
    if (!transfer->is_running)
      carry_out(transfer);
  }
  JS_FreeValue(ctx, object);
  return wait;
}
