#include "CStrataChecksum.h"
uint32_t strata_crc32c(uint32_t crc, const void *bytes, size_t length) {
  const uint8_t *p = bytes; crc = ~crc;
  while (length--) { crc ^= *p++; for (int i = 0; i < 8; i++) crc = (crc >> 1) ^ (0x82F63B78u & -(crc & 1)); }
  return ~crc;
}
