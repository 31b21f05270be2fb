#ifndef STRATA_DISK_H
#define STRATA_DISK_H
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// Linux calls that the Swift overlay does not import. Each returns the call's result and leaves errno as the call set it.

// preadv2(2) of one buffer with RWF_NOWAIT: EAGAIN instead of waiting for the device.
ssize_t strata_read_cached(int descriptor, void *buffer, size_t length, int64_t offset);

// fallocate(2), mode 0: reserves and extends.
int strata_allocate(int descriptor, int64_t offset, int64_t length);
#endif
