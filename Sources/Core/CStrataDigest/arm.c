#if defined(__aarch64__)
#include <arm_neon.h>
#if defined(__linux__)
#include <sys/auxv.h>
#endif

#include "forms.h"

#define STRATA_TARGET __attribute__((target("crypto")))

STRATA_TARGET static void one(uint32_t state[8], const uint8_t *p, size_t count) {
  uint32x4_t abcd = vld1q_u32(state), efgh = vld1q_u32(state + 4);
  for (; count > 0; count--, p += 64) {
    uint32x4_t w[4], abcd_before = abcd, efgh_before = efgh;
    for (int i = 0; i < 16; i++) {
      if (i < 4) {
        w[i] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(p + 16 * i)));
      } else {
        w[i & 3] = vsha256su1q_u32(vsha256su0q_u32(w[i & 3], w[(i + 1) & 3]), w[(i + 2) & 3], w[(i + 3) & 3]);
      }
      uint32x4_t k = vaddq_u32(w[i & 3], vld1q_u32(strata_sha256_constants + 4 * i)), before = abcd;
      abcd = vsha256hq_u32(abcd, efgh, k);
      efgh = vsha256h2q_u32(efgh, before, k);
    }
    abcd = vaddq_u32(abcd, abcd_before);
    efgh = vaddq_u32(efgh, efgh_before);
  }
  vst1q_u32(state, abcd);
  vst1q_u32(state + 4, efgh);
}

static void two(uint32_t a[8], uint32_t b[8], const uint8_t *p, const uint8_t *q, size_t count) {
  one(a, p, count);
  one(b, q, count);
}

static const struct strata_sha256_form form = {one, two};

const struct strata_sha256_form *strata_sha256_instructions(void) {
#if defined(__APPLE__)
  return &form; // every 64-bit processor Apple ships has them
#elif defined(__linux__)
  const unsigned long sha2 = 1ul << 6; // HWCAP_SHA2
  return getauxval(AT_HWCAP) & sha2 ? &form : 0;
#else
  return 0;
#endif
}
#elif !defined(__x86_64__)
#include "forms.h"

const struct strata_sha256_form *strata_sha256_instructions(void) { return 0; }
#endif
