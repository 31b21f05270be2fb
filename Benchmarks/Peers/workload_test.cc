// Holds workload.h to the numbers BenchmarkKit's own tests hold it to, so that both sides of a comparison do the same work.
#include "crc32c.h"
#include "workload.h"

namespace {

void expect(bool holds, const std::string& what) {
  if (!holds) peer::fail("workload_test: " + what);
}

}  // namespace

int main() {
  char key[peer::key_size];
  peer::key_of(0, 1, key);
  expect(std::string(key, sizeof key) == "5e41ab087439611e", "the key of 0 under seed 1");
  peer::key_of(123456789, 42, key);
  expect(std::string(key, sizeof key) == "c3961703aa13525b", "the key of 123456789 under seed 42");

  peer::Random random(7);
  expect(random.next() == 1507201545562260538ULL && random.next() == 4764137222614882372ULL, "the first numbers under seed 7");
  expect(random.below(1000) == 354, "a number below 1000 under seed 7");
  const peer::Zipf zipf(1000, 0.99);
  peer::Random draws(11);
  for (const uint64_t rank : {978, 807, 590, 421, 838}) expect(zipf.next(draws) == rank, "Zipf 0.99 over 1000 under seed 11");
  const peer::Shuffle shuffle(1000, 3);
  uint64_t place = 0;
  for (const uint64_t number : {300, 943, 809, 623, 847}) expect(shuffle.at(place++) == number, "the order of 1000 under seed 3");
  const peer::Values values(5, 4);
  expect(std::memcmp(values.of(9), "\x4c\xfa\x06\x40", 4) == 0, "the value of 9 under seed 5");

  std::vector<bool> seen(1000);
  for (uint64_t i = 0; i < 1000; i++) {
    expect(!seen[shuffle.at(i)], "Shuffle is a bijection");
    seen[shuffle.at(i)] = true;
  }
  peer::Histogram histogram;
  for (uint64_t i = 1; i <= 100000; i++) histogram.record(i);
  expect(std::abs(static_cast<double>(histogram.percentile(0.5)) / 50000 - 1) < 0.04, "the median of 1...100000");
  expect(std::abs(static_cast<double>(histogram.percentile(0.99)) / 99000 - 1) < 0.04, "the 99th percentile of 1...100000");
  expect(histogram.max() == 100000, "the largest of 1...100000");
  expect(peer::crc32c("123456789", 9) == 0xE3069283, "CRC-32C of 123456789");
  expect(~peer::crc32c_table("123456789", 9, ~0u) == 0xE3069283, "CRC-32C of 123456789 by table");
}
