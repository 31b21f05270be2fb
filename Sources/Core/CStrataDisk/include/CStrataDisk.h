#ifndef STRATA_DISK_H
#define STRATA_DISK_H
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

// Linux calls that the Swift overlay does not import. Each returns the call's result and leaves errno as the call set it.

// preadv2(2) of one buffer with RWF_NOWAIT: EAGAIN instead of waiting for the device.
ssize_t strata_read_cached(int descriptor, void *buffer, size_t length, int64_t offset);

// fallocate(2), mode 0: reserves and extends.
int strata_allocate(int descriptor, int64_t offset, int64_t length);

// pwritev(2).
ssize_t strata_write_vectored(int descriptor, const struct iovec *vectors, int count, int64_t offset);

// renameat2(2) with RENAME_NOREPLACE, renamex_np(2) with RENAME_EXCL on Darwin: EEXIST where the target is taken, EINVAL or ENOSYS where
// the file system cannot tell atomically.
int strata_rename_exclusive(const char *source, const char *target);

// mmap(2), shared, of `length` bytes from `offset`, which need not lie on a page's boundary; writable pages are made ready at once where the
// kernel can. NULL where it cannot be mapped. What it returns stands for `offset` and is given back with the same length.
void *strata_map_window(int descriptor, int64_t offset, size_t length);
void strata_unmap_window(void *base, size_t length);

// mmap(2), shared and read-only, of the first `length` bytes, for access in no order. NULL where it cannot be mapped.
const void *strata_map_reading(int descriptor, size_t length);
void strata_unmap_reading(const void *base, size_t length);

// sync_file_range(2) that only starts; nothing where there is no such call.
void strata_start_writeback(int descriptor, int64_t offset, int64_t length);

// open(2) of a directory for reading: ENOTDIR for anything else.
int strata_open_directory(const char *path);
#endif
