#ifndef STRATA_CHECKSUM_H
#define STRATA_CHECKSUM_H
#include <stddef.h>
#include <stdint.h>

// One way to compute CRC-32C (Castagnoli, RFC 3720 B.4) of `length` bytes, continuing from the checksum `crc` of what came before
// (0 to begin). All give the same results. `bytes` may be null where `length` is 0.
typedef uint32_t (*strata_crc32c_form)(uint32_t crc, const void *bytes, size_t length);

// The form for this processor: written once before `main`, while the process has one thread, and only read afterwards.
extern strata_crc32c_form strata_crc32c_chosen;

// The checksum by the chosen form. Any thread may call it.
static inline uint32_t strata_crc32c(uint32_t crc, const void *bytes, size_t length) {
  return strata_crc32c_chosen(crc, bytes, length);
}

enum strata_crc32c_kind {
  STRATA_CRC32C_SOFTWARE = 0, // slice-by-8 tables, everywhere
  STRATA_CRC32C_LANES = 1,    // CRC instructions, three lanes merged by carry-less multiply
  STRATA_CRC32C_FOLDING = 2,  // 512-bit carry-less multiply
};

// The form of a kind, or null where this processor cannot run it. For tests that compare them, and for `strata version`.
strata_crc32c_form strata_crc32c_form_of(int kind);

// The sign of the first difference in byte order (unsigned), the shorter of two equal beginnings being less.
static inline int strata_compare(const void *a, size_t a_length, const void *b, size_t b_length) {
  size_t common = a_length < b_length ? a_length : b_length;
  int order = common == 0 ? 0 : __builtin_memcmp(a, b, common);
  if (order != 0) return order < 0 ? -1 : 1;
  return (a_length > b_length) - (a_length < b_length);
}
#endif
