// libzstd alone over the blocks of an Avro container file in memory: what reading the file cannot be faster than.
#include <zstd.h>

#include <fstream>
#include <iterator>

#include "workload.h"

static int64_t number(const std::string& bytes, size_t& at) {
  uint64_t value = 0;
  for (int shift = 0; at < bytes.size() && shift < 64; shift += 7) {
    const auto byte = static_cast<unsigned char>(bytes[at++]);
    value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) break;
  }
  return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
}

int main(int argc, char** argv) {
  const peer::Flags flags(argc, argv, {{"header", "0"}, {"data", ""}, {"passes", "1"}});
  std::ifstream input(flags.text("data"), std::ios::binary);
  if (!input) peer::fail("open " + flags.text("data"));
  const std::string file{std::istreambuf_iterator<char>(input), std::istreambuf_iterator<char>()};
  std::vector<char> room(16 << 20);
  ZSTD_DCtx* context = ZSTD_createDCtx();
  uint64_t restored = 0;
  peer::Run run(1, 1, 0, 2, [&](peer::Worker& worker, uint64_t) {
    for (uint64_t pass = 0; pass < flags.number("passes"); pass++) {
      size_t at = flags.number("header");
      while (at < file.size()) {
        number(file, at);
        const auto length = static_cast<size_t>(number(file, at));
        if (length > file.size() - at) peer::fail("a block ends behind the file");
        const size_t count = ZSTD_decompressDCtx(context, room.data(), room.size(), file.data() + at, length);
        if (ZSTD_isError(count)) peer::fail(ZSTD_getErrorName(count));
        restored += count;
        worker.checksum += static_cast<unsigned char>(room[0]);
        at += length + 16;
      }
    }
  });
  run.operations = restored;
  run.latencies = peer::Histogram();
  peer::print("libzstd", "blocks", run);
}
