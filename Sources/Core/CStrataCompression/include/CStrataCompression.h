#ifndef CSTRATACOMPRESSION_H
#define CSTRATACOMPRESSION_H

#include <stddef.h>
#include <stdint.h>

// One shape for every codec: bytes in, a buffer with a capacity, how many bytes came out or a negative reason.
// No function reads beyond `count` or writes beyond `capacity`; all are safe on any thread.

/// The input is not what the codec writes.
#define STRATA_COMPRESSION_CORRUPT (-1)
/// The output does not fit into the capacity.
#define STRATA_COMPRESSION_CAPACITY (-2)
/// The library had no memory for its state.
#define STRATA_COMPRESSION_MEMORY (-3)

size_t strata_lz4_bound(size_t count);
int64_t strata_lz4_compress(const void *input, size_t count, void *output, size_t capacity);
int64_t strata_lz4_decompress(const void *input, size_t count, void *output, size_t capacity);

size_t strata_zstd_bound(size_t count);
int64_t strata_zstd_compress(const void *input, size_t count, void *output, size_t capacity, int level);
int64_t strata_zstd_decompress(const void *input, size_t count, void *output, size_t capacity);
/// What the first frame says it holds, or -1 where it does not say.
int64_t strata_zstd_content_size(const void *input, size_t count);

size_t strata_deflate_bound(size_t count);
int64_t strata_deflate_compress(const void *input, size_t count, void *output, size_t capacity, int level);
int64_t strata_deflate_decompress(const void *input, size_t count, void *output, size_t capacity);

size_t strata_snappy_bound(size_t count);
int64_t strata_snappy_compress(const void *input, size_t count, void *output, size_t capacity);
int64_t strata_snappy_decompress(const void *input, size_t count, void *output, size_t capacity);
/// What the preamble says the input holds, or -1 where it is damaged.
int64_t strata_snappy_content_size(const void *input, size_t count);

#endif
