import StrataBytes

/// Writes a default, which is known to fit its type, straight from the schema: plans are made of these bytes, so no plan can make them.
enum PlainEncoder {
  static func bytes(_ value: AvroValue) -> [UInt8] {
    var writer = ByteWriter()
    write(value, &writer)
    return writer.finish()
  }

  private static func write(_ value: AvroValue, _ writer: inout ByteWriter) {
    switch value {
    case .null: break
    case .boolean(let flag): writer.writeUInt8(flag ? 1 : 0)
    case .int(let number): writer.writeZigzag32(number)
    case .long(let number): writer.writeZigzag64(number)
    case .float(let number): writer.writeUInt32(number.bitPattern)
    case .double(let number): writer.writeUInt64(number.bitPattern)
    case .bytes(let bytes):
      writer.writeZigzag64(Int64(bytes.count))
      writer.writeBytes(bytes)
    case .string(let text): string(text, &writer)
    case .fixed(let bytes): writer.writeBytes(bytes)
    case .enumeration(let index): writer.writeZigzag64(Int64(index))
    case .record(let fields): for field in fields { write(field, &writer) }
    case .union(let branch, let value):
      writer.writeZigzag64(Int64(branch))
      write(value, &writer)
    case .array(let items):
      if !items.isEmpty { writer.writeZigzag64(Int64(items.count)) }
      for item in items { write(item, &writer) }
      writer.writeUInt8(0)
    case .map(let entries):
      if !entries.isEmpty { writer.writeZigzag64(Int64(entries.count)) }
      for (key, value) in entries {
        string(key, &writer)
        write(value, &writer)
      }
      writer.writeUInt8(0)
    }
  }

  private static func string(_ text: String, _ writer: inout ByteWriter) {
    var text = text
    text.withUTF8 { bytes in
      writer.writeZigzag64(Int64(bytes.count))
      writer.writeBytes(RawSpan(_unsafeElements: bytes))
    }
  }
}
