// Starting another program. Its pipes, and waiting for it, are TypeScript's, with system calls.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine.h"

enum { standard_descriptors = 3, max_strings = 65536 };

// linux/close_range.h, which the C libraries that we build with may not have.
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#ifndef SYS_close_range
#define SYS_close_range 436 // the same number on all architectures: asm-generic/unistd.h
#endif

static void free_strings(JSContext *ctx, const char **strings) {
  for (size_t i = 0; strings && strings[i]; i++)
    JS_FreeCString(ctx, strings[i]);
  js_free(ctx, strings);
}

// An array of strings as execve(2) takes it. NULL with an exception pending when it is none.
static const char **string_list(JSContext *ctx, JSValueConst list, const char *role) {
  uint32_t count;
  if (!length_argument(ctx, list, role, max_strings, &count))
    return NULL;
  const char **strings = js_mallocz(ctx, (count + 1) * sizeof *strings);
  if (!strings)
    return NULL;
  for (uint32_t i = 0; i < count; i++) {
    JSValue element = JS_GetPropertyUint32(ctx, list, i);
    strings[i] = JS_IsException(element) ? NULL : c_string(ctx, element, role);
    JS_FreeValue(ctx, element);
    if (!strings[i]) {
      free_strings(ctx, strings);
      return NULL;
    }
  }
  return strings;
}

// Whatever is open here but the first three, by whomever it was opened, is closed when another program starts.
static int close_all_on_exec(void) {
  if (syscall(SYS_close_range, standard_descriptors, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
    return 0;
  // Linux before 5.11.
  DIR *descriptors = opendir("/proc/self/fd");
  if (!descriptors)
    return errno;
  for (struct dirent *entry; (entry = readdir(descriptors));) {
    int fd = atoi(entry->d_name);
    if (fd >= standard_descriptors)
      fcntl(fd, F_SETFD, FD_CLOEXEC);
  }
  closedir(descriptors);
  return 0;
}

// struct sigaction as the kernel has it: asm-generic/signal.h, arch/x86/include/uapi/asm/signal.h.
struct kernel_sigaction {
  void (*handler)(int);
  unsigned long flags;
  void (*restorer)(void);
  uint64_t mask;
};

// The C library's own signals (32 up to SIGRTMIN) are in none of its sets, so posix_spawn() leaves them ignored where
// whoever started this process had them so, as GNU make does.
static void reset_own_signals(void) {
  static const struct kernel_sigaction by_default = {.handler = SIG_DFL};
  for (int number = 32; number < SIGRTMIN; number++) {
    struct kernel_sigaction action;
    if (syscall(SYS_rt_sigaction, number, NULL, &action, sizeof action.mask) == 0 && action.handler == SIG_IGN)
      syscall(SYS_rt_sigaction, number, &by_default, NULL, sizeof by_default.mask);
  }
}

// Gives an errno, 0 for success.
static int start(const char *file, const char **argv, const char **env, const int *fds, bool has_own_group,
                 pid_t *pid) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  int copies[standard_descriptors] = {-1, -1, -1};
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  int error = close_all_on_exec();
  if (error)
    return error;
  if ((error = posix_spawn_file_actions_init(&actions)))
    return error;
  if ((error = posix_spawnattr_init(&attributes)))
    goto free_actions;
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK |
                                            (has_own_group ? POSIX_SPAWN_SETPGROUP : 0));
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setsigmask(&attributes, &none);
  for (int i = 0; i < standard_descriptors; i++) {
    // Out of the way first: one that is to be 1 may be 0 now.
    copies[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, standard_descriptors);
    if (copies[i] < 0) {
      error = errno;
      goto close_copies;
    }
    if ((error = posix_spawn_file_actions_adddup2(&actions, copies[i], i)))
      goto close_copies;
  }
  // An ignored SIGCHLD is inherited, and with it there would be nothing to wait for.
  signal(SIGCHLD, SIG_DFL);
  reset_own_signals();
  error = posix_spawn(pid, file, &actions, &attributes, (char **)argv, (char **)env);
close_copies:
  for (int i = 0; i < standard_descriptors; i++) {
    if (copies[i] >= 0)
      close(copies[i]);
  }
  posix_spawnattr_destroy(&attributes);
free_actions:
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

static bool descriptor_list(JSContext *ctx, JSValueConst list, int *fds) {
  uint32_t count;
  if (!length_argument(ctx, list, "the list of descriptors", standard_descriptors, &count))
    return false;
  if (count != standard_descriptors) {
    JS_ThrowTypeError(ctx, "the list of descriptors must be stdin, stdout and stderr");
    return false;
  }
  for (uint32_t i = 0; i < count; i++) {
    int64_t fd;
    JSValue element = JS_GetPropertyUint32(ctx, list, i);
    bool is_good = !JS_IsException(element) && integer_argument(ctx, element, "a descriptor", 0, INT32_MAX, &fd);
    JS_FreeValue(ctx, element);
    if (!is_good)
      return false;
    fds[i] = (int)fd;
  }
  return true;
}

// spawn(file, argv, env, fds, hasOwnGroup): the child's pid, or -errno, which may be that of execve(2).
JSValue native_spawn(JSContext *ctx, JSValueConst this_val, int argc, JSValueConst *argv) {
  (void)this_val, (void)argc;
  JSValue result = JS_EXCEPTION;
  const char *file = NULL, **words = NULL, **env = NULL;
  int fds[standard_descriptors];
  pid_t pid = 0;
  if (!(file = c_string(ctx, argv[0], "the file to run")) || !(words = string_list(ctx, argv[1], "the command line")) ||
      !(env = string_list(ctx, argv[2], "the environment")) || !descriptor_list(ctx, argv[3], fds))
    goto done;
  if (file[0] != '/' || !words[0]) {
    JS_ThrowTypeError(ctx, "the file to run must be an absolute path, its command line not empty");
    goto done;
  }
  if (!JS_IsBool(argv[4])) {
    JS_ThrowTypeError(ctx, "hasOwnGroup must be true or false");
    goto done;
  }
  int error = start(file, words, env, fds, JS_ToBool(ctx, argv[4]), &pid);
  result = JS_NewInt32(ctx, error ? -error : pid);
done:
  JS_FreeCString(ctx, file);
  free_strings(ctx, words);
  free_strings(ctx, env);
  return result;
}
