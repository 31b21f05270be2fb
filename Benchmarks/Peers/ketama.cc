// libmemcached's weighted ketama: the server of a key, as a memcached client finds it.
#include <libmemcached/memcached.h>

#include "workload.h"

int main(int argc, char** argv) {
  const peer::Flags flags(argc, argv, {{"structure", "ketama"}, {"size", "4"}});
  memcached_st* client = memcached_create(nullptr);
  memcached_behavior_set(client, MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED, 1);
  for (uint64_t number = 1; number <= flags.number("size"); number++) {
    const std::string host = "10.0.0." + std::to_string(number);
    if (memcached_server_add_with_weight(client, host.c_str(), 11211, 1) != MEMCACHED_SUCCESS) peer::fail("no server " + host);
  }
  const size_t count = 1 << 16;
  std::vector<char> keys(count * 16);
  for (size_t number = 0; number < count; number++) peer::key_of(number, flags.number("seed"), &keys[number * 16]);
  const uint64_t records = flags.number("records");
  peer::Run run(1, 1, 0, 2, [&](peer::Worker& worker, uint64_t) {
    for (uint64_t i = 0; i < records; i++) worker.checksum += memcached_generate_hash(client, &keys[(i & (count - 1)) * 16], 16);
  });
  run.operations = records;
  run.latencies = peer::Histogram();
  peer::print("ketama", "libmemcached", run, {{"ns_per_lookup", run.seconds * 1e9 / static_cast<double>(records)}});
  memcached_free(client);
}
