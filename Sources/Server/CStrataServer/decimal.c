#include "CStrataServer.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int parse(const char *text, size_t length, long double *value) {
  char copy[256];
  char *end = NULL;
  if (length == 0 || length >= sizeof copy) return STRATA_DECIMAL_NOT_A_NUMBER;
  memcpy(copy, text, length);
  copy[length] = 0;
  if (isspace((unsigned char)copy[0])) return STRATA_DECIMAL_NOT_A_NUMBER;
  errno = 0;
  *value = strtold(copy, &end);
  // A zero byte inside the text ends the number early, which the comparison of lengths catches.
  if ((size_t)(end - copy) != length) return STRATA_DECIMAL_NOT_A_NUMBER;
  if (errno == ERANGE && (*value == HUGE_VALL || *value == -HUGE_VALL || fpclassify(*value) == FP_ZERO)) return STRATA_DECIMAL_NOT_A_NUMBER;
  if (errno == EINVAL || isnan(*value)) return STRATA_DECIMAL_NOT_A_NUMBER;
  return STRATA_DECIMAL_OK;
}

int strata_decimal_check(const char *text, size_t length) {
  long double value;
  return parse(text, length, &value);
}

int strata_decimal_add(const char *a, size_t a_length, const char *b, size_t b_length, char *out, size_t capacity, size_t *length) {
  long double x, y;
  if (parse(a, a_length, &x) != STRATA_DECIMAL_OK || parse(b, b_length, &y) != STRATA_DECIMAL_OK) return STRATA_DECIMAL_NOT_A_NUMBER;
  long double sum = x + y;
  if (isnan(sum) || isinf(sum)) return STRATA_DECIMAL_OVERFLOW;
  int written = snprintf(out, capacity, "%.17Lf", sum);
  if (written < 0 || (size_t)written >= capacity) return STRATA_DECIMAL_OVERFLOW;
  size_t n = (size_t)written;
  if (memchr(out, '.', n) != NULL) {
    while (n > 0 && out[n - 1] == '0') n--;
    if (n > 0 && out[n - 1] == '.') n--;
  }
  if (n == 2 && out[0] == '-' && out[1] == '0') {
    out[0] = '0';
    n = 1;
  }
  *length = n;
  return STRATA_DECIMAL_OK;
}
