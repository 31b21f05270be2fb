#pragma once
#include <stddef.h>

// Decimal arithmetic in the widest floating type of the machine (80-bit on x86-64), for INCRBYFLOAT: Redis adds in `long double`,
// which Swift can neither parse nor print on every architecture.

enum strata_decimal_result {
  STRATA_DECIMAL_OK = 0,
  STRATA_DECIMAL_NOT_A_NUMBER = 1,  // one of the operands is not a finite or infinite decimal number
  STRATA_DECIMAL_OVERFLOW = 2,      // the sum is infinite or not a number
};

/// Writes the sum of the decimal texts `a` and `b` (not terminated) to `out` in the shortest form of "%.17Lf" and its length to `length`.
/// `out` must hold 5120 bytes: the largest `long double` has 4933 digits before the point.
int strata_decimal_add(const char *a, size_t a_length, const char *b, size_t b_length, char *out, size_t capacity, size_t *length);

/// Checks that `text` (not terminated) is a decimal number in the sense of `strata_decimal_add`.
int strata_decimal_check(const char *text, size_t length);

/// Bytes of heap in use, mapped blocks included; 0 where the C library does not tell.
unsigned long long strata_heap_bytes(void);

/// Highest resident size of this process in bytes so far.
unsigned long long strata_peak_resident_bytes(void);

/// Microseconds of processor time spent by this process in user and system mode.
void strata_processor_time(unsigned long long *user, unsigned long long *system);
