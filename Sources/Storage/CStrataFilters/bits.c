#include "CStrataFilters.h"

#include <string.h>

// Bits anywhere among many, for many keys in one call. The loops are written once and compiled twice: for any processor, and for those whose
// multiplications and shifts leave the flags alone.

#define INLINE static inline __attribute__((always_inline))

// At most this many bits of a key are looked at before an answer is tried: a branch that is a guess costs more than reading bits for nothing.
enum { AT_ONCE = 8 };

INLINE uint64_t place(uint64_t walk, uint64_t bits) { return (uint64_t)(((unsigned __int128)walk * bits) >> 64); }

INLINE uint64_t set(uint64_t *words, uint64_t bits, int count, const uint64_t *hashes, size_t keys, int counts) {
  uint64_t fresh = 0;
  for (size_t i = 0; i < keys; i++) {
    uint64_t walk = hashes[i];
    for (int left = count; left > 0; left--, walk *= STRATA_BITS_STEP) {
      uint64_t position = place(walk, bits);
      uint64_t before = words[position >> 6], after = before | strata_little((uint64_t)1 << (position & 63));
      if (counts) fresh += before != after;
      words[position >> 6] = after;
    }
  }
  return fresh;
}

// The wanted bit of a word and what is above it. A filter that is only read may begin anywhere.
INLINE uint64_t from(const char *words, uint64_t position) {
  uint64_t word;
  memcpy(&word, words + (position >> 6) * 8, 8);
  return strata_little(word) >> (position & 63);
}

INLINE int test(const char *words, uint64_t bits, int count, uint64_t walk) {
  uint64_t all = 1;
  for (; count > AT_ONCE; count -= AT_ONCE) {
    for (int i = 0; i < AT_ONCE; i++, walk *= STRATA_BITS_STEP) all &= from(words, place(walk, bits));
    if (all == 0) return 0;
  }
  for (; count > 0; count--, walk *= STRATA_BITS_STEP) all &= from(words, place(walk, bits));
  return (int)all;
}

INLINE void test_many(const char *words, uint64_t bits, int count, const uint64_t *hashes, size_t keys, uint64_t *answers) {
  for (size_t first = 0; first < keys; first += 64) {
    size_t group = keys - first < 64 ? keys - first : 64;
    uint64_t word = 0;
    for (size_t i = 0; i < group; i++) word |= (uint64_t)test(words, bits, count, hashes[first + i]) << i;
    answers[first / 64] = word;
  }
}

#if defined(__x86_64__)
#define WIDE __attribute__((target("bmi,bmi2")))
WIDE static uint64_t set_wide(uint64_t *words, uint64_t bits, int count, const uint64_t *hashes, size_t keys) {
  return set(words, bits, count, hashes, keys, 1);
}
WIDE static void set_wide_uncounted(uint64_t *words, uint64_t bits, int count, const uint64_t *hashes, size_t keys) {
  set(words, bits, count, hashes, keys, 0);
}
WIDE static void test_wide(const char *words, uint64_t bits, int count, const uint64_t *hashes, size_t keys, uint64_t *answers) {
  test_many(words, bits, count, hashes, keys, answers);
}
#else
#define set_wide set_narrow
#define set_wide_uncounted set_narrow_uncounted
#define test_wide test_narrow
#endif

static uint64_t set_narrow(uint64_t *words, uint64_t bits, int count, const uint64_t *hashes, size_t keys) {
  return set(words, bits, count, hashes, keys, 1);
}
static void set_narrow_uncounted(uint64_t *words, uint64_t bits, int count, const uint64_t *hashes, size_t keys) {
  set(words, bits, count, hashes, keys, 0);
}
static void test_narrow(const char *words, uint64_t bits, int count, const uint64_t *hashes, size_t keys, uint64_t *answers) {
  test_many(words, bits, count, hashes, keys, answers);
}

uint64_t strata_bits_set(void *words, uint64_t bits, int count, const uint64_t *hashes, size_t keys) {
  return (strata_has_wide_blocks ? set_wide : set_narrow)(words, bits, count, hashes, keys);
}

void strata_bits_set_uncounted(void *words, uint64_t bits, int count, const uint64_t *hashes, size_t keys) {
  (strata_has_wide_blocks ? set_wide_uncounted : set_narrow_uncounted)(words, bits, count, hashes, keys);
}

void strata_bits_test(const void *words, uint64_t bits, int count, const uint64_t *hashes, size_t keys, uint64_t *answers) {
  (strata_has_wide_blocks ? test_wide : test_narrow)(words, bits, count, hashes, keys, answers);
}
