// What the files of this target share.
#ifndef STRATA_DIGEST_FORMS_H
#define STRATA_DIGEST_FORMS_H
#include "CStrataDigest.h"

// The round constants: the first 32 bits of the fractions of the cube roots of the first 64 primes.
extern const uint32_t strata_sha256_constants[64];

extern const struct strata_sha256_form strata_sha256_software;

// The form by instructions, or null where this processor has none.
const struct strata_sha256_form *strata_sha256_instructions(void);
#endif
