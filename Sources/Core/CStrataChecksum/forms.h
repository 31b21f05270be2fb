// What the files of this target share. Forms work on the inner register, before and after inversion as callers see it.
#ifndef STRATA_FORMS_H
#define STRATA_FORMS_H
#include "CStrataChecksum.h"

#define STRATA_POLYNOMIAL 0x82F63B78u // Castagnoli, bits reflected: bit i stands for x^(31-i)

// Slice-by-8; `strata_software_prepare` must have run once before.
uint32_t strata_crc32c_software(uint32_t crc, const void *bytes, size_t length);
void strata_software_prepare(void);

// Fills in the forms this processor can run (indexed by `strata_crc32c_kind`) and prepares their constants; elsewhere does nothing.
void strata_hardware_prepare(strata_crc32c_form forms[3]);

static inline uint64_t strata_load64(const uint8_t *p) {
  uint64_t word;
  __builtin_memcpy(&word, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  word = __builtin_bswap64(word);
#endif
  return word;
}

static inline uint32_t strata_load32(const uint8_t *p) {
  uint32_t word;
  __builtin_memcpy(&word, p, 4);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  word = __builtin_bswap32(word);
#endif
  return word;
}

// `value` times x^bits modulo the polynomial, one bit at a time: for constants made at start.
static inline uint32_t strata_shift(uint32_t value, uint32_t bits) {
  while (bits-- > 0) value = (value >> 1) ^ (STRATA_POLYNOMIAL & -(value & 1));
  return value;
}
#endif
