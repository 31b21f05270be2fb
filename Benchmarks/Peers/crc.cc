// CRC-32C by the processor's instruction, one lane: what a C program gets without interleaving.
#include "crc32c.h"

#include "workload.h"

int main(int argc, char** argv) {
  const peer::Flags flags(argc, argv, {{"records", "1000000"}, {"value-size", "4096"}});
  const size_t size = flags.number("value-size");
  const peer::Values values(flags.number("seed"), size);
  const char* bytes = values.of(0);
  // One operation of the run is all of the buffers, so that the clock is not what is measured.
  const uint64_t records = flags.number("records");
  peer::Run run(1, 1, 0, 2, [&](peer::Worker& worker, uint64_t) {
    for (uint64_t i = 0; i < records; i++) {
      // Each checksum depends on the one before, as it does for records of a log that are told apart by what precedes them.
      worker.checksum += peer::crc32c(bytes + (worker.checksum & 1), size - 1);
    }
  });
  run.operations = records * (size - 1);
  run.latencies = peer::Histogram();
  peer::print("crc", "crc32c", run);
}
