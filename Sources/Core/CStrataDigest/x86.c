#if defined(__x86_64__)
#include <immintrin.h>

#include "forms.h"

#define STRATA_TARGET __attribute__((target("sha,sse4.1,ssse3")))

// The instructions keep the eight words as (a b e f) and (c d g h).
typedef struct {
  __m128i abef, cdgh, w[4];
} lane;

STRATA_TARGET static inline void load_state(lane *l, const uint32_t state[8]) {
  __m128i cdab = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xB1);
  __m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1B);
  l->abef = _mm_alignr_epi8(cdab, efgh, 8);
  l->cdgh = _mm_blend_epi16(efgh, cdab, 0xF0);
}

STRATA_TARGET static inline void store_state(uint32_t state[8], const lane *l) {
  __m128i feba = _mm_shuffle_epi32(l->abef, 0x1B);
  __m128i dchg = _mm_shuffle_epi32(l->cdgh, 0xB1);
  _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(feba, dchg, 0xF0));
  _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

// Four rounds; `i` counts them in fours. A constant after unrolling, so that the ring of words stays in registers.
STRATA_TARGET static inline void four_rounds(lane *l, const uint8_t *p, int i) {
  if (i < 4) {
    const __m128i reverse = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    l->w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(p + 16 * i)), reverse);
  } else {
    __m128i *oldest = &l->w[i & 3], last = l->w[(i + 3) & 3];
    __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(*oldest, l->w[(i + 1) & 3]), _mm_alignr_epi8(last, l->w[(i + 2) & 3], 4));
    *oldest = _mm_sha256msg2_epu32(sum, last);
  }
  __m128i k = _mm_add_epi32(l->w[i & 3], _mm_loadu_si128((const __m128i *)(strata_sha256_constants + 4 * i)));
  l->cdgh = _mm_sha256rnds2_epu32(l->cdgh, l->abef, k);
  l->abef = _mm_sha256rnds2_epu32(l->abef, l->cdgh, _mm_shuffle_epi32(k, 0x0E));
}

STRATA_TARGET static void one(uint32_t state[8], const uint8_t *p, size_t count) {
  lane l;
  load_state(&l, state);
  for (; count > 0; count--, p += 64) {
    __m128i abef = l.abef, cdgh = l.cdgh;
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) four_rounds(&l, p, i);
    l.abef = _mm_add_epi32(l.abef, abef);
    l.cdgh = _mm_add_epi32(l.cdgh, cdgh);
  }
  store_state(state, &l);
}

// A round waits for the one before it, so a message alone leaves the unit idle for half of the time.
STRATA_TARGET static void two(uint32_t a[8], uint32_t b[8], const uint8_t *p, const uint8_t *q, size_t count) {
  lane l, m;
  load_state(&l, a);
  load_state(&m, b);
  for (; count > 0; count--, p += 64, q += 64) {
    __m128i abef_l = l.abef, cdgh_l = l.cdgh, abef_m = m.abef, cdgh_m = m.cdgh;
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) {
      four_rounds(&l, p, i);
      four_rounds(&m, q, i);
    }
    l.abef = _mm_add_epi32(l.abef, abef_l);
    l.cdgh = _mm_add_epi32(l.cdgh, cdgh_l);
    m.abef = _mm_add_epi32(m.abef, abef_m);
    m.cdgh = _mm_add_epi32(m.cdgh, cdgh_m);
  }
  store_state(a, &l);
  store_state(b, &m);
}

static const struct strata_sha256_form form = {one, two};

const struct strata_sha256_form *strata_sha256_instructions(void) {
  unsigned a, b = 0, c, d;
  __asm__("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(0), "c"(0));
  if (a < 7) return 0;
  __asm__("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(7), "c"(0));
  __builtin_cpu_init();
  return (b >> 29 & 1) && __builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("ssse3") ? &form : 0;
}
#endif
