#define _GNU_SOURCE
#include "CStrataDisk.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

ssize_t strata_write_vectored(int descriptor, const struct iovec *vectors, int count, int64_t offset) {
  return pwritev(descriptor, vectors, count, (off_t)offset);
}

int strata_open_directory(const char *path) { return open(path, O_RDONLY | O_CLOEXEC | O_DIRECTORY); }

void *strata_map_window(int descriptor, int64_t offset, size_t length) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE), before = (size_t)offset % page;
  char *base = mmap(NULL, before + length, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, (off_t)(offset - (int64_t)before));
  if (base == MAP_FAILED) return NULL;
#ifdef MADV_POPULATE_WRITE
  madvise(base, before + length, MADV_POPULATE_WRITE);  // older kernels refuse and fault page by page
#endif
  return base + before;
}

void strata_unmap_window(void *base, size_t length) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE), before = (size_t)base % page;
  munmap((char *)base - before, before + length);
}

const void *strata_map_reading(int descriptor, size_t length) {
  void *base = mmap(NULL, length, PROT_READ, MAP_SHARED, descriptor, 0);
  if (base == MAP_FAILED) return NULL;
  madvise(base, length, MADV_RANDOM);
  return base;
}

void strata_unmap_reading(const void *base, size_t length) { munmap((void *)base, length); }

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

void strata_start_writeback(int descriptor, int64_t offset, int64_t length) {
  sync_file_range(descriptor, offset, length, SYNC_FILE_RANGE_WRITE);
}

int strata_rename_exclusive(const char *source, const char *target) {
  return renameat2(AT_FDCWD, source, AT_FDCWD, target, RENAME_NOREPLACE);
}
#else
#include <errno.h>

void strata_start_writeback(int descriptor, int64_t offset, int64_t length) { (void)descriptor, (void)offset, (void)length; }

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
