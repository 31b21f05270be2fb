#ifndef CSTRATAFILTERS_H
#define CSTRATAFILTERS_H
#include <stddef.h>
#include <stdint.h>

/// XXH3-64 of `count` bytes with a seed, by Debian's libxxhash compiled in; `bytes` may be NULL where `count` is 0.
uint64_t strata_xxh3(const void *bytes, size_t count, uint64_t seed);

/// Brings the cache line at `address` nearer; nothing where the processor knows no such thing.
static inline void strata_prefetch(const void *address) { __builtin_prefetch(address, 1, 1); }

/// `count` zero bytes that begin on a cache line, or NULL. Pages nobody writes to take no memory. `owner` receives what strata_release takes.
void *strata_zeroed(size_t count, void **owner);

/// Gives back what strata_zeroed gave.
void strata_release(void *owner);

/// How many bits of `count` bytes are set.
uint64_t strata_set_bits(const void *bytes, size_t count);

#endif
