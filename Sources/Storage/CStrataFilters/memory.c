#include "CStrataFilters.h"

#include <stdlib.h>
#include <string.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

enum { LINE = 64, LARGE_PAGE = 2 << 20, LARGE = 8 << 20, BEHIND = 16 };

void *strata_zeroed(size_t count, void **owner) {
  if (count > SIZE_MAX - LARGE_PAGE - BEHIND) return NULL;
  size_t align = count < LARGE ? LINE : LARGE_PAGE;
  // calloc of this size maps pages that are zero by themselves, which aligned_alloc and memset would touch one by one.
  char *memory = calloc(1, count + align + BEHIND);
  if (memory == NULL) return NULL;
  *owner = memory;
  char *aligned = memory + (align - (uintptr_t)memory % align) % align;
#if defined(__linux__)
  // A probe of a filter larger than the caches also misses the translation of its address, of which large pages need few. Advice only.
  if (count >= LARGE) madvise(aligned, count, MADV_HUGEPAGE);
#endif
  return aligned;
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
