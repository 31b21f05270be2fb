#ifndef CSTRATAFILTERS_H
#define CSTRATAFILTERS_H
#include <stddef.h>
#include <stdint.h>

/// XXH3-64 of `count` bytes with a seed, by Debian's libxxhash compiled in; `bytes` may be NULL where `count` is 0.
uint64_t strata_xxh3(const void *bytes, size_t count, uint64_t seed);

/// `count` zero bytes that begin on a cache line, or NULL. Pages nobody writes to take no memory. 16 bytes more may be
/// read behind them. `owner` receives what strata_release takes.
void *strata_zeroed(size_t count, void **owner);

/// Gives back what strata_zeroed gave.
void strata_release(void *owner);

/// How many bits of `count` bytes are set.
uint64_t strata_set_bits(const void *bytes, size_t count);

/// The multiplier that gives the next position of a key within its block: 2^32 divided by the golden ratio, odd.
#define STRATA_BLOCK_STEP 0x9E3779B9u

/// The offset of the 64-byte block of a hash among `blocks` of them.
static inline size_t strata_block_offset(uint64_t hash, uint64_t blocks) { return (size_t)(((hash >> 32) * blocks) >> 32) << 6; }

/// Whether the first `count` bits of a key, of whose hash `half` is the lower half, are all set in its 64-byte block: in any processor's
/// instructions, and by vectors where strata_has_wide_blocks.
int strata_block_test_narrow(const void *block, uint32_t half, int count);
int strata_block_test_wide(const void *block, uint32_t half, int count);

/// Whether this processor has the vectors, and the better of the two forms; set before main, never after.
extern int strata_has_wide_blocks;
extern int (*strata_block_test_form)(const void *block, uint32_t half, int count);

/// The better form's answer: 0 or 1.
static inline int strata_block_test(const void *block, uint32_t half, int count) { return strata_block_test_form(block, half, count); }

/// A word of a filter, which is stored with its least significant byte first.
static inline uint64_t strata_little(uint64_t word) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  return __builtin_bswap64(word);
#else
  return word;
#endif
}

/// Sets the first `count` bits of a key in its 64-byte block, which begins at a multiple of eight.
static inline void strata_block_set(void *block, uint32_t half, int count) {
  uint64_t *words = (uint64_t *)block;
  for (; count > 0; count--, half *= STRATA_BLOCK_STEP) words[half >> 29] |= strata_little((uint64_t)1 << ((half >> 23) & 63));
}

/// strata_block_test for `keys` hashes against `blocks` blocks: bit i of `answers`, 64 to a word, is the answer for hashes[i]. Whole words are
/// written. Blocks to come are fetched while one is looked at.
void strata_blocks_test(const void *base, uint64_t blocks, int count, const uint64_t *hashes, size_t keys, uint64_t *answers);

/// strata_block_set for `keys` hashes; blocks to come are fetched while one is set.
void strata_blocks_set(void *base, uint64_t blocks, int count, const uint64_t *hashes, size_t keys);

/// Sets `count` bits of each of `keys` hashes among the `bits` of `words`: the upper half of the product of `bits` and a walk that begins with the
/// hash and is multiplied with STRATA_BITS_STEP for every further bit. Gives how many were not set before.
uint64_t strata_bits_set(void *words, uint64_t bits, int count, const uint64_t *hashes, size_t keys);

/// The same without counting, which is faster.
void strata_bits_set_uncounted(void *words, uint64_t bits, int count, const uint64_t *hashes, size_t keys);

/// Whether all `count` bits of each of `keys` hashes are set: answers as those of strata_blocks_test.
void strata_bits_test(const void *words, uint64_t bits, int count, const uint64_t *hashes, size_t keys, uint64_t *answers);

/// 2^64 divided by the golden ratio, odd.
#define STRATA_BITS_STEP 0x9E3779B97F4A7C15u

#endif
