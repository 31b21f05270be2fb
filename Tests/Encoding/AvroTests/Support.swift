import StrataBytes
import Testing

@testable import StrataAvro

func schema(_ text: String, known: [AvroSchema] = [], rules: NameRules = .strict) throws -> AvroSchema {
  try AvroSchema(text, known: known, rules: rules)
}

/// The kind of the error parsing gives, and where.
func refusal(_ text: String) -> AvroSchemaError? {
  do { _ = try AvroSchema(text) } catch { return error }
  return nil
}

func hex(_ bytes: [UInt8]) -> String {
  bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
}

func decodeFailure(_ plan: AvroPlan, _ bytes: [UInt8]) -> AvroDecodeError? {
  do { _ = try plan.decode(bytes) } catch { return error }
  return nil
}

func encodeFailure(_ schema: AvroSchema, _ value: AvroValue) -> AvroEncodeError? {
  do { _ = try AvroEncoder(schema).encode(value) } catch { return error }
  return nil
}

/// What `bytes` of the writer are to the reader.
func resolved(_ writer: String, _ reader: String, _ value: AvroValue) throws -> AvroValue {
  let writer = try schema(writer)
  return try AvroPlan(writer: writer, reader: try schema(reader)).decode(AvroEncoder(writer).encode(value))
}

let linkedList = #"""
  {"type": "record", "name": "LongList", "aliases": ["LinkedLongs"],
   "fields": [{"name": "value", "type": "long"}, {"name": "next", "type": ["null", "LongList"]}]}
  """#
