#ifndef CSTRATAMEMORY_H
#define CSTRATAMEMORY_H
#include <stddef.h>

/// Asks for the cache line at `address` and waits for nothing. Any address will do; nothing is read. Nothing where the processor knows no such thing.
static inline void strata_prefetch(const void *address) { __builtin_prefetch(address); }

/// The same for `length` bytes.
static inline void strata_prefetch_range(const void *bytes, size_t length) {
  for (size_t offset = 0; offset < length; offset += 64) strata_prefetch((const char *)bytes + offset);
}
#endif
