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
#define WIDE __attribute__((target("avx2,bmi,bmi2")))
#define WIDEST __attribute__((target("avx2,bmi,bmi2,avx512f,avx512bw,avx512vl")))

static int has_widest_blocks;

__attribute__((constructor)) static void choose(void) {
  __builtin_cpu_init();
  strata_has_wide_blocks = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
  has_widest_blocks = strata_has_wide_blocks && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                       __builtin_cpu_supports("avx512vl");
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

// Batches fetch the block of the key this far behind the present one: far enough for memory, near enough to stay in the nearest cache.
enum { AHEAD = 16 };

static inline __attribute__((always_inline)) void fetch(const char *base, uint64_t blocks, const uint64_t *hashes, size_t keys, size_t next) {
  __builtin_prefetch(base + strata_block_offset(hashes[next < keys ? next : keys - 1], blocks));
}

WIDE static void test_many_wide(const char *base, uint64_t blocks, int count, const uint64_t *hashes, size_t keys, uint64_t *answers) {
  for (size_t first = 0; first < keys; first += 64) {
    size_t group = keys - first < 64 ? keys - first : 64;
    uint64_t word = 0;
    for (size_t i = 0; i < group; i++) {
      uint64_t hash = hashes[first + i];
      fetch(base, blocks, hashes, keys, first + i + AHEAD);
      word |= (uint64_t)test(base + strata_block_offset(hash, blocks), (uint32_t)hash, count) << i;
    }
    answers[first / 64] = word;
  }
}

// The same for at most eight bits of a key, where one instruction picks words out of the whole block. What of a key is missing goes to memory
// as a byte, and sixty-four of them become answers at once. A filter of at most FEW blocks lies in the caches: there fetching ahead costs more
// than it brings.
enum { FEW = 1 << 15 };

WIDEST static inline __attribute__((always_inline)) void test_many_within(
    const char *base, uint64_t blocks, int count, const uint64_t *hashes, size_t keys, uint64_t *answers, int fetches) {
  const __m256i powers = _mm256_setr_epi32(1, (int)P1, (int)P2, (int)(P2 * P1), (int)P4, (int)(P4 * P1), (int)(P4 * P2), (int)(P4 * P2 * P1));
  const __m256i ones = _mm256_set1_epi32(1);
  const __mmask8 used = (__mmask8)((1u << count) - 1);
  uint8_t missing[64] __attribute__((aligned(64)));
  _mm512_store_si512(missing, _mm512_set1_epi8(-1));
  for (size_t first = 0; first < keys; first += 64) {
    size_t group = keys - first < 64 ? keys - first : 64;
    for (size_t i = 0; i < group; i++) {
      uint64_t hash = hashes[first + i];
      if (fetches) fetch(base, blocks, hashes, keys, first + i + AHEAD);
      __m256i products = _mm256_mullo_epi32(_mm256_set1_epi32((int)hash), powers);
      __m512i block = _mm512_loadu_si512(base + strata_block_offset(hash, blocks));
      __m512i words = _mm512_permutexvar_epi32(_mm512_castsi256_si512(_mm256_srli_epi32(products, 28)), block);
      // A turn by the upper nine bits is one by the lower five of them.
      __m256i bits = _mm256_rolv_epi32(ones, _mm256_srli_epi32(products, 23));
      missing[i] = (uint8_t)_mm256_mask_testn_epi32_mask(used, _mm512_castsi512_si256(words), bits);
    }
    __m512i all = _mm512_load_si512(missing);
    // What stands behind the last key of a group that is not full is of the group before.
    answers[first / 64] = _mm512_testn_epi8_mask(all, all) & (~(uint64_t)0 >> (64 - group));
  }
}

WIDEST static void test_many_widest(const char *base, uint64_t blocks, int count, const uint64_t *hashes, size_t keys, uint64_t *answers) {
  if (blocks <= FEW) return test_many_within(base, blocks, count, hashes, keys, answers, 0);
  test_many_within(base, blocks, count, hashes, keys, answers, 1);
}

static void test_many(const char *base, uint64_t blocks, int count, const uint64_t *hashes, size_t keys, uint64_t *answers) {
  (has_widest_blocks && count <= 8 ? test_many_widest : test_many_wide)(base, blocks, count, hashes, keys, answers);
}

static inline __attribute__((always_inline)) void set_each(char *base, uint64_t blocks, int count, const uint64_t *hashes, size_t keys) {
  for (size_t i = 0; i < keys; i++) {
    fetch(base, blocks, hashes, keys, i + AHEAD);
    strata_block_set(base + strata_block_offset(hashes[i], blocks), (uint32_t)hashes[i], count);
  }
}

WIDE static void set_many(char *base, uint64_t blocks, int count, const uint64_t *hashes, size_t keys) {
  // The number of bits of ten bits per key, known to the compiler.
  if (count == 6) return set_each(base, blocks, 6, hashes, keys);
  set_each(base, blocks, count, hashes, keys);
}
#else
int strata_block_test_wide(const void *block, uint32_t half, int count) { return strata_block_test_narrow(block, half, count); }

static void test_many(const char *base, uint64_t blocks, int count, const uint64_t *hashes, size_t keys, uint64_t *answers) {
  (void)base, (void)blocks, (void)count, (void)hashes, (void)keys, (void)answers;
}

static void set_many(char *base, uint64_t blocks, int count, const uint64_t *hashes, size_t keys) {
  (void)base, (void)blocks, (void)count, (void)hashes, (void)keys;
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

static void set_many_narrow(char *base, uint64_t blocks, int count, const uint64_t *hashes, size_t keys) {
  enum { BEHIND = 12 };
  for (size_t i = 0; i < keys; i++) {
    if (i + BEHIND < keys) __builtin_prefetch(base + strata_block_offset(hashes[i + BEHIND], blocks), 1);
    strata_block_set(base + strata_block_offset(hashes[i], blocks), (uint32_t)hashes[i], count);
  }
}

void strata_blocks_set(void *base, uint64_t blocks, int count, const uint64_t *hashes, size_t keys) {
  (strata_has_wide_blocks ? set_many : set_many_narrow)(base, blocks, count, hashes, keys);
}
