// The placements of keys as a C++ program would write them: libxxhash and the standard library.
#include <xxhash.h>

#include "workload.h"

namespace {

std::vector<std::string> nodes(size_t count) {
  std::vector<std::string> names;
  for (size_t number = 0; number < count; number++) names.push_back("node-" + std::to_string(number));
  return names;
}

uint64_t hash(const char* key) { return XXH64(key, 16, 0); }

// A sorted vector and std::lower_bound.
struct Ring {
  std::vector<std::pair<uint64_t, uint32_t>> tokens;
  explicit Ring(size_t size) {
    const std::vector<std::string> names = nodes(size / 150);
    for (size_t node = 0; node < names.size(); node++) {
      for (size_t index = 0; index < 150; index++) {
        const std::string name = names[node] + ":" + std::to_string(index);
        tokens.emplace_back(XXH64(name.data(), name.size(), 0), node);
      }
    }
    std::sort(tokens.begin(), tokens.end());
  }
  uint64_t owner(const char* key) const {
    const auto found = std::lower_bound(tokens.begin(), tokens.end(), std::make_pair(hash(key), 0u));
    return found == tokens.end() ? tokens.front().second : found->second;
  }
};

struct Maglev {
  std::vector<uint16_t> table;
  explicit Maglev(size_t size) : table(size) {
    // The time of a lookup does not depend on who owns the entry.
    for (size_t entry = 0; entry < size; entry++) table[entry] = static_cast<uint16_t>(peer::mix(entry) % 100);
  }
  uint64_t owner(const char* key) const { return table[hash(key) % table.size()]; }
};

struct Jump {
  int64_t buckets;
  explicit Jump(size_t size) : buckets(static_cast<int64_t>(size)) {}
  uint64_t owner(const char* text) const {
    uint64_t key = hash(text);
    int64_t bucket = -1, next = 0;
    while (next < buckets) {
      bucket = next;
      key = key * 2862933555777941757ULL + 1;
      next = static_cast<int64_t>(static_cast<double>(bucket + 1) * (2147483648.0 / static_cast<double>((key >> 33) + 1)));
    }
    return static_cast<uint64_t>(bucket);
  }
};

struct Rendezvous {
  std::vector<uint64_t> seeds;
  explicit Rendezvous(size_t size) {
    for (const std::string& name : nodes(size)) seeds.push_back(XXH64(name.data(), name.size(), 0));
  }
  uint64_t owner(const char* text) const {
    const uint64_t key = hash(text);
    uint64_t best = 0, owner = 0;
    for (size_t node = 0; node < seeds.size(); node++) {
      const uint64_t bid = peer::mix(key ^ seeds[node]);
      if (bid > best) {
        best = bid;
        owner = node;
      }
    }
    return owner;
  }
};

template <typename Structure>
void measure(const peer::Flags& flags) {
  const Structure structure(flags.number("size"));
  const size_t count = 1 << 16;
  std::vector<char> keys(count * 16);
  for (size_t number = 0; number < count; number++) peer::key_of(number, flags.number("seed"), &keys[number * 16]);
  const uint64_t threads = flags.number("threads"), part = flags.number("records") / threads;
  peer::Run run(threads, threads, 0, 2, [&](peer::Worker& worker, uint64_t) {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < part; i++) sum += structure.owner(&keys[(i & (count - 1)) * 16]);
    worker.checksum += sum;
  });
  run.operations = part * threads;
  run.latencies = peer::Histogram();
  peer::print("placement", flags.text("structure"), run, {{"ns_per_lookup", run.seconds * 1e9 / static_cast<double>(part)}});
}

}  // namespace

int main(int argc, char** argv) {
  const peer::Flags flags(argc, argv, {{"structure", "ring"}, {"size", "15000"}});
  if (flags.is("structure", "ring")) measure<Ring>(flags);
  else if (flags.is("structure", "maglev")) measure<Maglev>(flags);
  else if (flags.is("structure", "jump")) measure<Jump>(flags);
  else if (flags.is("structure", "rendezvous")) measure<Rendezvous>(flags);
  else peer::fail("no structure " + flags.text("structure"));
}
