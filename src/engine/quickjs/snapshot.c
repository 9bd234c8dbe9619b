// A snapshot of the heap, so that no process has to read and evaluate the program again. `snapshot` is a section of the
// executable that is loaded where it was: all addresses in it stay right, for the executable is linked to fixed
// addresses. When the executable is made, it is run once with --write-heap-snapshot: it evaluates the program, and
// writes this section to stdout as it should be. scripts/build/static.ts puts that into the file.
//
// Without a snapshot, as for another processor, every process evaluates the program.
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include "snapshot.h"

// The mark is how the build finds the section in the file.
__attribute__((section(".snapshot"), aligned(4096))) struct snapshot snapshot = {
    .mark = "tsbridge: heap of the evaluated program, QuickJS"};

bool is_snapshot_wanted(void) {
  return !snapshot.is_taken && is_only_word("--write-heap-snapshot");
}

// QuickJS seeds Math.random() with the time of day. In a snapshot that is the same for every process, so it may as well
// be the same each time that one is made. NB: no name and no number that matters comes from Math.random().
int __real_gettimeofday(struct timeval *now, void *zone);
int __wrap_gettimeofday(struct timeval *now, void *zone);
int __wrap_gettimeofday(struct timeval *now, void *zone) {
  if (!is_snapshot_wanted())
    return __real_gettimeofday(now, zone);
  *now = (struct timeval){.tv_sec = 1};
  return 0;
}

// linux/mman.h
#define MADV_POPULATE_WRITE 23 // Linux 5.14; before it, the kernel makes each page when it is touched

void prefault(void *start, size_t length) {
  madvise(start, length, MADV_POPULATE_WRITE);
}

// What is of this process alone: where the stack begins. A start sets it anew. Gives how many addresses of the stack
// there were.
static int forget_stack(struct snapshot *copy) {
  const char *here = __builtin_frame_address(0);
  int count = 0;
  for (char **word = (char **)copy; word < (char **)(copy + 1); word++) {
    // 8 MiB of stack, from here on upwards; nothing of the heap or the code is near it.
    if (*word > here - 1024 * 1024 && *word < here + 8 * 1024 * 1024) {
      *word = NULL;
      count++;
    }
  }
  return count;
}

void write_snapshot(JSRuntime *rt, JSContext *ctx, struct program program) {
  static const int most_on_stack = 1; // where the stack begins
  JS_SetMaxStackSize(rt, 0);          // nor where it ends
  snapshot.is_taken = 1;
  snapshot.rt = rt;
  snapshot.ctx = ctx;
  snapshot.program = program;
  struct heap *heap = &snapshot.heap;
  if (heap->free < heap->first_piece || heap->free > heap->first_piece + sizeof heap->first_piece ||
      heap->large_count != 0)
    fail("no snapshot can be taken", "the heap does not fit into its section");
  struct snapshot *copy = malloc(sizeof snapshot);
  if (!copy)
    fail("no snapshot can be taken", "out of memory");
  memcpy(copy, &snapshot, sizeof snapshot);
  if (forget_stack(copy) > most_on_stack)
    fail("no snapshot can be taken", "the heap has addresses of the stack");
  for (size_t at = 0; at < sizeof snapshot;) {
    ssize_t count = write(STDOUT_FILENO, (char *)copy + at, sizeof snapshot - at);
    if (count <= 0)
      fail("no snapshot can be taken", "stdout cannot be written");
    at += (size_t)count;
  }
  _exit(0);
}
