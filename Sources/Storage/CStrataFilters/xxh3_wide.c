#include "CStrataFilters.h"

// The hash of long keys by 256-bit vectors: the same header, compiled once more for processors that have them.
#if defined(__x86_64__) && defined(__clang__)
#include <immintrin.h>
#include <stdlib.h>
#include <string.h>
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#define XXH_VECTOR 2  // XXH_AVX2, which the header only defines for itself
#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t strata_xxh3_wide(const void *bytes, size_t count, uint64_t seed) { return XXH3_64bits_withSeed(bytes, count, seed); }
#pragma clang attribute pop
#else
#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t strata_xxh3_wide(const void *bytes, size_t count, uint64_t seed) { return XXH3_64bits_withSeed(bytes, count, seed); }
#endif
