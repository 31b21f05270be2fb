// RocksDB's sorted tables: one built by SstFileWriter, read through a store that took it in, four merged by a compaction of one thread.
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/sst_file_writer.h>
#include <rocksdb/table.h>

#include <memory>

#include "workload.h"

namespace {

void check(const rocksdb::Status& status) {
  if (!status.ok()) peer::fail(status.ToString());
}

rocksdb::Options layout() {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.compression = rocksdb::kNoCompression;
  options.disable_auto_compactions = true;
  rocksdb::BlockBasedTableOptions table;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10, false));
  table.block_size = 4096;
  table.block_cache = rocksdb::NewLRUCache(1ull << 30);
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

class Tables {
 public:
  explicit Tables(const peer::Flags& flags)
      : flags_(flags), entries_(flags.number("records")), values_(flags.number("seed"), flags.number("value-size")), options_(layout()) {}

  void measure() {
    const std::string op = flags_.text("op");
    if (op == "build") {
      const uint64_t begin = peer::now_ns();
      write("1.sst", 0, 1);
      return print(entries_, peer::now_ns() - begin);
    }
    if (op == "merge") return merge();
    const auto db = store();
    std::unique_ptr<rocksdb::Iterator> all(db->NewIterator(rocksdb::ReadOptions()));
    for (all->SeekToFirst(); all->Valid(); all->Next()) {}
    check(all->status());
    if (op == "get") return get(*db);
    const bool forward = op == "forward";
    if (!forward && op != "backward") peer::fail("--op is build, forward, backward, get or merge");
    uint64_t sum = 0, count = 0;
    const uint64_t begin = peer::now_ns();
    for (forward ? all->SeekToFirst() : all->SeekToLast(); all->Valid(); forward ? all->Next() : all->Prev()) {
      sum += static_cast<uint64_t>(all->key()[15]) + all->value().size();
      count++;
    }
    print(count, peer::now_ns() - begin, sum);
  }

 private:
  static void write_key(uint64_t number, char* key) {
    for (int place = 15; place >= 0; place--) {
      key[place] = static_cast<char>('0' + number % 10);
      number /= 10;
    }
  }

  std::string path(const std::string& name) const { return flags_.text("dir") + "/" + name; }

  void write(const std::string& name, uint64_t first, uint64_t step) const {
    rocksdb::SstFileWriter writer(rocksdb::EnvOptions(), options_);
    check(writer.Open(path(name)));
    char key[peer::key_size];
    for (uint64_t number = first; number < entries_; number += step) {
      write_key(number, key);
      check(writer.Put(rocksdb::Slice(key, sizeof key), rocksdb::Slice(values_.of(number), values_.size())));
    }
    check(writer.Finish());
  }

  std::unique_ptr<rocksdb::DB> open() const {
    rocksdb::DB* opened = nullptr;
    check(rocksdb::DB::Open(options_, path("db"), &opened));
    return std::unique_ptr<rocksdb::DB>(opened);
  }

  std::unique_ptr<rocksdb::DB> store() const {
    write("1.sst", 0, 1);
    auto db = open();
    rocksdb::IngestExternalFileOptions move;
    move.move_files = true;
    check(db->IngestExternalFile({path("1.sst")}, move));
    return db;
  }

  void get(rocksdb::DB& db) const {
    peer::Random random(flags_.number("seed"));
    rocksdb::PinnableSlice value;
    char key[peer::key_size];
    peer::Histogram times;
    uint64_t sum = 0;
    const uint64_t gets = flags_.number("operations"), begin = peer::now_ns();
    for (uint64_t i = 0; i < gets; i++) {
      write_key(random.below(entries_), key);
      value.Reset();
      const uint64_t start = peer::now_ns();
      check(db.Get(rocksdb::ReadOptions(), db.DefaultColumnFamily(), rocksdb::Slice(key, sizeof key), &value));
      times.record(peer::now_ns() - start);
      sum += value.size();
    }
    print(gets, peer::now_ns() - begin, sum, static_cast<double>(times.percentile(0.5)));
  }

  void merge() {
    // Each file overlaps all others: the first goes to the last level, the others to level 0, and one compaction merges the four.
    auto db = open();
    for (uint64_t id = 1; id <= 4; id++) {
      const std::string name = std::to_string(id) + ".sst";
      write(name, id - 1, 4);
      check(db->IngestExternalFile({path(name)}, rocksdb::IngestExternalFileOptions()));
    }
    rocksdb::CompactRangeOptions compaction;
    compaction.max_subcompactions = 1;
    const uint64_t begin = peer::now_ns();
    check(db->CompactRange(compaction, nullptr, nullptr));
    print(entries_, peer::now_ns() - begin);
  }

  static void print(uint64_t operations, uint64_t nanoseconds, uint64_t checksum = 0, double p50 = 0) {
    std::printf("{\"operations\":%llu,\"seconds\":%.9f,\"checksum\":%llu", static_cast<unsigned long long>(operations),
                static_cast<double>(nanoseconds) * 1e-9, static_cast<unsigned long long>(checksum));
    if (p50 > 0) std::printf(",\"p50_get_ns\":%.0f", p50);
    std::printf("}\n");
  }

  const peer::Flags& flags_;
  uint64_t entries_;
  peer::Values values_;
  rocksdb::Options options_;
};

}  // namespace

int main(int argc, char** argv) {
  const peer::Flags flags(argc, argv, {{"op", "build"}});
  Tables(flags).measure();
}
