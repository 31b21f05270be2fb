#define _GNU_SOURCE
#include "CStrataDisk.h"
#include <fcntl.h>
#include <stdio.h>

ssize_t strata_write_vectored(int descriptor, const struct iovec *vectors, int count, int64_t offset) {
  return pwritev(descriptor, vectors, count, (off_t)offset);
}

int strata_open_directory(const char *path) { return open(path, O_RDONLY | O_CLOEXEC | O_DIRECTORY); }

#ifdef __linux__

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 0x00000008
#endif

ssize_t strata_read_cached(int descriptor, void *buffer, size_t length, int64_t offset) {
  struct iovec vector = {.iov_base = buffer, .iov_len = length};
  return preadv2(descriptor, &vector, 1, (off_t)offset, RWF_NOWAIT);
}

int strata_allocate(int descriptor, int64_t offset, int64_t length) {
  return fallocate(descriptor, 0, (off_t)offset, (off_t)length);
}

int strata_rename_exclusive(const char *source, const char *target) {
  return renameat2(AT_FDCWD, source, AT_FDCWD, target, RENAME_NOREPLACE);
}
#else
#include <errno.h>

ssize_t strata_read_cached(int descriptor, void *buffer, size_t length, int64_t offset) {
  (void)descriptor, (void)buffer, (void)length, (void)offset;
  errno = ENOSYS;
  return -1;
}

int strata_allocate(int descriptor, int64_t offset, int64_t length) {
  (void)descriptor, (void)offset, (void)length;
  errno = EOPNOTSUPP;
  return -1;
}

int strata_rename_exclusive(const char *source, const char *target) { return renamex_np(source, target, RENAME_EXCL); }
#endif
