import StrataAvro
import StrataDisk
import SystemPackage

// Write a file, let the schema grow, and read the old file with the new schema.

let written = try AvroSchema(
  #"""
  {"type": "record", "name": "Reading", "fields": [{"name": "station", "type": "string"}, {"name": "celsius", "type": "int"}]}
  """#)
let path: FilePath = "/tmp/strata-avro-example.avro"
let disk = POSIXFileSystem()

var writer = try AvroFileWriter.create(path, schema: written, on: disk)
for (station, celsius) in [("KSFO", 12), ("EDDF", -3), ("RJTT", 21)] as [(String, Int32)] {
  try writer.append(.record([.string(station), .int(celsius)]))
}
try writer.close()

let grown = try AvroSchema(
  #"""
  {"type": "record", "name": "Reading", "fields": [{"name": "celsius", "type": "double"}, {"name": "station", "type": "string"},
   {"name": "source", "type": ["null", "string"], "default": null}]}
  """#)
print("reads old files: \(checkCompatibility(writer: written, reader: grown).isBackward)")
for value in try AvroFileReader(path, reader: grown, on: disk) {
  print(String(decoding: try AvroJSON.encode(value.get(), grown), as: UTF8.self))
}
