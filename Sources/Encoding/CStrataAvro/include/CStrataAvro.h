#ifndef CSTRATAAVRO_H
#define CSTRATAAVRO_H

#include <stddef.h>
#include <stdint.h>

// What container files need beyond the package's codecs. Bytes in, a buffer with a capacity, how many bytes came out or a negative reason:
// -1 damaged, -2 the capacity is too small, -3 no memory. Safe on any thread.

int64_t strata_bzip2_decompress(const void *input, size_t count, void *output, size_t capacity);
/// RFC 1951, behind which up to four bytes may stand: some writers cut the header off zlib's format and leave part of its checksum.
int64_t strata_inflate_lenient(const void *input, size_t count, void *output, size_t capacity);
int64_t strata_xz_decompress(const void *input, size_t count, void *output, size_t capacity);

/// One Zstandard frame that carries its size and a checksum of its content.
int64_t strata_zstd_compress_checked(const void *input, size_t count, void *output, size_t capacity, int level);

/// CRC-32 of IEEE 802.3.
uint32_t strata_crc32_ieee(const void *input, size_t count);

#endif
