// Counts what the program this is linked into asks of the heap and of Swift's reference counts. For glibc and Swift 6.
#pragma once

/// Blocks asked for since the program began: malloc, calloc, realloc, aligned_alloc and posix_memalign, by every thread.
unsigned long strata_allocations(void);
/// Bytes of the heap that are in use.
unsigned long strata_heap_bytes(void);
/// Retains and releases by compiled Swift code since the program began, by every thread.
unsigned long strata_references(void);
