// The floor of a durable append: pwrite and fdatasync, one after the other, on a file written and synced beforehand.
#include <fcntl.h>
#include <unistd.h>

#include "workload.h"

int main(int argc, char** argv) {
  const peer::Flags flags(argc, argv, {{"records", "2000"}, {"value-size", "128"}});
  const size_t size = flags.number("value-size");
  const uint64_t records = std::max<uint64_t>(flags.number("records"), 1);
  const std::string path = flags.text("dir") + "/rawsync";
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) peer::fail("open " + path + ": " + std::strerror(errno));

  const uint64_t length = (records * size + (1 << 20) - 1) >> 20 << 20;
  const std::vector<char> zeros(1 << 20);
  for (uint64_t offset = 0; offset < length; offset += zeros.size()) {
    const ssize_t written = pwrite(file, zeros.data(), zeros.size(), static_cast<off_t>(offset));
    if (written != static_cast<ssize_t>(zeros.size())) peer::fail("the first writing failed");
  }
  if (fsync(file) != 0) peer::fail("fsync failed");

  const peer::Values values(flags.number("seed"), size);
  const peer::Run run(1, records, flags.number("seconds"), 1, [&](peer::Worker&, uint64_t i) {
    const off_t offset = static_cast<off_t>(i * size % (length - size + 1));
    if (pwrite(file, values.of(i), size, offset) != static_cast<ssize_t>(size)) peer::fail("pwrite failed");
    if (fdatasync(file) != 0) peer::fail("fdatasync failed");
  });
  close(file);
  unlink(path.c_str());
  peer::print("rawsync", "append-sync", run, {{"bytes", static_cast<double>(run.operations * size)}});
}
