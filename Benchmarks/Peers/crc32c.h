// CRC-32C of a buffer: the processor's instruction where it has one, a table otherwise.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace peer {

inline uint32_t crc32c_table(const char* bytes, size_t size, uint32_t crc) {
  static const auto table = [] {
    std::array<uint32_t, 256> entries{};
    for (uint32_t i = 0; i < 256; i++) {
      uint32_t value = i;
      for (int bit = 0; bit < 8; bit++) value = value & 1 ? value >> 1 ^ 0x82F63B78 : value >> 1;
      entries[i] = value;
    }
    return entries;
  }();
  for (size_t i = 0; i < size; i++) crc = table[(crc ^ static_cast<uint8_t>(bytes[i])) & 255] ^ crc >> 8;
  return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) inline uint32_t crc32c_sse(const char* bytes, size_t size, uint32_t seed) {
  uint64_t crc = seed;
  size_t i = 0;
  for (; i + 8 <= size; i += 8) {
    uint64_t word;
    std::memcpy(&word, bytes + i, 8);
    crc = _mm_crc32_u64(crc, word);
  }
  for (; i < size; i++) crc = _mm_crc32_u8(static_cast<uint32_t>(crc), static_cast<uint8_t>(bytes[i]));
  return static_cast<uint32_t>(crc);
}
#endif

inline uint32_t crc32c(const char* bytes, size_t size) {
#if defined(__x86_64__)
  static const bool has_instruction = __builtin_cpu_supports("sse4.2");
  if (has_instruction) return ~crc32c_sse(bytes, size, ~0u);
#endif
  return ~crc32c_table(bytes, size, ~0u);
}

}  // namespace peer
