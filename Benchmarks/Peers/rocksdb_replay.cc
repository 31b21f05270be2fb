// Plays a trace of operations on RocksDB and prints what its reads see, a line each: the other half of lsm-differential.
//
// A trace has an operation on each line, keys and values in hexadecimal ("-" is the empty one), snapshots by number (0 is now):
//   put K V | delete K | range FROM TO | merge K V | begin | end | snapshot N | release N | flush | compact | reopen
//   get N K | scan N FROM TO | back N FROM TO
// What stands between begin and end is one batch.
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/merge_operator.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include <iostream>
#include <memory>
#include <sstream>

#include "workload.h"

namespace {

void check(const rocksdb::Status& status) {
  if (!status.ok()) peer::fail(status.ToString());
}

std::string bytes(const std::string& text) {
  std::string out;
  if (text == "-") return out;
  for (size_t i = 0; i + 1 < text.size(); i += 2) out.push_back(static_cast<char>(std::stoi(text.substr(i, 2), nullptr, 16)));
  return out;
}

std::string text(const rocksdb::Slice& slice) { return slice.empty() ? "-" : slice.ToString(true); }

class Replay {
 public:
  explicit Replay(std::string path) : path_(std::move(path)) {
    options_.create_if_missing = true;
    options_.write_buffer_size = 64 << 10;
    options_.target_file_size_base = 64 << 10;
    options_.max_bytes_for_level_base = 256 << 10;
    options_.compression = rocksdb::kNoCompression;
    rocksdb::ConfigOptions config;
    check(rocksdb::MergeOperator::CreateFromString(config, "stringappend", &options_.merge_operator));
    rocksdb::BlockBasedTableOptions table;
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10, false));
    table.block_size = 1024;
    options_.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    open();
  }
  ~Replay() { close(); }

  void play(const std::string& line) {
    std::istringstream words(line);
    std::string name, a, b;
    words >> name;
    if (name == "put") {
      words >> a >> b;
      change([&](auto& batch) { return batch.Put(bytes(a), bytes(b)); });
    } else if (name == "delete") {
      words >> a;
      change([&](auto& batch) { return batch.Delete(bytes(a)); });
    } else if (name == "range") {
      words >> a >> b;
      change([&](auto& batch) { return batch.DeleteRange(bytes(a), bytes(b)); });
    } else if (name == "merge") {
      words >> a >> b;
      change([&](auto& batch) { return batch.Merge(bytes(a), bytes(b)); });
    } else if (name == "begin") {
      in_batch_ = true;
    } else if (name == "end") {
      in_batch_ = false;
      write();
    } else if (name == "flush") {
      check(db_->Flush(rocksdb::FlushOptions()));
    } else if (name == "compact") {
      check(db_->CompactRange(rocksdb::CompactRangeOptions(), nullptr, nullptr));
    } else if (name == "reopen") {
      close();
      open();
    } else {
      uint64_t number = 0;
      words >> number;
      look(name, number, words);
    }
  }

 private:
  void look(const std::string& name, uint64_t number, std::istringstream& words) {
    if (name == "snapshot") {
      snapshots_[number] = db_->GetSnapshot();
    } else if (name == "release") {
      db_->ReleaseSnapshot(snapshots_.at(number));
      snapshots_.erase(number);
    } else if (name == "get") {
      std::string key, value;
      words >> key;
      const rocksdb::Status status = db_->Get(at(number), bytes(key), &value);
      if (!status.IsNotFound()) check(status);
      std::cout << (status.IsNotFound() ? "none" : text(value)) << "\n";
    } else if (name == "scan" || name == "back") {
      std::string from, to;
      words >> from >> to;
      scan(number, bytes(from), bytes(to), name == "scan");
    } else {
      peer::fail("no operation is called " + name);
    }
  }

  void scan(uint64_t number, const std::string& from, const std::string& to, bool forward) {
    rocksdb::ReadOptions options = at(number);
    const rocksdb::Slice lower(from), upper(to);
    options.iterate_lower_bound = &lower;
    options.iterate_upper_bound = &upper;
    const std::unique_ptr<rocksdb::Iterator> rows(db_->NewIterator(options));
    for (forward ? rows->SeekToFirst() : rows->SeekToLast(); rows->Valid(); forward ? rows->Next() : rows->Prev()) {
      std::cout << text(rows->key()) << "=" << text(rows->value()) << " ";
    }
    check(rows->status());
    std::cout << "\n";
  }

  template <typename Change>
  void change(const Change& change) {
    check(change(batch_));
    if (!in_batch_) write();
  }

  void write() {
    check(db_->Write(rocksdb::WriteOptions(), &batch_));
    batch_.Clear();
  }

  rocksdb::ReadOptions at(uint64_t number) {
    rocksdb::ReadOptions options;
    if (number > 0) options.snapshot = snapshots_.at(number);
    return options;
  }

  void open() {
    rocksdb::DB* opened = nullptr;
    check(rocksdb::DB::Open(options_, path_, &opened));
    db_.reset(opened);
  }

  void close() {
    for (const auto& [number, snapshot] : snapshots_) db_->ReleaseSnapshot(snapshot);
    snapshots_.clear();
    db_.reset();
  }

  std::string path_;
  rocksdb::Options options_;
  std::unique_ptr<rocksdb::DB> db_;
  std::map<uint64_t, const rocksdb::Snapshot*> snapshots_;
  rocksdb::WriteBatch batch_;
  bool in_batch_ = false;
};

}  // namespace

int main(int argc, char** argv) {
  const peer::Flags flags(argc, argv, {{"trace", ""}});
  Replay replay(flags.text("dir") + "/rocksdb");
  std::ifstream trace(flags.text("trace"));
  if (!trace) peer::fail("no trace " + flags.text("trace"));
  for (std::string line; std::getline(trace, line);) replay.play(line);
}
