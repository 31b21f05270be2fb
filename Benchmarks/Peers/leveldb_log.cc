// LevelDB's own log writer and reader, out of Debian's libleveldb.a.
//
// The package ships no header for them, but the static library exports the classes' functions. They are declared here with their documented
// signatures; the objects live in storage larger than the library's, which only the library's constructors and functions touch.
#include <leveldb/env.h>

#include <memory>
#include <mutex>
#include <new>

#include "workload.h"

namespace leveldb::log {

class Writer {
 public:
  explicit Writer(WritableFile* file);
  ~Writer();
  Status AddRecord(const Slice& record);

 private:
  alignas(16) char storage_[256];
};

class Reader {
 public:
  class Reporter {
   public:
    virtual ~Reporter();
    virtual void Corruption(size_t bytes, const Status& status) = 0;
  };
  Reader(SequentialFile* file, Reporter* reporter, bool checksum, uint64_t initial_offset);
  ~Reader();
  bool ReadRecord(Slice* record, std::string* scratch);

 private:
  alignas(16) char storage_[512];
};

}  // namespace leveldb::log

namespace {

class Strict : public leveldb::log::Reader::Reporter {
 public:
  void Corruption(size_t bytes, const leveldb::Status& status) override {
    peer::fail("the log is corrupt: " + std::to_string(bytes) + " bytes, " + status.ToString());
  }
};

void check(const leveldb::Status& status) {
  if (!status.ok()) peer::fail(status.ToString());
}

peer::Run append(const peer::Flags& flags, const std::string& path) {
  leveldb::WritableFile* opened = nullptr;
  check(leveldb::Env::Default()->NewWritableFile(path, &opened));
  const std::unique_ptr<leveldb::WritableFile> file(opened);
  const auto writer = std::make_unique<leveldb::log::Writer>(file.get());
  const size_t size = flags.number("value-size");
  const size_t threads = flags.number("threads");
  const peer::Values values(flags.number("seed"), size);
  // The writer belongs to one thread at a time; LevelDB itself holds its mutex the same way.
  std::mutex mutex;
  const peer::Run run(threads, flags.number("records"), flags.number("seconds"), 16, [&](peer::Worker&, uint64_t i) {
    const leveldb::Slice record(values.of(i), size);
    if (threads == 1) {
      check(writer->AddRecord(record));
    } else {
      const std::lock_guard<std::mutex> lock(mutex);
      check(writer->AddRecord(record));
    }
  });
  check(file->Close());
  return run;
}

peer::Run replay(const std::string& path) {
  leveldb::SequentialFile* opened = nullptr;
  check(leveldb::Env::Default()->NewSequentialFile(path, &opened));
  const std::unique_ptr<leveldb::SequentialFile> file(opened);
  Strict strict;
  const auto reader = std::make_unique<leveldb::log::Reader>(file.get(), &strict, true, 0);
  peer::Run run(1, 1, 0, 2, [](peer::Worker&, uint64_t) {});
  leveldb::Slice record;
  std::string scratch;
  const uint64_t begin = peer::now_ns();
  run.operations = 0;
  run.latencies = peer::Histogram();
  while (reader->ReadRecord(&record, &scratch)) {
    run.operations++;
    run.checksum += peer::sum(record.data(), record.size());
  }
  run.seconds = static_cast<double>(peer::now_ns() - begin) * 1e-9;
  return run;
}

}  // namespace

int main(int argc, char** argv) {
  const peer::Flags flags(argc, argv, {{"records", "1000000"}, {"workload", "append"}});
  const std::string path = flags.text("dir") + "/leveldb.log";
  const size_t size = flags.number("value-size");
  if (flags.is("workload", "append")) {
    const peer::Run run = append(flags, path);
    std::filesystem::remove(path);
    peer::print("leveldb-log", "append", run, {{"bytes", static_cast<double>(run.operations * size)}});
  } else if (flags.is("workload", "replay")) {
    const peer::Load load(flags, "leveldb-log");
    if (!load.is_there()) {
      append(flags, path);
      load.finished();
    }
    replay(path);  // Once to fill the page cache.
    const peer::Run run = replay(path);
    if (run.operations != flags.number("records")) peer::fail("read " + std::to_string(run.operations) + " records");
    peer::print("leveldb-log", "replay", run, {{"bytes", static_cast<double>(run.operations * size)}});
  } else {
    peer::fail("--workload is append or replay");
  }
}
