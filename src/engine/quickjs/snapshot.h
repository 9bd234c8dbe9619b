// The heap as it is when the program has been evaluated: snapshot.c.
#ifndef TSBRIDGE_SNAPSHOT_H
#define TSBRIDGE_SNAPSHOT_H

#include "engine.h"

enum { HEAP_STEP = 16, HEAP_LARGEST = 64 * 1024, HEAP_CLASSES = HEAP_LARGEST / HEAP_STEP };

// memory.c
struct heap {
  void *freed[HEAP_CLASSES]; // blocks, by size
  char *free;                // what has never been given away
  size_t room;               // bytes of it
  size_t large_count;        // blocks that the C library has
  _Alignas(4096) char first_piece[1280 * 1024];
};

struct snapshot {
  char mark[64];
  size_t is_taken;
  JSRuntime *rt;
  JSContext *ctx;
  struct program program;
  struct heap heap;
};
extern struct snapshot snapshot;

#endif
