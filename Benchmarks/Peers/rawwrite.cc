// The floor of an unsynced append: per record a copy behind a 16-byte header, a CRC-32C over it and one write(2).
#include <fcntl.h>
#include <unistd.h>

#include "crc32c.h"
#include "workload.h"

int main(int argc, char** argv) {
  const peer::Flags flags(argc, argv, {{"records", "100000"}, {"value-size", "4096"}});
  const size_t size = flags.number("value-size");
  const std::string path = flags.text("dir") + "/rawwrite";
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) peer::fail("open " + path + ": " + std::strerror(errno));

  constexpr size_t header = 16;
  const peer::Values values(flags.number("seed"), size);
  std::vector<char> record(header + size);
  const peer::Run run(1, flags.number("records"), flags.number("seconds"), 16, [&](peer::Worker& worker, uint64_t i) {
    std::memcpy(record.data() + header, values.of(i), size);
    std::memcpy(record.data() + 8, &i, 8);
    const uint32_t length = static_cast<uint32_t>(size);
    std::memcpy(record.data() + 4, &length, 4);
    const uint32_t crc = peer::crc32c(record.data() + 4, record.size() - 4);
    std::memcpy(record.data(), &crc, 4);
    if (write(file, record.data(), record.size()) != static_cast<ssize_t>(record.size())) peer::fail("write failed");
    worker.checksum ^= crc;
  });
  close(file);
  unlink(path.c_str());
  peer::print("rawwrite", "append", run, {{"bytes", static_cast<double>(run.operations * size)}});
}
