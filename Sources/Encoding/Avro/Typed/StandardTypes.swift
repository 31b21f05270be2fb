// The standard library's types as Avro reads and writes them.

extension Bool: AvroDecodable, AvroEncodable {
  public mutating func decode(from decoder: inout AvroDecoder) throws(AvroDecodeError) { self = try decoder.readBoolean() }
  public func encode(to output: inout AvroOutput) throws(AvroEncodeError) { try output.write(self) }
}

extension Int32: AvroDecodable, AvroEncodable {
  public mutating func decode(from decoder: inout AvroDecoder) throws(AvroDecodeError) { self = try decoder.readInt() }
  public func encode(to output: inout AvroOutput) throws(AvroEncodeError) { try output.write(self) }
}

extension Int64: AvroDecodable, AvroEncodable {
  public mutating func decode(from decoder: inout AvroDecoder) throws(AvroDecodeError) { self = try decoder.readLong() }
  public func encode(to output: inout AvroOutput) throws(AvroEncodeError) { try output.write(self) }
}

extension Float: AvroDecodable, AvroEncodable {
  public mutating func decode(from decoder: inout AvroDecoder) throws(AvroDecodeError) { self = try decoder.readFloat() }
  public func encode(to output: inout AvroOutput) throws(AvroEncodeError) { try output.write(self) }
}

extension Double: AvroDecodable, AvroEncodable {
  public mutating func decode(from decoder: inout AvroDecoder) throws(AvroDecodeError) { self = try decoder.readDouble() }
  public func encode(to output: inout AvroOutput) throws(AvroEncodeError) { try output.write(self) }
}

extension String: AvroDecodable, AvroEncodable {
  public mutating func decode(from decoder: inout AvroDecoder) throws(AvroDecodeError) { self = try decoder.readString() }
  public func encode(to output: inout AvroOutput) throws(AvroEncodeError) { try output.write(self) }
}

extension Optional: AvroDecodable where Wrapped: AvroDecodable {
  /// Nothing.
  public init() { self = nil }

  /// A union of null and one other type.
  public mutating func decode(from decoder: inout AvroDecoder) throws(AvroDecodeError) {
    if try decoder.readIsNull() {
      self = nil
    } else {
      var value = self ?? Wrapped()
      try value.decode(from: &decoder)
      self = value
    }
  }
}

extension Array: AvroDecodable where Element: AvroDecodable {
  public mutating func decode(from decoder: inout AvroDecoder) throws(AvroDecodeError) {
    var items = try decoder.beginArray()
    var count = 0
    while try decoder.nextItem(&items) {
      if count == self.count { append(Element()) }
      try self[count].decode(from: &decoder)
      count += 1
    }
    removeLast(self.count - count)
  }
}

extension Array: AvroEncodable where Element: AvroEncodable {
  public func encode(to output: inout AvroOutput) throws(AvroEncodeError) {
    let outer = try output.beginArray(count: count)
    for item in self { try item.encode(to: &output) }
    try output.end(outer)
  }
}

extension Dictionary: AvroDecodable where Key == String, Value: AvroDecodable {
  public mutating func decode(from decoder: inout AvroDecoder) throws(AvroDecodeError) {
    removeAll(keepingCapacity: true)
    var items = try decoder.beginMap()
    while let key = try decoder.nextKey(&items) {
      var value = Value()
      try value.decode(from: &decoder)
      self[key] = value
    }
  }
}
