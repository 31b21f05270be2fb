#if defined(__x86_64__)
#include <immintrin.h>

#define STRATA_TARGET __attribute__((target("sse4.2,crc32,pclmul")))
#define STRATA_STEP1(crc, byte) _mm_crc32_u8(crc, byte)
#define STRATA_STEP2(crc, half) _mm_crc32_u16(crc, half)
#define STRATA_STEP4(crc, word) _mm_crc32_u32(crc, word)
#define STRATA_STEP8(crc, word) _mm_crc32_u64(crc, word)
#define STRATA_MULTIPLY(a, b) \
  ((uint64_t)_mm_cvtsi128_si64(_mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)(a)), _mm_cvtsi64_si128((long long)(b)), 0)))
#include "lanes.h"

#define WIDE __attribute__((target("sse4.2,crc32,pclmul,vpclmulqdq,avx512f,avx512vl,avx512dq,avx512bw")))
#define FOLDING_FROM 256

// A 128-bit piece (its first eight bytes are the low half) moves forward by d bits as low·x^(d+64) + high·x^d. The carry-less product
// of two reflected 64-bit values is itself reflected and one x too large, so the factors are x^(d+63) and x^(d-1), in the upper
// halves of their words. Gopal et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ", Intel 2009.
// Written once, before `main`.
static uint64_t over_256_bytes[8], over_192_bytes[8], over_128_bytes[8], over_64_bytes[8], to_last_piece[8];

static void factor(uint64_t pair[2], uint32_t bits) {
  pair[0] = (uint64_t)strata_shift(0x80000000u, bits + 63) << 32;
  pair[1] = (uint64_t)strata_shift(0x80000000u, bits - 1) << 32;
}

static void folding_prepare(void) {
  for (uint32_t piece = 0; piece < 4; piece++) {
    factor(over_256_bytes + 2 * piece, 2048);
    factor(over_192_bytes + 2 * piece, 1536);
    factor(over_128_bytes + 2 * piece, 1024);
    factor(over_64_bytes + 2 * piece, 512);
    // The last piece stays where it is and is masked out of the product.
    if (piece < 3) factor(to_last_piece + 2 * piece, 384 - 128 * piece);
  }
}

WIDE static inline __m512i fold(__m512i x, __m512i factors, __m512i next) {
  __m512i low = _mm512_clmulepi64_epi128(x, factors, 0x00);
  __m512i high = _mm512_clmulepi64_epi128(x, factors, 0x11);
  return _mm512_ternarylogic_epi64(low, high, next, 0x96); // three-way exclusive or
}

WIDE static uint32_t strata_crc32c_folding(uint32_t crc, const void *bytes, size_t length) {
  const uint8_t *p = bytes;
  if (length < STRATA_LANES_FROM) return ~one_lane(~crc, p, length);
  if (length < FOLDING_FROM) return ~three_lanes(~crc, p, length);

  // A register in front of a message is the register added to the message's first four bytes.
  __m512i a = _mm512_xor_si512(_mm512_loadu_si512(p), _mm512_zextsi128_si512(_mm_cvtsi32_si128((int)~crc)));
  __m512i b = _mm512_loadu_si512(p + 64), c = _mm512_loadu_si512(p + 128), d = _mm512_loadu_si512(p + 192);
  const __m512i four = _mm512_loadu_si512(over_256_bytes), one = _mm512_loadu_si512(over_64_bytes);
  for (p += 256, length -= 256; length >= 256; p += 256, length -= 256) {
    a = fold(a, four, _mm512_loadu_si512(p));
    b = fold(b, four, _mm512_loadu_si512(p + 64));
    c = fold(c, four, _mm512_loadu_si512(p + 128));
    d = fold(d, four, _mm512_loadu_si512(p + 192));
  }
  d = fold(c, one, d);
  d = fold(b, _mm512_loadu_si512(over_128_bytes), d);
  d = fold(a, _mm512_loadu_si512(over_192_bytes), d);
  for (; length >= 64; p += 64, length -= 64) d = fold(d, one, _mm512_loadu_si512(p));

  __m512i last = _mm512_maskz_mov_epi64(0xC0, d);
  d = fold(d, _mm512_loadu_si512(to_last_piece), last);
  __m256i half = _mm256_xor_si256(_mm512_castsi512_si256(d), _mm512_extracti64x4_epi64(d, 1));
  __m128i piece = _mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
  uint64_t rest = _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(piece));
  rest = _mm_crc32_u64(rest, (uint64_t)_mm_extract_epi64(piece, 1));
  return ~one_lane((uint32_t)rest, p, length);
}

void strata_hardware_prepare(strata_crc32c_form forms[3]) {
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("sse4.2") || !__builtin_cpu_supports("pclmul")) return;
  lanes_prepare();
  forms[STRATA_CRC32C_LANES] = strata_crc32c_lanes;
  // These answers include whether the operating system saves the wide registers.
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq")
      || !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("vpclmulqdq")) return;
  folding_prepare();
  forms[STRATA_CRC32C_FOLDING] = strata_crc32c_folding;
}
#endif
