#if defined(__aarch64__)
#include <arm_acle.h>
#include <arm_neon.h>
#if defined(__linux__)
#include <sys/auxv.h>
#endif

#define STRATA_TARGET __attribute__((target("crc,aes")))
#define STRATA_STEP1(crc, byte) __crc32cb(crc, byte)
#define STRATA_STEP2(crc, half) __crc32ch(crc, half)
#define STRATA_STEP4(crc, word) __crc32cw(crc, word)
#define STRATA_STEP8(crc, word) __crc32cd((uint32_t)(crc), word)
#define STRATA_MULTIPLY(a, b) vgetq_lane_u64(vreinterpretq_u64_p128(vmull_p64((poly64_t)(a), (poly64_t)(b))), 0)
#include "lanes.h"

static int has_instructions(void) {
#if defined(__APPLE__)
  return 1; // every 64-bit processor Apple ships has both
#elif defined(__linux__)
  const unsigned long multiply = 1ul << 4, checksum = 1ul << 7; // HWCAP_PMULL, HWCAP_CRC32
  return (getauxval(AT_HWCAP) & (multiply | checksum)) == (multiply | checksum);
#else
  return 0;
#endif
}

void strata_hardware_prepare(strata_crc32c_form forms[3]) {
  if (!has_instructions()) return;
  lanes_prepare();
  forms[STRATA_CRC32C_LANES] = strata_crc32c_lanes;
}
#elif !defined(__x86_64__)
#include "forms.h"

void strata_hardware_prepare(strata_crc32c_form forms[3]) { (void)forms; }
#endif
