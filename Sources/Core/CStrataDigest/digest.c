#include "forms.h"

// Written once before `main`, while the process has one thread, and only read afterwards.
static const struct strata_sha256_form *chosen = &strata_sha256_software;
static const struct strata_sha256_form *forms[2];

__attribute__((constructor)) static void choose(void) {
  forms[STRATA_SHA256_SOFTWARE] = &strata_sha256_software;
  forms[STRATA_SHA256_INSTRUCTIONS] = strata_sha256_instructions();
  if (forms[STRATA_SHA256_INSTRUCTIONS]) chosen = forms[STRATA_SHA256_INSTRUCTIONS];
}

const struct strata_sha256_form *strata_sha256_form_of(int kind) { return kind >= 0 && kind < 2 ? forms[kind] : 0; }

// The square roots of the first eight primes, as the constants are of cube roots.
static const uint32_t initial[8] = {
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

static void set_initial(uint32_t state[8]) { __builtin_memcpy(state, initial, sizeof initial); }

static void put_digest(uint8_t digest[32], const uint32_t state[8]) {
  for (int i = 0; i < 8; i++) {
    uint32_t word = state[i];
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    word = __builtin_bswap32(word);
#endif
    __builtin_memcpy(digest + 4 * i, &word, 4);
  }
}

// The bits of a message of `length` bytes as the last eight bytes of its last block.
static void put_length(uint8_t *last_eight, uint64_t length) {
  uint64_t bits = length << 3;
  for (int i = 7; i >= 0; i--, bits >>= 8) last_eight[i] = (uint8_t)bits;
}

void strata_sha256_begin(struct strata_sha256 *message) {
  set_initial(message->state);
  message->length = 0;
}

void strata_sha256_add(struct strata_sha256 *message, const void *bytes, size_t length) {
  if (length == 0) return;
  const uint8_t *p = bytes;
  size_t held = message->length & 63;
  message->length += length;
  if (held > 0) {
    size_t taken = length < 64 - held ? length : 64 - held;
    __builtin_memcpy(message->buffer + held, p, taken);
    if (held + taken < 64) return;
    chosen->one(message->state, message->buffer, 1);
    p += taken;
    length -= taken;
  }
  if (length >= 64) chosen->one(message->state, p, length >> 6);
  __builtin_memcpy(message->buffer, p + (length & ~(size_t)63), length & 63);
}

void strata_sha256_end(struct strata_sha256 *message, uint8_t digest[32]) {
  size_t held = message->length & 63;
  uint8_t tail[128] = {0};
  __builtin_memcpy(tail, message->buffer, held);
  tail[held] = 0x80;
  size_t blocks = held < 56 ? 1 : 2;
  put_length(tail + 64 * blocks - 8, message->length);
  chosen->one(message->state, tail, blocks);
  put_digest(digest, message->state);
}

void strata_sha256_tagged(uint8_t tag, const void *a, size_t a_length, const void *b, size_t b_length, uint8_t digest[32]) {
  if (a_length <= 118 && b_length <= 118 - a_length) {
    // Both blocks at most are built in place.
    uint8_t message[128] = {tag};
    size_t length = 1 + a_length + b_length;
    if (a_length > 0) __builtin_memcpy(message + 1, a, a_length);
    if (b_length > 0) __builtin_memcpy(message + 1 + a_length, b, b_length);
    message[length] = 0x80;
    size_t blocks = length < 56 ? 1 : 2;
    put_length(message + 64 * blocks - 8, length);
    uint32_t state[8];
    set_initial(state);
    chosen->one(state, message, blocks);
    put_digest(digest, state);
    return;
  }
  struct strata_sha256 message;
  strata_sha256_begin(&message);
  strata_sha256_add(&message, &tag, 1);
  strata_sha256_add(&message, a, a_length);
  strata_sha256_add(&message, b, b_length);
  strata_sha256_end(&message, digest);
}

void strata_sha256_rows_by(
  const struct strata_sha256_form *form, uint8_t tag, const void *rows, size_t row_length, size_t count, uint8_t *digests) {
  const uint8_t *p = rows;
  // The first block begins with the tag, those in the middle are used where they lie, the tail holds what is left and the padding.
  size_t first = row_length < 63 ? row_length : 63;
  size_t middle = row_length < 63 ? 0 : (row_length - 63) >> 6;
  size_t rest = row_length < 63 ? 0 : (row_length - 63) & 63;
  size_t held = row_length < 63 ? row_length + 1 : rest; // of the block that padding begins in
  uint8_t heads[2][64] = {{tag}, {tag}}, tails[2][128] = {{0}, {0}};
  size_t tail_blocks = held < 56 ? 1 : 2;
  for (int lane = 0; lane < 2; lane++) {
    tails[lane][held] = 0x80;
    put_length(tails[lane] + 64 * tail_blocks - 8, (uint64_t)row_length + 1);
    if (row_length < 63) tails[lane][0] = tag;
  }
  while (count > 0) {
    size_t lanes = count > 1 ? 2 : 1;
    const uint8_t *row[2] = {p, lanes == 2 ? p + row_length : p};
    uint32_t state[2][8];
    for (size_t lane = 0; lane < 2; lane++) {
      set_initial(state[lane]);
      if (row_length < 63) {
        if (row_length > 0) __builtin_memcpy(tails[lane] + 1, row[lane], first);
      } else {
        __builtin_memcpy(heads[lane] + 1, row[lane], 63);
        __builtin_memcpy(tails[lane], row[lane] + 63 + 64 * middle, rest);
      }
    }
    if (row_length >= 63) {
      form->two(state[0], state[1], heads[0], heads[1], 1);
      if (middle > 0) form->two(state[0], state[1], row[0] + 63, row[1] + 63, middle);
    }
    form->two(state[0], state[1], tails[0], tails[1], tail_blocks);
    for (size_t lane = 0; lane < lanes; lane++) put_digest(digests + 32 * lane, state[lane]);
    digests += 32 * lanes;
    if (row_length > 0) p += row_length * lanes;
    count -= lanes;
  }
}

void strata_sha256_rows(uint8_t tag, const void *rows, size_t row_length, size_t count, uint8_t *digests) {
  strata_sha256_rows_by(chosen, tag, rows, row_length, count, digests);
}
