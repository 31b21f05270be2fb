#include "CStrataFilters.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t strata_xxh3_wide(const void *bytes, size_t count, uint64_t seed);

uint64_t strata_xxh3(const void *bytes, size_t count, uint64_t seed) {
  // Only keys of more than 240 bytes are hashed by vectors at all.
  if (count > 512 && strata_has_wide_blocks) return strata_xxh3_wide(bytes, count, seed);
  return XXH3_64bits_withSeed(count == 0 ? "" : bytes, count, seed);
}
