// What every peer shares with BenchmarkKit: the same keys, values and distributions from the same seed, latency buckets, flags, one JSON line.
#pragma once

#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

namespace peer {

[[noreturn]] inline void fail(const std::string& what) {
  std::fprintf(stderr, "peer: %s\n", what.c_str());
  std::exit(1);
}

inline uint64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The finaliser of SplitMix64: a bijection, so distinct numbers make distinct keys.
inline uint64_t mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

// xorshift64*, seeded so that no seed gives the state zero.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(mix(seed) | 1) {}
  uint64_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 2685821657736338717ULL;
  }
  uint64_t below(uint64_t bound) { return static_cast<uint64_t>((static_cast<unsigned __int128>(next()) * bound) >> 64); }
  double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

 private:
  uint64_t state_;
};

// Ranks 0..<count with probability proportional to 1 / (rank + 1)^theta (Gray et al., SIGMOD 1994, "Quickly Generating Billion-Record
// Synthetic Databases"), scattered over the numbers by `mix` so that popular keys are not neighbours.
class Zipf {
 public:
  Zipf(uint64_t count, double theta) : count_(count), theta_(theta) {
    for (uint64_t i = 1; i <= count; i++) zeta_ += 1.0 / std::pow(static_cast<double>(i), theta);
    const double zeta2 = 1.0 + std::pow(0.5, theta);
    alpha_ = 1.0 / (1.0 - theta);
    eta_ = (1.0 - std::pow(2.0 / static_cast<double>(count), 1.0 - theta)) / (1.0 - zeta2 / zeta_);
  }
  uint64_t next(Random& random) const {
    const double u = random.unit();
    const double uz = u * zeta_;
    uint64_t rank;
    if (uz < 1.0) {
      rank = 0;
    } else if (uz < 1.0 + std::pow(0.5, theta_)) {
      rank = 1;
    } else {
      rank = static_cast<uint64_t>(static_cast<double>(count_) * std::pow(eta_ * u - eta_ + 1.0, alpha_));
    }
    return mix(std::min(rank, count_ - 1)) % count_;
  }

 private:
  uint64_t count_;
  double theta_, zeta_ = 0, alpha_ = 0, eta_ = 0;
};

// The key of a record: 16 hexadecimal digits.
inline void key_of(uint64_t number, uint64_t seed, char* out) {
  static const char digits[] = "0123456789abcdef";
  uint64_t bits = mix(number ^ mix(seed));
  for (int i = 15; i >= 0; i--) {
    out[i] = digits[bits & 15];
    bits >>= 4;
  }
}

constexpr size_t key_size = 16;

// Values are windows into one block of random bytes: no cost per record beyond the copy, and nothing to compress.
class Values {
 public:
  Values(uint64_t seed, size_t size) : size_(size), block_(window + size) {
    Random random(seed ^ 0x76616C756573);
    for (char& byte : block_) byte = static_cast<char>(random.next() >> 56);
  }
  const char* of(uint64_t number) const { return block_.data() + mix(number) % window; }
  size_t size() const { return size_; }

 private:
  static constexpr size_t window = 1 << 20;
  size_t size_;
  std::vector<char> block_;
};

// The i-th record of a load in random order: a bijection over 0..<count made of a Feistel walk, so that no shuffled list is kept.
class Shuffle {
 public:
  Shuffle(uint64_t count, uint64_t seed) : count_(count), seed_(mix(seed ^ 0x73687566)) {
    while ((1ULL << (2 * half_)) < count) half_++;
  }
  uint64_t at(uint64_t index) const {
    do {
      uint64_t left = index >> half_, right = index & mask();
      for (uint64_t round = 0; round < 4; round++) {
        const uint64_t next = left ^ (mix(right ^ seed_ ^ (round << 56)) & mask());
        left = right;
        right = next;
      }
      index = left << half_ | right;
    } while (index >= count_);
    return index;
  }

 private:
  uint64_t mask() const { return (1ULL << half_) - 1; }
  uint64_t count_, seed_, half_ = 1;
};

// Latencies in buckets of 1/32 of a power of two: a percentile is exact to about 3 %.
class Histogram {
 public:
  void record(uint64_t nanoseconds) {
    counts_[index(nanoseconds)]++;
    total_++;
    max_ = std::max(max_, nanoseconds);
  }
  void add(const Histogram& other) {
    for (size_t i = 0; i < counts_.size(); i++) counts_[i] += other.counts_[i];
    total_ += other.total_;
    max_ = std::max(max_, other.max_);
  }
  uint64_t total() const { return total_; }
  uint64_t max() const { return max_; }
  uint64_t percentile(double share) const {
    uint64_t rank = static_cast<uint64_t>(std::ceil(share * static_cast<double>(total_)));
    for (size_t i = 0; i < counts_.size(); i++) {
      if (rank <= counts_[i]) return std::min(upper(i), max_);
      rank -= counts_[i];
    }
    return max_;
  }

 private:
  static size_t index(uint64_t value) {
    if (value < 64) return value;
    const int shift = 58 - __builtin_clzll(value);
    return static_cast<size_t>(shift) * 32 + (value >> shift);
  }
  static uint64_t upper(size_t i) {
    if (i < 64) return i;
    const size_t shift = i / 32 - 1;
    return ((i - shift * 32 + 1) << shift) - 1;
  }
  std::vector<uint64_t> counts_ = std::vector<uint64_t>(64 * 32 + 64);
  uint64_t total_ = 0, max_ = 0;
};

// `--name value` pairs; an unknown name ends the program.
class Flags {
 public:
  Flags(int argc, char** argv, std::map<std::string, std::string> defaults) : values_(std::move(defaults)) {
    for (const auto& [name, value] : common()) values_.emplace(name, value);
    for (int i = 1; i + 1 < argc; i += 2) {
      const std::string name = argv[i];
      if (name.rfind("--", 0) != 0 || values_.find(name.substr(2)) == values_.end()) usage(argv[0], name);
      values_[name.substr(2)] = argv[i + 1];
    }
    if (argc % 2 == 0) usage(argv[0], argv[argc - 1]);
    if (text("dir").empty()) usage(argv[0], "--dir is missing");
    std::filesystem::create_directories(text("dir"));
  }
  const std::string& text(const std::string& name) const { return values_.at(name); }
  uint64_t number(const std::string& name) const { return std::strtoull(text(name).c_str(), nullptr, 10); }
  bool is(const std::string& name, const char* value) const { return text(name) == value; }

 private:
  static std::map<std::string, std::string> common() {
    return {{"dir", ""},          {"records", "100000"}, {"operations", "0"}, {"threads", "1"},
            {"value-size", "100"}, {"seconds", "0"},      {"seed", "1"},       {"reuse", "no"}};
  }
  [[noreturn]] void usage(const char* program, const std::string& wrong) const {
    std::string names;
    for (const auto& [name, value] : values_) names += " [--" + name + " " + (value.empty() ? "..." : value) + "]";
    std::fprintf(stderr, "%s: %s\nusage: %s%s\n", program, wrong.c_str(), program, names.c_str());
    std::exit(64);
  }
  std::map<std::string, std::string> values_;
};

// What one thread of a run does and sees.
struct Worker {
  size_t number;
  uint64_t operations = 0;
  uint64_t checksum = 0;
  Histogram latencies;
};

// Runs `step(worker, i)` on each thread until its share of `operations` is done, or for `seconds` where that is not zero. Every `sample`-th
// operation is timed.
struct Run {
  uint64_t operations = 0;
  double seconds = 0;
  uint64_t checksum = 0;
  Histogram latencies;

  Run(size_t threads, uint64_t total, uint64_t limit_seconds, uint64_t sample, const std::function<void(Worker&, uint64_t)>& step) {
    std::vector<Worker> workers(threads);
    std::vector<std::thread> running;
    const uint64_t begin = now_ns();
    const uint64_t end = limit_seconds == 0 ? UINT64_MAX : begin + limit_seconds * 1000000000;
    for (size_t number = 0; number < threads; number++) {
      workers[number].number = number;
      running.emplace_back([&, number] {
        Worker& worker = workers[number];
        const uint64_t first = total * number / threads, last = total * (number + 1) / threads;
        for (uint64_t i = first; limit_seconds != 0 || i < last; i++) {
          if (i % sample == 0) {
            const uint64_t start = now_ns();
            if (start >= end) break;
            step(worker, i);
            worker.latencies.record(now_ns() - start);
          } else {
            step(worker, i);
          }
          worker.operations++;
        }
      });
    }
    for (std::thread& thread : running) thread.join();
    seconds = static_cast<double>(now_ns() - begin) * 1e-9;
    for (const Worker& worker : workers) {
      operations += worker.operations;
      checksum ^= worker.checksum;
      latencies.add(worker.latencies);
    }
  }
};

inline uint64_t disk_bytes(const std::string& directory) {
  uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    struct stat status;
    if (entry.is_regular_file() && stat(entry.path().c_str(), &status) == 0) bytes += static_cast<uint64_t>(status.st_blocks) * 512;
  }
  return bytes;
}

inline uint64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  uint64_t size = 0, resident = 0;
  file >> size >> resident;
  return resident * 4096;
}

// Prints the line BenchmarkKit reads. `extras` are numbers by name.
inline void print(const char* program, const std::string& workload, const Run& run, const std::map<std::string, double>& extras = {}) {
  std::printf("{\"program\":\"%s\",\"workload\":\"%s\",\"operations\":%llu,\"seconds\":%.9f", program, workload.c_str(),
              static_cast<unsigned long long>(run.operations), run.seconds);
  if (run.latencies.total() > 0) {
    std::printf(",\"p50_ns\":%llu,\"p99_ns\":%llu,\"p999_ns\":%llu,\"max_ns\":%llu", static_cast<unsigned long long>(run.latencies.percentile(0.50)),
                static_cast<unsigned long long>(run.latencies.percentile(0.99)), static_cast<unsigned long long>(run.latencies.percentile(0.999)),
                static_cast<unsigned long long>(run.latencies.max()));
  }
  for (const auto& [name, value] : extras) std::printf(",\"%s\":%.6g", name.c_str(), value);
  // The checksum keeps the compiler from dropping reads.
  std::printf(",\"checksum\":%llu}\n", static_cast<unsigned long long>(run.checksum));
}

// Whether the directory already holds the load these flags ask for; a wrong or missing one is emptied. `finished` marks it as whole.
class Load {
 public:
  Load(const Flags& flags, const std::string& kind) : marker_(flags.text("dir") + "/loaded") {
    wanted_ = kind + " records " + flags.text("records") + " value " + flags.text("value-size") + " seed " + flags.text("seed");
    std::string found;
    std::ifstream file(marker_);
    std::getline(file, found);
    is_there_ = flags.is("reuse", "yes") && found == wanted_;
    if (!is_there_) {
      for (const auto& entry : std::filesystem::directory_iterator(flags.text("dir"))) std::filesystem::remove_all(entry.path());
    }
  }
  bool is_there() const { return is_there_; }
  void finished() const { std::ofstream(marker_) << wanted_ << "\n"; }

 private:
  std::string marker_, wanted_;
  bool is_there_ = false;
};

inline uint64_t sum(const char* bytes, size_t size) {
  uint64_t first = 0;
  std::memcpy(&first, bytes, std::min<size_t>(size, 8));
  return first + size;
}

}  // namespace peer
