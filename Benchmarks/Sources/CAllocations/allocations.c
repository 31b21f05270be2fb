#define _GNU_SOURCE
#include "allocations.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stddef.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static atomic_ulong asked;

static void count(void) { atomic_fetch_add_explicit(&asked, 1, memory_order_relaxed); }

void *malloc(size_t size) {
  count();
  return __libc_malloc(size);
}

void *calloc(size_t items, size_t size) {
  count();
  return __libc_calloc(items, size);
}

void *realloc(void *old, size_t size) {
  count();
  return __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
  count();
  return __libc_memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size) {
  count();
  void *found = __libc_memalign(alignment, size);
  if (found == NULL) return ENOMEM;
  *memory = found;
  return 0;
}

unsigned long strata_allocations(void) { return atomic_load_explicit(&asked, memory_order_relaxed); }

unsigned long strata_heap_bytes(void) {
  struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

// Compiled Swift code calls these by name, so it calls the ones below, which pass on to the runtime's. What the runtime does within itself is not
// seen.
static atomic_ulong references;

#define COUNTED(result, name, parameters, arguments)                           \
  result name parameters {                                                     \
    static result(*runtime) parameters;                                        \
    if (runtime == NULL) runtime = (result(*) parameters)dlsym(RTLD_NEXT, #name); \
    atomic_fetch_add_explicit(&references, 1, memory_order_relaxed);           \
    return runtime arguments;                                                  \
  }

COUNTED(void *, swift_retain, (void *object), (object))
COUNTED(void *, swift_retain_n, (void *object, unsigned times), (object, times))
COUNTED(void, swift_release, (void *object), (object))
COUNTED(void, swift_release_n, (void *object, unsigned times), (object, times))
COUNTED(void *, swift_bridgeObjectRetain, (void *object), (object))
COUNTED(void *, swift_bridgeObjectRetain_n, (void *object, unsigned times), (object, times))
COUNTED(void, swift_bridgeObjectRelease, (void *object), (object))
COUNTED(void, swift_bridgeObjectRelease_n, (void *object, unsigned times), (object, times))
COUNTED(void *, swift_tryRetain, (void *object), (object))

unsigned long strata_references(void) { return atomic_load_explicit(&references, memory_order_relaxed); }
