// Memory for the engine. Its objects are many, small and short-lived, and the process is over in a millisecond: musl's
// allocator, which gives pages back as soon as it can, would spend half of that time in the kernel. Here nothing goes
// back: what is freed is kept, by size. Large blocks are the C library's.
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "engine.h"

#if defined(__SANITIZE_ADDRESS__)
// Its checks need to see every block.
JSRuntime *new_runtime(void) {
  return JS_NewRuntime();
}
#else

#include "snapshot.h"

// In front of each block: its size, without this. QuickJS wants no alignment but that of pointers and doubles.
struct header {
  size_t size;
};

// A freed block holds the next one of its size.
struct free_block {
  struct free_block *next;
};

enum { step = HEAP_STEP, largest = HEAP_LARGEST, piece = 2 * 1024 * 1024, usual = 896 * 1024 };

static size_t size_of(const void *block) {
  return block ? ((const struct header *)block - 1)->size : 0;
}

// Sizes 8, 24, 40, … so that a block with its header takes a multiple of 16.
static size_t class_of(size_t size) {
  return (size + sizeof(struct header) + step - 1) / step - 1;
}

static bool is_small(size_t size) {
  return size <= largest - sizeof(struct header);
}

static void *take(size_t index) {
  size_t total = (index + 1) * step;
  struct heap *heap = &snapshot.heap;
  if (heap->room < total) {
    void *fresh = mmap(NULL, piece, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (fresh == MAP_FAILED)
      return NULL;
    heap->free = fresh;
    heap->room = piece;
  }
  struct header *header = (struct header *)heap->free;
  heap->free += total;
  heap->room -= total;
  header->size = total - sizeof(struct header);
  return header + 1;
}

static void *allocate(JSMallocState *state, size_t size) {
  (void)state;
  if (is_small(size)) {
    size_t index = class_of(size);
    struct free_block *block = snapshot.heap.freed[index];
    if (!block)
      return take(index);
    snapshot.heap.freed[index] = block->next;
    return block;
  }
  if (size > SIZE_MAX - sizeof(struct header))
    return NULL;
  struct header *header = malloc(sizeof *header + size);
  if (!header)
    return NULL;
  header->size = size;
  snapshot.heap.large_count++;
  return header + 1;
}

static void release(JSMallocState *state, void *pointer) {
  (void)state;
  if (!pointer)
    return;
  size_t size = size_of(pointer);
  if (is_small(size)) {
    struct free_block *block = pointer;
    size_t index = class_of(size);
    block->next = snapshot.heap.freed[index];
    snapshot.heap.freed[index] = block;
  } else {
    free((struct header *)pointer - 1);
    snapshot.heap.large_count--;
  }
}

static void *reallocate(JSMallocState *state, void *pointer, size_t size) {
  size_t before = size_of(pointer);
  if (size == 0) {
    release(state, pointer);
    return NULL;
  }
  if (pointer && is_small(before) && size <= before)
    return pointer;
  if (pointer && !is_small(before) && !is_small(size)) {
    if (size > SIZE_MAX - sizeof(struct header))
      return NULL;
    struct header *header = realloc((struct header *)pointer - 1, sizeof *header + size);
    if (!header)
      return NULL;
    header->size = size;
    return header + 1;
  }
  void *block = allocate(state, size);
  if (!block)
    return NULL;
  if (pointer) {
    memcpy(block, pointer, before < size ? before : size);
    release(state, pointer);
  }
  return block;
}

static const JSMallocFunctions functions = {allocate, release, reallocate, size_of};

JSRuntime *new_runtime(void) {
  snapshot.heap.free = snapshot.heap.first_piece;
  snapshot.heap.room = sizeof snapshot.heap.first_piece;
  prefault(snapshot.heap.first_piece, usual);
  return JS_NewRuntime2(&functions, NULL);
}

#endif
