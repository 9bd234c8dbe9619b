// The program as bytecode, linked into this executable: scripts/build/static.ts writes what is declared here.
// QuickJS trusts what it reads: this is only ever our own, made by the same QuickJS.
#ifndef TSBRIDGE_BLOBS_H
#define TSBRIDGE_BLOBS_H

#include <stddef.h>
#include <stdint.h>

struct blob {
  const char *name; // of the module, as import() names it
  const uint8_t *bytes;
  size_t length;
};

// An array: something else (scripts/static/compile-bytecode.c), the entry, then all modules that it imports statically.
extern const struct blob hot_modules;
// A module each.
extern const struct blob rare_modules[];
extern const size_t rare_module_count;

#endif
