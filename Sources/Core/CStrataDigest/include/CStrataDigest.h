#ifndef STRATA_DIGEST_H
#define STRATA_DIGEST_H
#include <stddef.h>
#include <stdint.h>

// SHA-256 (FIPS 180-4). Pure functions on pointers and lengths; any thread may call them. Pointers may be null where their length is 0.

// One way to compute the compression function. All give the same results.
struct strata_sha256_form {
  // Takes `count` blocks of 64 bytes into a state.
  void (*one)(uint32_t state[8], const uint8_t *blocks, size_t count);
  // The same for two messages at once, each with its own state.
  void (*two)(uint32_t a[8], uint32_t b[8], const uint8_t *blocks_a, const uint8_t *blocks_b, size_t count);
};

enum strata_sha256_kind {
  STRATA_SHA256_SOFTWARE = 0,     // everywhere
  STRATA_SHA256_INSTRUCTIONS = 1, // SHA extensions of x86-64 or ARMv8, two messages interleaved
};

// The form of a kind, or null where this processor cannot run it. For tests that compare them.
const struct strata_sha256_form *strata_sha256_form_of(int kind);

// A message that comes in pieces.
struct strata_sha256 {
  uint32_t state[8];
  uint64_t length;
  uint8_t buffer[64];
};

void strata_sha256_begin(struct strata_sha256 *message);
void strata_sha256_add(struct strata_sha256 *message, const void *bytes, size_t length);
void strata_sha256_end(struct strata_sha256 *message, uint8_t digest[32]);

// The digest of one byte, then the bytes of `a`, then those of `b`.
void strata_sha256_tagged(uint8_t tag, const void *a, size_t a_length, const void *b, size_t b_length, uint8_t digest[32]);

// For each of `count` adjoining rows of `row_length` bytes: the digest of one byte and the row. `digests` takes 32 bytes per row and
// must not overlap the rows.
void strata_sha256_rows(uint8_t tag, const void *rows, size_t row_length, size_t count, uint8_t *digests);

// The same by a given form.
void strata_sha256_rows_by(
  const struct strata_sha256_form *form, uint8_t tag, const void *rows, size_t row_length, size_t count, uint8_t *digests);
#endif
