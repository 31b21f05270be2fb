#include "CStrataCompression.h"

#include <limits.h>
#include <lz4.h>
#include <pthread.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

// LZ4, raw blocks (no frame): https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md

size_t strata_lz4_bound(size_t count) { return count > LZ4_MAX_INPUT_SIZE ? 0 : (size_t)LZ4_compressBound((int)count); }

int64_t strata_lz4_compress(const void *input, size_t count, void *output, size_t capacity) {
  if (count > LZ4_MAX_INPUT_SIZE) return STRATA_COMPRESSION_CAPACITY;
  int written = LZ4_compress_default(input, output, (int)count, capacity > INT_MAX ? INT_MAX : (int)capacity);
  return written > 0 ? written : STRATA_COMPRESSION_CAPACITY;
}

int64_t strata_lz4_decompress(const void *input, size_t count, void *output, size_t capacity) {
  if (count > INT_MAX) return STRATA_COMPRESSION_CORRUPT;
  int written = LZ4_decompress_safe(input, output, (int)count, capacity > INT_MAX ? INT_MAX : (int)capacity);
  return written >= 0 ? written : STRATA_COMPRESSION_CORRUPT;
}

// Zstandard frames (RFC 8878). A context is hundreds of kilobytes, so each thread keeps one of each kind until it ends.

static pthread_once_t contexts_once = PTHREAD_ONCE_INIT;
static pthread_key_t compression_key, decompression_key;
static int contexts_usable;

static void free_compression(void *context) { ZSTD_freeCCtx(context); }
static void free_decompression(void *context) { ZSTD_freeDCtx(context); }

static void make_keys(void) {
  contexts_usable = pthread_key_create(&compression_key, free_compression) == 0 &&
                    pthread_key_create(&decompression_key, free_decompression) == 0;
}

static ZSTD_CCtx *compression_context(void) {
  pthread_once(&contexts_once, make_keys);
  if (!contexts_usable) return NULL;
  ZSTD_CCtx *context = pthread_getspecific(compression_key);
  if (context == NULL && (context = ZSTD_createCCtx()) != NULL && pthread_setspecific(compression_key, context) != 0) {
    ZSTD_freeCCtx(context);
    return NULL;
  }
  return context;
}

static ZSTD_DCtx *decompression_context(void) {
  pthread_once(&contexts_once, make_keys);
  if (!contexts_usable) return NULL;
  ZSTD_DCtx *context = pthread_getspecific(decompression_key);
  if (context == NULL && (context = ZSTD_createDCtx()) != NULL && pthread_setspecific(decompression_key, context) != 0) {
    ZSTD_freeDCtx(context);
    return NULL;
  }
  return context;
}

static int64_t zstd_result(size_t result) {
  if (!ZSTD_isError(result)) return (int64_t)result;
  switch (ZSTD_getErrorCode(result)) {
    case ZSTD_error_dstSize_tooSmall: return STRATA_COMPRESSION_CAPACITY;
    case ZSTD_error_memory_allocation: return STRATA_COMPRESSION_MEMORY;
    default: return STRATA_COMPRESSION_CORRUPT;
  }
}

size_t strata_zstd_bound(size_t count) { return ZSTD_compressBound(count); }

int64_t strata_zstd_compress(const void *input, size_t count, void *output, size_t capacity, int level) {
  ZSTD_CCtx *context = compression_context();
  if (context == NULL) return STRATA_COMPRESSION_MEMORY;
  return zstd_result(ZSTD_compressCCtx(context, output, capacity, input, count, level));
}

int64_t strata_zstd_decompress(const void *input, size_t count, void *output, size_t capacity) {
  ZSTD_DCtx *context = decompression_context();
  if (context == NULL) return STRATA_COMPRESSION_MEMORY;
  return zstd_result(ZSTD_decompressDCtx(context, output, capacity, input, count));
}

int64_t strata_zstd_content_size(const void *input, size_t count) {
  unsigned long long size = ZSTD_getFrameContentSize(input, count);
  return size > INT64_MAX ? -1 : (int64_t)size;  // both of its error values lie above
}

// DEFLATE without header or trailer (RFC 1951), as Avro's container files have it.

#define RAW_WINDOW (-15)

size_t strata_deflate_bound(size_t count) { return compressBound(count) + 16; }

int64_t strata_deflate_compress(const void *input, size_t count, void *output, size_t capacity, int level) {
  if (count > UINT_MAX || capacity > UINT_MAX) return STRATA_COMPRESSION_CAPACITY;
  z_stream stream = {.next_in = (Bytef *)input, .avail_in = (uInt)count, .next_out = output, .avail_out = (uInt)capacity};
  if (deflateInit2(&stream, level, Z_DEFLATED, RAW_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK) return STRATA_COMPRESSION_MEMORY;
  int code = deflate(&stream, Z_FINISH);
  int64_t written = (int64_t)stream.total_out;
  deflateEnd(&stream);
  return code == Z_STREAM_END ? written : STRATA_COMPRESSION_CAPACITY;
}

int64_t strata_deflate_decompress(const void *input, size_t count, void *output, size_t capacity) {
  if (count > UINT_MAX) return STRATA_COMPRESSION_CORRUPT;
  if (capacity > UINT_MAX) capacity = UINT_MAX;
  z_stream stream = {.next_in = (Bytef *)input, .avail_in = (uInt)count, .next_out = output, .avail_out = (uInt)capacity};
  if (inflateInit2(&stream, RAW_WINDOW) != Z_OK) return STRATA_COMPRESSION_MEMORY;
  int code = inflate(&stream, Z_FINISH);
  int64_t written = (int64_t)stream.total_out;
  int full = stream.avail_out == 0, rest = stream.avail_in != 0;
  inflateEnd(&stream);
  if (code == Z_STREAM_END) return rest ? STRATA_COMPRESSION_CORRUPT : written;
  if (code == Z_MEM_ERROR) return STRATA_COMPRESSION_MEMORY;
  return full && (code == Z_BUF_ERROR || code == Z_OK) ? STRATA_COMPRESSION_CAPACITY : STRATA_COMPRESSION_CORRUPT;
}

// Snappy, raw format: https://github.com/google/snappy/blob/main/format_description.txt

size_t strata_snappy_bound(size_t count) { return snappy_max_compressed_length(count); }

int64_t strata_snappy_compress(const void *input, size_t count, void *output, size_t capacity) {
  size_t written = capacity;
  return snappy_compress(input, count, output, &written) == SNAPPY_OK ? (int64_t)written : STRATA_COMPRESSION_CAPACITY;
}

int64_t strata_snappy_decompress(const void *input, size_t count, void *output, size_t capacity) {
  size_t written = capacity;
  switch (snappy_uncompress(input, count, output, &written)) {
    case SNAPPY_OK: return (int64_t)written;
    case SNAPPY_BUFFER_TOO_SMALL: return STRATA_COMPRESSION_CAPACITY;
    default: return STRATA_COMPRESSION_CORRUPT;
  }
}

int64_t strata_snappy_content_size(const void *input, size_t count) {
  size_t size;
  return snappy_uncompressed_length(input, count, &size) == SNAPPY_OK && size <= INT64_MAX ? (int64_t)size : -1;
}
