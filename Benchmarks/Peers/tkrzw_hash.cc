// TKRZW's HashDBM with a CRC-32 in each record, in append mode, over positional I/O (--file positional) or its default mapping (--file mmap).
#include <tkrzw_dbm_hash.h>
#include <tkrzw_file_mmap.h>
#include <tkrzw_file_pos.h>

#include <memory>
#include <string_view>

#include "workload.h"

namespace {

void check(const tkrzw::Status& status) {
  if (!status.IsOK()) peer::fail(tkrzw::ToString(status));
}

std::unique_ptr<tkrzw::File> make_file(const peer::Flags& flags) {
  if (flags.is("file", "positional")) return std::make_unique<tkrzw::PositionalParallelFile>();
  if (flags.is("file", "mmap")) return std::make_unique<tkrzw::MemoryMapParallelFile>();
  peer::fail("--file is positional or mmap");
}

}  // namespace

int main(int argc, char** argv) {
  const peer::Flags flags(argc, argv, {{"workload", "get"}, {"file", "positional"}});
  const uint64_t records = flags.number("records"), seed = flags.number("seed");
  const size_t threads = flags.number("threads");
  const peer::Values values(seed, flags.number("value-size"));
  const bool is_get = flags.is("workload", "get");
  if (!is_get && !flags.is("workload", "put")) peer::fail("--workload is put or get");
  const peer::Load state(flags, "tkrzw");

  tkrzw::HashDBM database(make_file(flags));
  tkrzw::HashDBM::TuningParameters tuning;
  tuning.update_mode = tkrzw::HashDBM::UPDATE_APPENDING;
  tuning.record_crc_mode = tkrzw::HashDBM::RECORD_CRC_32;
  tuning.num_buckets = static_cast<int64_t>(std::max<uint64_t>(records * 2, 1024));
  tuning.offset_width = 5;
  check(database.OpenAdvanced(flags.text("dir") + "/tkrzw.tkh", true, tkrzw::File::OPEN_DEFAULT, tuning));

  const peer::Shuffle order(records, seed);
  const auto put = [&](peer::Worker&, uint64_t i) {
    char key[peer::key_size];
    peer::key_of(order.at(i), seed, key);
    check(database.Set(std::string_view(key, sizeof key), std::string_view(values.of(i), values.size())));
  };
  const auto finish = [&](const peer::Run& run) {
    const double resident = static_cast<double>(peer::resident_bytes());
    check(database.Close());
    peer::print(flags.is("file", "mmap") ? "tkrzw-mmap" : "tkrzw-positional", flags.text("workload"), run,
                {{"disk_bytes", static_cast<double>(peer::disk_bytes(flags.text("dir")))}, {"rss_bytes", resident}});
  };
  if (!is_get) {
    finish(peer::Run(threads, records, 0, 16, put));
    return 0;
  }
  if (!state.is_there()) {
    peer::Run(1, records, 0, 16, put);
    check(database.Synchronize(false));
    state.finished();
  }
  std::vector<peer::Random> random;
  std::vector<std::string> found(threads);
  for (size_t i = 0; i < threads; i++) random.emplace_back(seed * 1000 + i);
  const uint64_t operations = flags.number("operations") > 0 ? flags.number("operations") : records;
  finish(peer::Run(threads, operations, flags.number("seconds"), 16, [&](peer::Worker& worker, uint64_t) {
    char key[peer::key_size];
    peer::key_of(random[worker.number].below(records), seed, key);
    std::string& value = found[worker.number];
    check(database.Get(std::string_view(key, sizeof key), &value));
    worker.checksum += peer::sum(value.data(), value.size());
  }));
}
