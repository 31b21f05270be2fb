#include "forms.h"

// Until the constructor below has run, a bit at a time: right, needs no table.
static uint32_t bitwise(uint32_t crc, const void *bytes, size_t length) {
  const uint8_t *p = bytes;
  crc = ~crc;
  while (length-- > 0) crc = strata_shift(crc ^ *p++, 8);
  return ~crc;
}

strata_crc32c_form strata_crc32c_chosen = bitwise;
static strata_crc32c_form forms[3];

__attribute__((constructor)) static void choose(void) {
  strata_software_prepare();
  forms[STRATA_CRC32C_SOFTWARE] = strata_crc32c_software;
  strata_hardware_prepare(forms);
  for (int kind = 0; kind < 3; kind++) {
    if (forms[kind]) strata_crc32c_chosen = forms[kind];
  }
}

strata_crc32c_form strata_crc32c_form_of(int kind) { return kind >= 0 && kind < 3 ? forms[kind] : 0; }
