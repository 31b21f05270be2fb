#include "CStrataAvro.h"

#include <bzlib.h>
#include <limits.h>
#include <lzma.h>
#include <pthread.h>
#include <zlib.h>
#include <zstd.h>

int64_t strata_bzip2_decompress(const void *input, size_t count, void *output, size_t capacity) {
  if (count > UINT_MAX || capacity > UINT_MAX) return -1;
  unsigned int length = (unsigned int)capacity;
  switch (BZ2_bzBuffToBuffDecompress(output, &length, (char *)input, (unsigned int)count, 0, 0)) {
    case BZ_OK: return length;
    case BZ_OUTBUFF_FULL: return -2;
    case BZ_MEM_ERROR: return -3;
    default: return -1;
  }
}

int64_t strata_inflate_lenient(const void *input, size_t count, void *output, size_t capacity) {
  if (count > UINT_MAX || capacity > UINT_MAX) return -1;
  z_stream stream = {0};
  stream.next_in = (Bytef *)input;
  stream.avail_in = (uInt)count;
  stream.next_out = output;
  stream.avail_out = (uInt)capacity;
  if (inflateInit2(&stream, -15) != Z_OK) return -3;
  int state = inflate(&stream, Z_FINISH);
  size_t rest = stream.avail_in, written = stream.total_out;
  inflateEnd(&stream);
  if (state == Z_STREAM_END) return rest <= 4 ? (int64_t)written : -1;
  if (state == Z_MEM_ERROR) return -3;
  return (state == Z_BUF_ERROR || state == Z_OK) && written == capacity ? -2 : -1;
}

int64_t strata_xz_decompress(const void *input, size_t count, void *output, size_t capacity) {
  // The preset with the largest dictionary needs 65 MiB to decompress; a header that asks for more is refused.
  uint64_t memory = 80u << 20;
  size_t read = 0, written = 0;
  switch (lzma_stream_buffer_decode(&memory, 0, NULL, input, &read, count, output, &written, capacity)) {
    case LZMA_OK: return read == count ? (int64_t)written : -1;
    case LZMA_BUF_ERROR: return written == capacity ? -2 : -1;
    case LZMA_MEM_ERROR:
    case LZMA_MEMLIMIT_ERROR: return -3;
    default: return -1;
  }
}

// A compression context per thread, freed when the thread ends.
static pthread_key_t context_key;
static pthread_once_t context_once = PTHREAD_ONCE_INIT;
static int context_failed;

static void free_context(void *context) { ZSTD_freeCCtx(context); }
static void make_key(void) { context_failed = pthread_key_create(&context_key, free_context); }

int64_t strata_zstd_compress_checked(const void *input, size_t count, void *output, size_t capacity, int level) {
  pthread_once(&context_once, make_key);
  if (context_failed) return -3;
  ZSTD_CCtx *context = pthread_getspecific(context_key);
  if (context == NULL) {
    context = ZSTD_createCCtx();
    if (context == NULL || pthread_setspecific(context_key, context)) {
      ZSTD_freeCCtx(context);
      return -3;
    }
  }
  ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level);
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  size_t written = ZSTD_compress2(context, output, capacity, input, count);
  return ZSTD_isError(written) ? -2 : (int64_t)written;
}

uint32_t strata_crc32_ieee(const void *input, size_t count) { return (uint32_t)crc32_z(0, input, count); }
