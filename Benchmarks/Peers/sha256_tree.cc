// The root of a Merkle tree (RFC 9162) over blocks of 32 bytes, with OpenSSL's SHA-256: twice the leaves, less one, hashes.
//
// --mode tree: all levels one after another in one flat buffer.
// --mode stream: leaf by leaf with a stack of subtrees (a compact range), the root after each thousandth leaf.
#define OPENSSL_SUPPRESS_DEPRECATED  // the functions without a context on the heap, which are the fastest OpenSSL has
#include <openssl/sha.h>

#include "workload.h"

namespace {

constexpr size_t digest_bytes = 32, block_bytes = 32;

inline void hash(uint8_t tag, const uint8_t* bytes, size_t size, uint8_t* digest) {
  SHA256_CTX context;
  SHA256_Init(&context);
  SHA256_Update(&context, &tag, 1);
  SHA256_Update(&context, bytes, size);
  SHA256_Final(digest, &context);
}

std::vector<uint8_t> blocks(uint64_t count) {
  std::vector<uint8_t> bytes(count * block_bytes);
  for (uint64_t i = 0; i < count; i++) {
    for (size_t word = 0; word < 4; word++) std::memcpy(&bytes[i * block_bytes + 8 * word], &i, 8);
  }
  return bytes;
}

uint64_t prefix(const uint8_t* digest) {
  uint64_t word = 0;
  for (int i = 0; i < 6; i++) word = word << 8 | digest[i];
  return word;
}

uint64_t tree(const std::vector<uint8_t>& bytes, uint64_t count) {
  std::vector<uint8_t> level(count * digest_bytes);
  for (uint64_t i = 0; i < count; i++) hash(0, &bytes[i * block_bytes], block_bytes, &level[i * digest_bytes]);
  // In place: a node never overwrites a digest still to be read. A last one without a sibling moves up as it is, which gives RFC 9162's root.
  for (; count > 1; count = (count + 1) / 2) {
    for (uint64_t i = 0; i < count / 2; i++) hash(1, &level[2 * i * digest_bytes], 2 * digest_bytes, &level[i * digest_bytes]);
    if (count % 2 == 1) std::memmove(&level[count / 2 * digest_bytes], &level[(count - 1) * digest_bytes], digest_bytes);
  }
  return prefix(level.data());
}

struct CompactRange {
  uint8_t peaks[64][2 * digest_bytes];  // the upper half is room for a right sibling
  size_t height = 0;
  uint64_t count = 0;

  void append(const uint8_t* block) {
    hash(0, block, block_bytes, peaks[height++]);
    for (uint64_t bits = count++; bits & 1; bits >>= 1) {
      height--;
      std::memcpy(peaks[height - 1] + digest_bytes, peaks[height], digest_bytes);
      hash(1, peaks[height - 1], 2 * digest_bytes, peaks[height - 1]);
    }
  }
  void root(uint8_t* digest) const {
    uint8_t pair[2 * digest_bytes];
    std::memcpy(digest, peaks[height - 1], digest_bytes);
    for (size_t i = height - 1; i-- > 0;) {
      std::memcpy(pair, peaks[i], digest_bytes);
      std::memcpy(pair + digest_bytes, digest, digest_bytes);
      hash(1, pair, sizeof pair, digest);
    }
  }
};

}  // namespace

int main(int argc, char** argv) {
  const peer::Flags flags(argc, argv, {{"records", "1000000"}, {"mode", "tree"}});
  const uint64_t count = flags.number("records");
  const std::vector<uint8_t> bytes = blocks(count);
  // One operation of the run is the whole tree, so that the clock is not what is measured.
  peer::Run run(1, 1, 0, 2, [&](peer::Worker& worker, uint64_t) {
    if (flags.is("mode", "tree")) {
      worker.checksum = tree(bytes, count);
      return;
    }
    CompactRange range;
    uint8_t digest[digest_bytes];
    for (uint64_t i = 0; i < count; i++) {
      range.append(&bytes[i * block_bytes]);
      if ((i + 1) % 1000 == 0 || i + 1 == count) range.root(digest);
    }
    worker.checksum = prefix(digest);
  });
  run.operations = count;
  run.latencies = peer::Histogram();
  peer::print("sha256_tree", flags.text("mode"), run, {{"root_prefix", static_cast<double>(run.checksum)}});
}
