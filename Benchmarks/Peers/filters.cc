// The filters Strata's are held to, each after its published description: a split-block Bloom filter of 256-bit blocks (Putze, Sanders,
// Singler 2007; the salts are those of the Parquet format), a Bloom filter of k = 8 by double hashing, a binary fuse filter of 8 bits (Graf
// and Lemire 2022), a cuckoo filter of packed 12-bit fingerprints (Fan and others 2014) and a chain of Bloom filters of RedisBloom's geometry.
#include <immintrin.h>

#include <memory>

#include "workload.h"

namespace {

using Hashes = std::vector<uint64_t>;

inline uint64_t high(uint64_t a, uint64_t b) { return static_cast<uint64_t>((static_cast<unsigned __int128>(a) * b) >> 64); }

// Zero bytes that begin on a cache line.
template <class T>
class Table {
 public:
  explicit Table(size_t count) : count_(count), items_(static_cast<T*>(std::aligned_alloc(64, (count * sizeof(T) + 127) / 64 * 64))) {
    std::memset(static_cast<void*>(items_), 0, (count * sizeof(T) + 127) / 64 * 64);
  }
  ~Table() { std::free(items_); }
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;
  T& operator[](size_t i) { return items_[i]; }
  const T& operator[](size_t i) const { return items_[i]; }
  size_t size() const { return count_; }

 private:
  size_t count_;
  T* items_;
};

class SplitBlock {
 public:
  explicit SplitBlock(uint64_t keys) : blocks_(std::max<uint64_t>(keys * 10 / 256, 1)), bits_(blocks_) {}
  void add(uint64_t hash) {
    __m256i& block = bits_[place(hash)].bits;
    block = _mm256_or_si256(block, mask(static_cast<uint32_t>(hash)));
  }
  bool contains(uint64_t hash) const { return _mm256_testc_si256(bits_[place(hash)].bits, mask(static_cast<uint32_t>(hash))); }

 private:
  struct Block {
    __m256i bits;
  };
  size_t place(uint64_t hash) const { return ((hash >> 32) * blocks_) >> 32; }
  static __m256i mask(uint32_t hash) {
    const __m256i salts = _mm256_setr_epi32(0x47b6137b, 0x44974d91, static_cast<int>(0x8824ad5b), static_cast<int>(0xa2b7289d),
                                          0x705495c7, 0x2df1424b,
                                            static_cast<int>(0x9efc4947), 0x5c6bfb31);
    const __m256i products = _mm256_mullo_epi32(_mm256_set1_epi32(static_cast<int>(hash)), salts);
    return _mm256_sllv_epi32(_mm256_set1_epi32(1), _mm256_srli_epi32(products, 27));
  }
  uint64_t blocks_;
  Table<Block> bits_;
};

class Bloom12 {
 public:
  explicit Bloom12(uint64_t keys) : words_((keys * 12 + 63) / 64), bits_(words_) {}
  void add(uint64_t hash) {
    uint64_t a = hash >> 32 | hash << 32;
    for (int i = 0; i < 8; i++, a += hash) bits_[high(a, words_)] |= 1ULL << (a & 63);
  }
  bool contains(uint64_t hash) const {
    uint64_t a = hash >> 32 | hash << 32;
    for (int i = 0; i < 8; i++, a += hash) {
      if ((bits_[high(a, words_)] >> (a & 63) & 1) == 0) return false;
    }
    return true;
  }

 private:
  uint64_t words_;
  Table<uint64_t> bits_;
};

class Fuse8 {
 public:
  Fuse8(const Hashes& hashes) {
    const uint64_t n = hashes.size();
    length_ = 1u << std::min(18, static_cast<int>(std::log(static_cast<double>(n)) / std::log(3.33) + 2.25));
    const double factor = std::max(1.125, 0.875 + 0.25 * std::log(1e6) / std::log(static_cast<double>(n)));
    const uint64_t capacity = static_cast<uint64_t>(std::round(static_cast<double>(n) * factor));
    segments_ = std::max<uint64_t>((capacity + length_ - 1) / length_, 3) - 2;
    fingerprints_ = std::make_unique<Table<uint8_t>>((segments_ + 2) * length_);
    for (seed_ = 0x726b2b9d438b9d4d; !populate(hashes); seed_ = peer::mix(seed_)) {}
  }
  bool contains(uint64_t hash) const {
    const uint64_t key = murmur(hash + seed_);
    size_t at[3];
    slots(key, at);
    const Table<uint8_t>& f = *fingerprints_;
    return static_cast<uint8_t>(f[at[0]] ^ f[at[1]] ^ f[at[2]]) == static_cast<uint8_t>(key ^ (key >> 32));
  }

 private:
  static uint64_t murmur(uint64_t h) {
    h = (h ^ (h >> 33)) * 0xff51afd7ed558ccd;
    h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53;
    return h ^ (h >> 33);
  }
  void slots(uint64_t key, size_t* at) const {
    at[0] = high(key, segments_ * length_);
    at[1] = (at[0] + length_) ^ (key >> 18 & (length_ - 1));
    at[2] = (at[0] + 2 * length_) ^ (key & (length_ - 1));
  }
  // Keys in the order of their first segments, so that the tables are walked along; then peeled from slots they have alone.
  bool populate(const Hashes& hashes) {
    const size_t n = hashes.size(), count = fingerprints_->size();
    int block_bits = 1;
    while ((1ULL << block_bits) < segments_) block_bits++;
    std::vector<size_t> ends((1ULL << block_bits) + 1);
    for (uint64_t hash : hashes) ends[(murmur(hash + seed_) >> (64 - block_bits)) + 1]++;
    for (size_t i = 1; i < ends.size(); i++) ends[i] += ends[i - 1];
    std::vector<uint64_t> order(n);
    for (uint64_t hash : hashes) {
      const uint64_t key = murmur(hash + seed_);
      order[ends[key >> (64 - block_bits)]++] = key;
    }
    std::vector<uint64_t> sums(count);
    std::vector<uint8_t> counts(count);
    size_t at[3];
    for (uint64_t key : order) {
      slots(key, at);
      for (uint8_t i = 0; i < 3; i++) {
        counts[at[i]] = static_cast<uint8_t>((counts[at[i]] + 4) ^ i);
        sums[at[i]] ^= key;
      }
    }
    std::vector<uint32_t> alone(count);
    std::vector<uint8_t> which(n);
    size_t ready = 0, peeled = 0;
    for (size_t i = 0; i < count; i++) {
      alone[ready] = static_cast<uint32_t>(i);
      ready += counts[i] >> 2 == 1;
    }
    while (ready > 0) {
      const size_t slot = alone[--ready];
      if (counts[slot] >> 2 != 1) continue;
      const uint64_t key = sums[slot];
      const uint8_t number = counts[slot] & 3;
      order[peeled] = key;
      which[peeled++] = number;
      slots(key, at);
      for (uint8_t i = 0; i < 3; i++) {
        if (i == number) continue;
        alone[ready] = static_cast<uint32_t>(at[i]);
        ready += counts[at[i]] >> 2 == 2;
        counts[at[i]] = static_cast<uint8_t>((counts[at[i]] - 4) ^ i);
        sums[at[i]] ^= key;
      }
    }
    if (peeled != n) return false;
    Table<uint8_t>& f = *fingerprints_;
    for (size_t i = n; i-- > 0;) {
      slots(order[i], at);
      f[at[which[i]]] = static_cast<uint8_t>(order[i] ^ (order[i] >> 32));
      for (int other = 0; other < 3; other++) {
        if (other != which[i]) f[at[which[i]]] ^= f[at[other]];
      }
    }
    return true;
  }
  uint64_t length_, segments_, seed_;
  std::unique_ptr<Table<uint8_t>> fingerprints_;
};

class Cuckoo12 {
 public:
  explicit Cuckoo12(uint64_t keys) : buckets_(1) {
    while (static_cast<double>(buckets_ * 4) * 0.96 < static_cast<double>(keys)) buckets_ *= 2;
    bytes_ = std::make_unique<Table<uint8_t>>(buckets_ * 6 + 8);
  }
  bool add(uint64_t hash) {
    uint64_t tag = tag_of(hash), bucket = hash >> 32 & (buckets_ - 1);
    for (int moves = 0; moves < 500; moves++) {
      uint64_t word = load(bucket);
      for (int slot = 0; slot < 4; slot++) {
        if ((word >> (12 * slot) & 0xfff) == 0) {
          store(bucket, slot, tag);
          return true;
        }
      }
      if (moves > 0) {
        const int slot = static_cast<int>(random_.next() >> 62);
        const uint64_t old = word >> (12 * slot) & 0xfff;
        store(bucket, slot, tag);
        tag = old;
      }
      bucket = other(bucket, tag);
    }
    return false;
  }
  bool contains(uint64_t hash) const {
    const uint64_t tag = tag_of(hash), bucket = hash >> 32 & (buckets_ - 1);
    return holds(load(bucket), tag) || holds(load(other(bucket, tag)), tag);
  }

 private:
  static uint64_t tag_of(uint64_t hash) { return (hash & 0xfff) + ((hash & 0xfff) == 0); }
  uint64_t other(uint64_t bucket, uint64_t tag) const { return (bucket ^ tag * 0x5bd1e995) & (buckets_ - 1); }
  static bool holds(uint64_t word, uint64_t tag) {
    const uint64_t x = word ^ tag * 0x001001001001;
    return ((x - 0x001001001001) & ~x & 0x800800800800) != 0;
  }
  uint64_t load(uint64_t bucket) const {
    uint64_t word;
    std::memcpy(&word, &(*bytes_)[bucket * 6], 8);
    return word;
  }
  void store(uint64_t bucket, int slot, uint64_t tag) {
    const uint64_t word = (load(bucket) & ~(0xfffULL << (12 * slot))) | tag << (12 * slot);
    std::memcpy(&(*bytes_)[bucket * 6], &word, 8);
  }
  uint64_t buckets_;
  peer::Random random_{1};
  std::unique_ptr<Table<uint8_t>> bytes_;
};

// Slices of error/2, /4, ..., each twice as large, left when it has as many keys as planned; positions (a + i b) mod bits.
class RedisChain {
 public:
  explicit RedisChain(uint64_t capacity) { grow(capacity, 0.005); }
  bool add(uint64_t hash) {
    if (contains(hash)) return false;
    if (slices_.back()->keys >= slices_.back()->capacity) grow(slices_.back()->capacity * 2, slices_.back()->error / 2);
    Slice& slice = *slices_.back();
    uint64_t a = hash;
    const uint64_t b = step(hash);
    for (int i = 0; i < slice.hashes; i++, a += b) {
      const uint64_t bit = a % slice.count;
      slice.bits[bit >> 3] = static_cast<uint8_t>(slice.bits[bit >> 3] | 1 << (bit & 7));
    }
    slice.keys++;
    return true;
  }
  bool contains(uint64_t hash) const {
    for (size_t i = slices_.size(); i-- > 0;) {
      if (holds(*slices_[i], hash)) return true;
    }
    return false;
  }

 private:
  struct Slice {
    Slice(uint64_t capacity, double error, double per_key)
        : capacity(capacity), error(error), hashes(static_cast<int>(std::ceil(0.693147180559945 * per_key))),
          count(static_cast<uint64_t>(static_cast<double>(capacity) * per_key)), bits(count / 8 + 8) {}
    uint64_t capacity, keys = 0;
    double error;
    int hashes;
    uint64_t count;
    Table<uint8_t> bits;
  };
  void grow(uint64_t capacity, double error) {
    slices_.push_back(std::make_unique<Slice>(capacity, error, -std::log(error) / (0.693147180559945 * 0.693147180559945)));
  }
  static uint64_t step(uint64_t hash) { return peer::mix(hash); }
  static bool holds(const Slice& slice, uint64_t hash) {
    uint64_t a = hash;
    const uint64_t b = step(hash);
    for (int i = 0; i < slice.hashes; i++, a += b) {
      const uint64_t bit = a % slice.count;
      if ((slice.bits[bit >> 3] >> (bit & 7) & 1) == 0) return false;
    }
    return true;
  }
  std::vector<std::unique_ptr<Slice>> slices_;
};

struct Result {
  uint64_t operations = 0, nanoseconds = 0, found = 0;
};

// `make` builds an empty filter, `fill` adds all hashes to it. Adding is measured over as many new filters as make up `operations`.
template <class Make, class Fill>
Result measure(const peer::Flags& flags, const Hashes& hashes, const Hashes& probes, Make make, Fill fill) {
  Result result;
  if (flags.is("op", "add")) {
    while (result.operations < flags.number("operations")) {
      const auto filter = make();
      const uint64_t begin = peer::now_ns();
      const auto filled = fill(filter);
      result.nanoseconds += peer::now_ns() - begin;
      result.operations += hashes.size();
      result.found += filled->contains(hashes[0]);
    }
    return result;
  }
  const auto filled = fill(make());
  const auto& filter = *filled;
  const uint64_t begin = peer::now_ns();
  while (result.operations < flags.number("operations")) {
    for (uint64_t hash : probes) result.found += filter.contains(hash);
    result.operations += probes.size();
  }
  result.nanoseconds = peer::now_ns() - begin;
  return result;
}

template <class Filter>
Result measure(const peer::Flags& flags, const Hashes& hashes, const Hashes& probes, uint64_t size) {
  return measure(
      flags, hashes, probes, [&] { return std::make_shared<Filter>(size); },
      [&](const std::shared_ptr<Filter>& filter) {
        for (uint64_t hash : hashes) filter->add(hash);
        return filter;
      });
}

}  // namespace

int main(int argc, char** argv) {
  const peer::Flags flags(argc, argv, {{"kind", "split-block"}, {"op", "add"}, {"capacity", "0"}});
  const uint64_t keys = flags.number("records"), seed = peer::mix(flags.number("seed"));
  const uint64_t capacity = flags.number("capacity") == 0 ? keys : flags.number("capacity");
  Hashes hashes(keys), probes(keys);
  for (uint64_t i = 0; i < keys; i++) hashes[i] = peer::mix(i ^ seed);
  // Half of the probes are of keys that are there, in random order.
  peer::Random random(2);
  for (uint64_t& probe : probes) probe = peer::mix(random.below(2 * keys) ^ seed);
  Result result;
  if (flags.is("kind", "split-block")) {
    result = measure<SplitBlock>(flags, hashes, probes, capacity);
  } else if (flags.is("kind", "bloom12")) {
    result = measure<Bloom12>(flags, hashes, probes, capacity);
  } else if (flags.is("kind", "cuckoo12")) {
    result = measure<Cuckoo12>(flags, hashes, probes, capacity);
  } else if (flags.is("kind", "redis-chain")) {
    result = measure<RedisChain>(flags, hashes, probes, 1000);
  } else if (flags.is("kind", "fuse8")) {
    result = measure(flags, hashes, probes, [] { return 0; }, [&](int) { return std::make_shared<Fuse8>(hashes); });
  } else {
    peer::fail("no kind " + flags.text("kind"));
  }
  std::printf("{\"operations\":%llu,\"seconds\":%.9f,\"positives\":%.6f}\n", static_cast<unsigned long long>(result.operations),
              static_cast<double>(result.nanoseconds) * 1e-9, static_cast<double>(result.found) / static_cast<double>(result.operations));
}
