// The program as bytecode, linked into this executable: scripts/build/static.ts writes what is declared here.
// QuickJS trusts what it reads: this is only ever our own, made by the same QuickJS.
#ifndef TSBRIDGE_BLOBS_H
#define TSBRIDGE_BLOBS_H

#include <stddef.h>
#include <stdint.h>

struct blob {
  const char *name;
  const uint8_t *bytes;
  size_t length;
  size_t unpacked; // its length after unpack(); 0: it lies here as it is
};

// For each command of the protocol, by its name, what a process with it evaluates: an array of something else
// (scripts/static/compile-bytecode.c), the program's entry, then all other modules that are needed for sure. The last
// one is for every other process, and the only one of an executable that has a snapshot.
extern const struct blob starts[];
extern const size_t start_count;
// All other modules by the names that import() has for them, a module each, packed.
extern const struct blob modules[];
extern const size_t module_count;

#endif
