#ifndef STRATA_CHECKSUM_H
#define STRATA_CHECKSUM_H
#include <stddef.h>
#include <stdint.h>

// CRC-32C (Castagnoli, RFC 3720 B.4) of `length` bytes, continuing from `crc` (0 to begin).
uint32_t strata_crc32c(uint32_t crc, const void *bytes, size_t length);
#endif
