// LevelDB on the loads of db_bench that it has: one thread, no compression, ten bits of filter, checksums verified.
#include <leveldb/cache.h>
#include <leveldb/db.h>
#include <leveldb/filter_policy.h>
#include <leveldb/write_batch.h>

#include <filesystem>
#include <memory>

#include "workload.h"

namespace {

void check(const leveldb::Status& status) {
  if (!status.ok()) peer::fail(status.ToString());
}

class Load {
 public:
  explicit Load(const peer::Flags& flags)
      : name_(flags.text("load")), num_(flags.number("num")), reads_(flags.number("reads")), batch_(flags.number("batch")),
        random_(flags.number("seed")), values_(flags.number("seed"), flags.number("value-size")), path_(flags.text("dir") + "/leveldb") {
    options_.create_if_missing = true;
    options_.compression = leveldb::kNoCompression;
    options_.write_buffer_size = 64 << 20;
    options_.block_size = 4096;
    filter_.reset(leveldb::NewBloomFilterPolicy(10));
    cache_.reset(leveldb::NewLRUCache(flags.number("cache")));
    options_.filter_policy = filter_.get();
    options_.block_cache = cache_.get();
  }

  void measure() {
    const bool writes = name_.rfind("fill", 0) == 0;
    const bool fresh = !std::filesystem::exists(path_);
    leveldb::DB* opened = nullptr;
    check(leveldb::DB::Open(options_, path_, &opened));
    db_.reset(opened);
    if (!writes && fresh) {
      fill(false, false, 1);
      db_->CompactRange(nullptr, nullptr);
    }
    const uint64_t begin = peer::now_ns();
    uint64_t count = reads_;
    if (writes || name_ == "overwrite") {
      count = num_;
      fill(name_ == "fillseq", name_ == "fillsync", batch_);
    } else if (name_ == "readrandom" || name_ == "readmissing") {
      read();
    } else if (name_.rfind("seekrandom", 0) == 0) {
      seek();
    } else {
      scan(name_ == "readseq");
    }
    const double seconds = static_cast<double>(peer::now_ns() - begin) * 1e-9;
    std::printf("{\"operations\":%llu,\"seconds\":%.9f}\n", static_cast<unsigned long long>(count), seconds);
  }

 private:
  // db_bench's keys: the number in eight bytes, the most significant first, then zeros as text.
  leveldb::Slice key(uint64_t number, char last = '0') {
    for (int i = 0; i < 8; i++) key_[i] = static_cast<char>(number >> (56 - 8 * i));
    std::fill(key_ + 8, key_ + 16, '0');
    key_[15] = last;
    return leveldb::Slice(key_, sizeof key_);
  }

  void fill(bool in_order, bool sync, uint64_t batch) {
    leveldb::WriteOptions options;
    options.sync = sync;
    for (uint64_t done = 0; done < num_; done += batch) {
      leveldb::WriteBatch changes;
      for (uint64_t i = 0; i < batch; i++) {
        changes.Put(key(in_order ? done + i : random_.below(num_)), leveldb::Slice(values_.of(done + i), values_.size()));
      }
      check(db_->Write(options, &changes));
    }
  }

  void read() {
    leveldb::ReadOptions options;
    options.verify_checksums = true;
    std::string value;
    const char last = name_ == "readmissing" ? '.' : '0';
    for (uint64_t i = 0; i < reads_; i++) {
      const leveldb::Status status = db_->Get(options, key(random_.below(num_), last), &value);
      if (!status.IsNotFound()) check(status);
    }
  }

  void seek() {
    leveldb::ReadOptions options;
    options.verify_checksums = true;
    const bool forward = name_ == "seekrandom";
    uint64_t bytes = 0;
    for (uint64_t i = 0; i < reads_; i++) {
      const std::unique_ptr<leveldb::Iterator> rows(db_->NewIterator(options));
      rows->Seek(key(random_.below(num_)));
      for (int step = 0; step < 10 && rows->Valid(); step++) {
        bytes += rows->key().size() + rows->value().size();
        forward ? rows->Next() : rows->Prev();
      }
      check(rows->status());
    }
    if (bytes == 0) peer::fail("nothing was read");
  }

  void scan(bool forward) {
    leveldb::ReadOptions options;
    options.verify_checksums = true;
    const std::unique_ptr<leveldb::Iterator> rows(db_->NewIterator(options));
    uint64_t bytes = 0;
    for (uint64_t i = 0; i < reads_; i++) {
      if (!rows->Valid()) forward ? rows->SeekToFirst() : rows->SeekToLast();
      bytes += rows->key().size() + rows->value().size();
      forward ? rows->Next() : rows->Prev();
    }
    check(rows->status());
    if (bytes == 0) peer::fail("nothing was read");
  }

  std::string name_;
  uint64_t num_, reads_, batch_;
  peer::Random random_;
  peer::Values values_;
  std::string path_;
  leveldb::Options options_;
  std::unique_ptr<const leveldb::FilterPolicy> filter_;
  std::unique_ptr<leveldb::Cache> cache_;
  std::unique_ptr<leveldb::DB> db_;
  char key_[16];
};

}  // namespace

int main(int argc, char** argv) {
  const peer::Flags flags(argc, argv, {{"load", "fillrandom"}, {"num", "100000"}, {"reads", "100000"}, {"batch", "1"}, {"cache", "1073741824"}});
  Load(flags).measure();
}
