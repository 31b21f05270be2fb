// RocksDB: appends with a sync per write, a load in random order, random gets behind 10-bit filters, and a half-and-half Zipf mix.
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>

#include <memory>

#include "workload.h"

namespace {

void check(const rocksdb::Status& status) {
  if (!status.ok()) peer::fail(status.ToString());
}

std::unique_ptr<rocksdb::DB> open(const peer::Flags& flags) {
  rocksdb::Options options;
  options.create_if_missing = true;
  // Values are random bytes; compression would only burn time.
  options.compression = rocksdb::kNoCompression;
  options.IncreaseParallelism(static_cast<int>(std::max(2u, std::thread::hardware_concurrency())));
  rocksdb::BlockBasedTableOptions table;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10, false));
  table.block_cache = rocksdb::NewLRUCache(flags.number("cache-mb") << 20);
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  rocksdb::DB* opened = nullptr;
  check(rocksdb::DB::Open(options, flags.text("dir") + "/db", &opened));
  return std::unique_ptr<rocksdb::DB>(opened);
}

class Bench {
 public:
  explicit Bench(const peer::Flags& flags)
      : flags_(flags), records_(flags.number("records")), seed_(flags.number("seed")), values_(seed_, flags.number("value-size")) {}

  void put(rocksdb::DB& db, uint64_t key_number, uint64_t value_number, bool sync) const {
    char key[peer::key_size];
    peer::key_of(key_number, seed_, key);
    rocksdb::WriteOptions options;
    options.sync = sync;
    check(db.Put(options, rocksdb::Slice(key, sizeof key), rocksdb::Slice(values_.of(value_number), values_.size())));
  }

  void get(rocksdb::DB& db, uint64_t number, peer::Worker& worker, rocksdb::PinnableSlice& value) const {
    char key[peer::key_size];
    peer::key_of(number, seed_, key);
    value.Reset();
    check(db.Get(rocksdb::ReadOptions(), db.DefaultColumnFamily(), rocksdb::Slice(key, sizeof key), &value));
    worker.checksum += peer::sum(value.data(), value.size());
  }

  // Records in ascending number, so keys ascend too: `fillseq` of db_bench.
  void put_sequential(rocksdb::DB& db, uint64_t number) const {
    char key[peer::key_size + 1];
    std::snprintf(key, sizeof key, "%016llu", static_cast<unsigned long long>(number));
    rocksdb::WriteOptions options;
    options.sync = true;
    check(db.Put(options, rocksdb::Slice(key, peer::key_size), rocksdb::Slice(values_.of(number), values_.size())));
  }

  void load(rocksdb::DB& db) const {
    const peer::Shuffle order(records_, seed_);
    for (uint64_t i = 0; i < records_; i++) put(db, order.at(i), i, false);
  }

  void measure() const {
    const std::string workload = flags_.text("workload");
    const size_t threads = flags_.number("threads");
    const bool needs_load = workload == "get" || workload == "mix";
    const peer::Load load_state(flags_, "rocksdb");
    const auto db = open(flags_);
    if (needs_load && !load_state.is_there()) {
      load(*db);
      check(db->Flush(rocksdb::FlushOptions()));
      check(db->CompactRange(rocksdb::CompactRangeOptions(), nullptr, nullptr));
      // A mix changes what is there, so only an untouched load may be used again.
      if (workload == "get") load_state.finished();
    }
    const uint64_t operations = flags_.number("operations") > 0 ? flags_.number("operations") : records_;
    std::vector<peer::Random> random;
    for (size_t i = 0; i < threads; i++) random.emplace_back(seed_ * 1000 + i);
    std::vector<rocksdb::PinnableSlice> values(threads);
    const uint64_t seconds = flags_.number("seconds");
    if (workload == "fillseq-sync") {
      finish(*db, peer::Run(threads, operations, seconds, 1, [&](peer::Worker&, uint64_t i) { put_sequential(*db, i); }));
    } else if (workload == "fillrandom") {
      const peer::Shuffle order(records_, seed_);
      finish(*db, peer::Run(threads, records_, 0, 16, [&](peer::Worker&, uint64_t i) { put(*db, order.at(i), i, false); }));
    } else if (workload == "get") {
      finish(*db, peer::Run(threads, operations, seconds, 16, [&](peer::Worker& worker, uint64_t) {
        get(*db, random[worker.number].below(records_), worker, values[worker.number]);
      }));
    } else if (workload == "mix") {
      const peer::Zipf zipf(records_, 0.99);
      finish(*db, peer::Run(threads, operations, seconds, 16, [&](peer::Worker& worker, uint64_t i) {
        peer::Random& mine = random[worker.number];
        const uint64_t number = zipf.next(mine);
        if (mine.next() >> 63) {
          put(*db, number, i, false);
        } else {
          get(*db, number, worker, values[worker.number]);
        }
      }));
    } else {
      peer::fail("--workload is fillseq-sync, fillrandom, get or mix");
    }
  }

 private:
  void finish(rocksdb::DB& db, const peer::Run& run) const {
    const double live = static_cast<double>(records_ * (peer::key_size + values_.size()));
    const double resident = static_cast<double>(peer::resident_bytes());
    check(db.SyncWAL());
    peer::print("rocksdb", flags_.text("workload"), run,
                {{"bytes", static_cast<double>(run.operations * (peer::key_size + values_.size()))},
                 {"disk_bytes", static_cast<double>(peer::disk_bytes(flags_.text("dir")))},
                 {"live_bytes", live},
                 {"rss_bytes", resident}});
  }

  const peer::Flags& flags_;
  uint64_t records_, seed_;
  peer::Values values_;
};

}  // namespace

int main(int argc, char** argv) {
  const peer::Flags flags(argc, argv, {{"workload", "fillseq-sync"}, {"cache-mb", "512"}});
  Bench(flags).measure();
}
