#include "CStrataFilters.h"

#include <stdlib.h>
#include <string.h>

enum { LINE = 64 };

void *strata_zeroed(size_t count, void **owner) {
  if (count > SIZE_MAX - LINE) return NULL;
  // calloc of this size maps pages that are zero by themselves, which aligned_alloc and memset would touch one by one.
  char *memory = calloc(1, count + LINE);
  if (memory == NULL) return NULL;
  *owner = memory;
  return memory + (LINE - (uintptr_t)memory % LINE) % LINE;
}

void strata_release(void *owner) { free(owner); }

uint64_t strata_set_bits(const void *bytes, size_t count) {
  const unsigned char *at = bytes;
  uint64_t total = 0;
  for (; count >= 8; count -= 8, at += 8) {
    uint64_t word;
    memcpy(&word, at, 8);
    total += (uint64_t)__builtin_popcountll(word);
  }
  for (; count > 0; count--) total += (uint64_t)__builtin_popcount(*at++);
  return total;
}
