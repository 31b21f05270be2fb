#include "CStrataFilters.h"

// The geometry of RocksDB's FastLocalBloom, of which the upper nine bits of every product name one of a block's 512 bits.

int strata_has_wide_blocks;
int (*strata_block_test_form)(const void *block, uint32_t half, int count) = strata_block_test_narrow;

int strata_block_test_narrow(const void *block, uint32_t half, int count) {
  const unsigned char *bytes = block;
  for (; count > 0; count--, half *= STRATA_BLOCK_STEP) {
    if ((bytes[half >> 26] >> ((half >> 23) & 7) & 1) == 0) return 0;
  }
  return 1;
}

#if defined(__x86_64__)
#include <immintrin.h>
#define WIDE __attribute__((target("avx2")))

__attribute__((constructor)) static void choose(void) {
  __builtin_cpu_init();
  strata_has_wide_blocks = __builtin_cpu_supports("avx2") != 0;
  if (strata_has_wide_blocks) strata_block_test_form = strata_block_test_wide;
}

// The multiplier to the powers 0 to 7, and to the eighth, modulo 2^32.
#define P1 STRATA_BLOCK_STEP
#define P2 (P1 * P1)
#define P4 (P2 * P2)
#define P8 (P4 * P4)

// Ones in the lanes below a count of 0 to 8.
static const uint32_t lanes[16] = {1, 1, 1, 1, 1, 1, 1, 1};

WIDE static inline __attribute__((always_inline)) int test8(__m256i lower, __m256i upper, uint32_t half, int count) {
  const __m256i powers = _mm256_setr_epi32(1, (int)P1, (int)P2, (int)(P2 * P1), (int)P4, (int)(P4 * P1), (int)(P4 * P2), (int)(P4 * P2 * P1));
  __m256i products = _mm256_mullo_epi32(_mm256_set1_epi32((int)half), powers);
  // Four bits pick one of sixteen 32-bit words: three of them within a half of the block, the topmost which half.
  __m256i places = _mm256_srli_epi32(products, 28);
  __m256i low = _mm256_permutevar8x32_epi32(lower, places);
  __m256i high = _mm256_permutevar8x32_epi32(upper, places);
  __m256i words = _mm256_castps_si256(_mm256_blendv_ps(_mm256_castsi256_ps(low), _mm256_castsi256_ps(high), _mm256_castsi256_ps(products)));
  __m256i ones = _mm256_loadu_si256((const __m256i *)(lanes + 8 - count));
  __m256i bits = _mm256_sllv_epi32(ones, _mm256_srli_epi32(_mm256_slli_epi32(products, 4), 27));
  return _mm256_testc_si256(words, bits);
}

WIDE static inline __attribute__((always_inline)) int test(const void *block, uint32_t half, int count) {
  __m256i lower = _mm256_loadu_si256((const __m256i *)block);
  __m256i upper = _mm256_loadu_si256((const __m256i *)block + 1);
  if (__builtin_expect(count <= 8, 1)) return test8(lower, upper, half, count);
  for (; count > 8; count -= 8, half *= P8) {
    if (!test8(lower, upper, half, 8)) return 0;
  }
  return test8(lower, upper, half, count);
}

WIDE int strata_block_test_wide(const void *block, uint32_t half, int count) { return test(block, half, count); }

WIDE static void test_many(const char *base, uint64_t blocks, int count, const uint64_t *hashes, size_t keys, uint64_t *answers) {
  for (size_t first = 0; first < keys; first += 64) {
    size_t group = keys - first < 64 ? keys - first : 64;
    for (size_t i = 0; i < group; i++) __builtin_prefetch(base + strata_block_offset(hashes[first + i], blocks));
    uint64_t word = 0;
    for (size_t i = 0; i < group; i++) {
      uint64_t hash = hashes[first + i];
      word |= (uint64_t)test(base + strata_block_offset(hash, blocks), (uint32_t)hash, count) << i;
    }
    answers[first / 64] = word;
  }
}
#else
int strata_block_test_wide(const void *block, uint32_t half, int count) { return strata_block_test_narrow(block, half, count); }

static void test_many(const char *base, uint64_t blocks, int count, const uint64_t *hashes, size_t keys, uint64_t *answers) {
  (void)base, (void)blocks, (void)count, (void)hashes, (void)keys, (void)answers;
}
#endif

static void test_many_narrow(const char *base, uint64_t blocks, int count, const uint64_t *hashes, size_t keys, uint64_t *answers) {
  for (size_t first = 0; first < keys; first += 64) {
    size_t group = keys - first < 64 ? keys - first : 64;
    for (size_t i = 0; i < group; i++) __builtin_prefetch(base + strata_block_offset(hashes[first + i], blocks));
    uint64_t word = 0;
    for (size_t i = 0; i < group; i++) {
      uint64_t hash = hashes[first + i];
      word |= (uint64_t)strata_block_test_narrow(base + strata_block_offset(hash, blocks), (uint32_t)hash, count) << i;
    }
    answers[first / 64] = word;
  }
}

void strata_blocks_test(const void *base, uint64_t blocks, int count, const uint64_t *hashes, size_t keys, uint64_t *answers) {
  (strata_has_wide_blocks ? test_many : test_many_narrow)(base, blocks, count, hashes, keys, answers);
}

void strata_blocks_set(void *base, uint64_t blocks, int count, const uint64_t *hashes, size_t keys) {
  enum { AHEAD = 12 };
  for (size_t i = 0; i < keys; i++) {
    if (i + AHEAD < keys) __builtin_prefetch((char *)base + strata_block_offset(hashes[i + AHEAD], blocks), 1);
    strata_block_set((char *)base + strata_block_offset(hashes[i], blocks), (uint32_t)hashes[i], count);
  }
}
