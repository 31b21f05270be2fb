#pragma once
/* How often memory was asked for in this process so far. Linking this target puts a counter before the C library's allocator. */
unsigned long strata_allocations(void);
/* Bytes of the heap in use. */
unsigned long strata_heap_bytes(void);
