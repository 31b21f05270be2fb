#ifndef CSTRATAXXH3_H
#define CSTRATAXXH3_H
#include <stddef.h>
#include <stdint.h>

/// XXH3-64 of `count` bytes with a seed, by Debian's libxxhash compiled in; `bytes` may be NULL where `count` is 0.
uint64_t strata_xxh3(const void *bytes, size_t count, uint64_t seed);

/// Brings the cache line at `address` nearer; nothing where the processor knows no such thing.
static inline void strata_prefetch(const void *address) { __builtin_prefetch(address, 1, 1); }

#endif
