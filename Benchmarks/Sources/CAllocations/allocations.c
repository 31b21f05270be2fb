#include "allocations.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stddef.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);

static atomic_ulong asked;

void *malloc(size_t size) {
  atomic_fetch_add_explicit(&asked, 1, memory_order_relaxed);
  return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  atomic_fetch_add_explicit(&asked, 1, memory_order_relaxed);
  return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size) {
  atomic_fetch_add_explicit(&asked, 1, memory_order_relaxed);
  return __libc_realloc(old, size);
}

unsigned long strata_allocations(void) { return atomic_load_explicit(&asked, memory_order_relaxed); }

unsigned long strata_heap_bytes(void) {
  struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}
