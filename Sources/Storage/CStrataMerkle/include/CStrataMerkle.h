#ifndef STRATA_MERKLE_H
#define STRATA_MERKLE_H
#include <stddef.h>

// Asks for `length` bytes of memory to be brought near, and waits for none of it. Any address will do; nothing is read.
static inline void strata_prefetch(const void *bytes, size_t length) {
  for (size_t offset = 0; offset < length; offset += 64) __builtin_prefetch((const char *)bytes + offset);
}
#endif
