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

// In front of each block: its size, without this. QuickJS wants no alignment but that of pointers and doubles.
struct header {
  size_t size;
};

// A freed block holds the next one of its size.
struct free_block {
  struct free_block *next;
};

enum { step = 16, largest = 64 * 1024, classes = largest / step, piece = 2 * 1024 * 1024, usual = 896 * 1024 };

static struct {
  struct free_block *freed[classes];
  char first_piece[piece];
} _Alignas(4096) heap;
static char *free_start = heap.first_piece, *free_end = heap.first_piece + piece;

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
  if ((size_t)(free_end - free_start) < total) {
    void *fresh = mmap(NULL, piece, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (fresh == MAP_FAILED)
      return NULL;
    free_start = fresh;
    free_end = free_start + piece;
  }
  struct header *header = (struct header *)free_start;
  free_start += total;
  header->size = total - sizeof(struct header);
  return header + 1;
}

static void *allocate(JSMallocState *state, size_t size) {
  (void)state;
  if (is_small(size)) {
    size_t index = class_of(size);
    struct free_block *block = heap.freed[index];
    if (!block)
      return take(index);
    heap.freed[index] = block->next;
    return block;
  }
  if (size > SIZE_MAX - sizeof(struct header))
    return NULL;
  struct header *header = malloc(sizeof *header + size);
  if (!header)
    return NULL;
  header->size = size;
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
    block->next = heap.freed[index];
    heap.freed[index] = block;
  } else {
    free((struct header *)pointer - 1);
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

// linux/mman.h
#define MADV_POPULATE_WRITE 23 // Linux 5.14; before it, the kernel makes each page when it is touched

JSRuntime *new_runtime(void) {
  // What every call needs, at once: a page fault for each of these pages would take a tenth of the time.
  madvise(&heap, usual, MADV_POPULATE_WRITE);
  return JS_NewRuntime2(&functions, NULL);
}

#endif
