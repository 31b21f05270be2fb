// CRC-32C by the processor's CRC instruction in three lanes. The including file defines
//   STRATA_TARGET                  the attribute that allows the instructions
//   STRATA_STEP1, 2, 4, 8(crc, bytes)   the instruction for so many bytes
//   STRATA_MULTIPLY(a, b)          the low 64 bits of the carry-less product of two 32-bit values
//
// The instruction takes a result per cycle but needs three to deliver it, so one chain runs at a third of the speed. Long input is
// cut in three equal lanes A B C; then crc(ABC) = crc(A)·x^(16 lane) + crc(B)·x^(8 lane) + crc(C) modulo the polynomial. With the
// bits reflected, the product of registers a and k read as a 64-bit polynomial is A·K·x, and a CRC step over it from register 0
// multiplies by x^32 and reduces: hence the constant for n bytes is x^(8n - 33).
#include "forms.h"

#define STRATA_LANE_MAX 4096   // bytes
#define STRATA_LANES_FROM 96    // below this, merging costs more than one chain loses

// powers[n] = x^(64n - 33): moves a register over 8n bytes. Written once, before `main`.
static uint32_t powers[2 * STRATA_LANE_MAX / 8 + 1];

STRATA_TARGET static void lanes_prepare(void) {
  powers[1] = 1; // x^31
  for (size_t n = 2; n < sizeof powers / sizeof powers[0]; n++) powers[n] = STRATA_STEP8(powers[n - 1], 0);
}

// Works on the inner register.
STRATA_TARGET static inline uint32_t one_lane(uint32_t crc, const uint8_t *p, size_t length) {
  uint64_t a = crc;
  for (; length >= 8; length -= 8, p += 8) a = STRATA_STEP8(a, strata_load64(p));
  crc = (uint32_t)a;
  if (length & 4) {
    crc = STRATA_STEP4(crc, strata_load32(p));
    p += 4;
  }
  if (length & 2) {
    crc = STRATA_STEP2(crc, (uint16_t)(p[0] | p[1] << 8));
    p += 2;
  }
  if (length & 1) crc = STRATA_STEP1(crc, *p);
  return crc;
}

// Works on the inner register.
STRATA_TARGET static uint32_t three_lanes(uint32_t crc, const uint8_t *p, size_t length) {
  while (length >= STRATA_LANES_FROM) {
    size_t lane = length / 24 * 8;
    if (lane > STRATA_LANE_MAX) lane = STRATA_LANE_MAX;
    uint64_t a = crc, b = 0, c = 0;
    for (size_t i = 0; i < lane; i += 8) {
      a = STRATA_STEP8(a, strata_load64(p + i));
      b = STRATA_STEP8(b, strata_load64(p + lane + i));
      c = STRATA_STEP8(c, strata_load64(p + 2 * lane + i));
    }
    uint64_t moved = STRATA_MULTIPLY(a, powers[lane / 4]) ^ STRATA_MULTIPLY(b, powers[lane / 8]);
    crc = (uint32_t)(STRATA_STEP8(0, moved) ^ c);
    p += 3 * lane;
    length -= 3 * lane;
  }
  return one_lane(crc, p, length);
}

STRATA_TARGET static uint32_t strata_crc32c_lanes(uint32_t crc, const void *bytes, size_t length) {
  if (length < STRATA_LANES_FROM) return ~one_lane(~crc, bytes, length);
  return ~three_lanes(~crc, bytes, length);
}
