// libavro's generic API over bare data in memory: every datum into one reused value, or values back into bytes.
#include <avro.h>

#include <fstream>
#include <iterator>

#include "workload.h"

static std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) peer::fail("open " + path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

int main(int argc, char** argv) {
  const peer::Flags flags(argc, argv, {{"records", "1000"}, {"workload", "decode"}, {"schema", ""}, {"data", ""}});
  const std::string text = contents(flags.text("schema"));
  const std::string data = contents(flags.text("data"));
  avro_schema_t schema;
  if (avro_schema_from_json_length(text.data(), text.size(), &schema)) peer::fail(avro_strerror());
  avro_value_iface_t* type = avro_generic_class_from_schema(schema);
  const uint64_t records = flags.number("records");
  avro_reader_t reader = avro_reader_memory(data.data(), static_cast<int64_t>(data.size()));

  if (flags.text("workload") == "decode") {
    avro_value_t value;
    avro_generic_value_new(type, &value);
    peer::Run run(1, 1, 0, 2, [&](peer::Worker& worker, uint64_t) {
      for (uint64_t i = 0; i < records; i++) {
        avro_value_reset(&value);
        if (avro_value_read(reader, &value)) peer::fail(avro_strerror());
        worker.checksum++;
      }
    });
    run.operations = records;
    run.latencies = peer::Histogram();
    peer::print("libavro", "decode", run);
    return 0;
  }
  std::vector<avro_value_t> values(std::min<uint64_t>(records, 1000));
  for (auto& value : values) {
    avro_generic_value_new(type, &value);
    if (avro_value_read(reader, &value)) peer::fail(avro_strerror());
  }
  std::vector<char> room(64 << 20);
  avro_writer_t writer = avro_writer_memory(room.data(), static_cast<int64_t>(room.size()));
  peer::Run run(1, 1, 0, 2, [&](peer::Worker& worker, uint64_t) {
    for (uint64_t i = 0; i < records; i++) {
      if (i % values.size() == 0) avro_writer_reset(writer);
      if (avro_value_write(writer, &values[i % values.size()])) peer::fail(avro_strerror());
      worker.checksum++;
    }
  });
  run.operations = records;
  run.latencies = peer::Histogram();
  peer::print("libavro", "encode", run);
}
