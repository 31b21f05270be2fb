#include "forms.h"

// table[k][b]: the register after byte b and then k zero bytes. Written once, before `main`.
static uint32_t table[8][256];

void strata_software_prepare(void) {
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint32_t crc = byte;
    for (int k = 0; k < 8; k++) {
      crc = strata_shift(crc, 8);
      table[k][byte] = crc;
    }
  }
}

uint32_t strata_crc32c_software(uint32_t crc, const void *bytes, size_t length) {
  const uint8_t *p = bytes;
  crc = ~crc;
  for (; length >= 8; length -= 8, p += 8) {
    uint64_t word = strata_load64(p) ^ crc;
    crc = table[7][word & 0xFF] ^ table[6][(word >> 8) & 0xFF] ^ table[5][(word >> 16) & 0xFF] ^ table[4][(word >> 24) & 0xFF]
        ^ table[3][(word >> 32) & 0xFF] ^ table[2][(word >> 40) & 0xFF] ^ table[1][(word >> 48) & 0xFF] ^ table[0][word >> 56];
  }
  for (; length > 0; length--) crc = (crc >> 8) ^ table[0][(crc ^ *p++) & 0xFF];
  return ~crc;
}
