import StrataBytes

extension AvroPlan {
  /// The next datum as a generic value; the reader stands right behind it afterwards, so a stream of data is read by calling again.
  /// - Throws: ``AvroDecodeError``; the reader is then where it was.
  /// - Complexity: O(bytes of the datum); one allocation per record, array, map, union, `bytes` and long string.
  public func decode(_ reader: inout ByteReader) throws(AvroDecodeError) -> AvroValue {
    let storage = storage
    return try withCursor(&reader) { (cursor) throws(Fault) -> AvroValue in
      var decoder = GenericDecoder(Unmanaged.passUnretained(storage), storage.tables, cursor)
      defer { cursor = decoder.cursor }
      return try decoder.value(storage.root)
    }
  }

  /// The one datum these bytes are.
  /// - Throws: ``AvroDecodeError``, also where bytes are left.
  public func decode(_ bytes: [UInt8]) throws(AvroDecodeError) -> AvroValue {
    var reader = ByteReader(bytes.span.bytes)
    let value = try decode(&reader)
    guard reader.isAtEnd else {
      throw AvroDecodeError(offset: reader.offset, path: "", kind: .refused("\(reader.remaining) bytes are left behind the datum"))
    }
    return value
  }

  /// Moves over the next datum without building it. Blocks that carry their size are jumped.
  /// - Throws: ``AvroDecodeError``; the reader is then where it was.
  public func skip(_ reader: inout ByteReader) throws(AvroDecodeError) {
    let storage = storage
    try withCursor(&reader) { (cursor) throws(Fault) in
      try cursor.skip(storage.root, storage.tables, Unmanaged.passUnretained(storage))
    }
  }

  /// Runs `body` over what is left of the reader and moves the reader by what was read.
  @inline(__always)
  func withCursor<Result>(_ reader: inout ByteReader, _ body: (inout Cursor) throws(Fault) -> Result) throws(AvroDecodeError) -> Result {
    var ahead = reader
    let base = reader.offset
    let rest = ahead.readRest()
    var consumed = 0
    var failure: AvroDecodeError?
    let result: Result? = rest.withUnsafeBytes { bytes in
      var cursor = Cursor(bytes, limits: limits, text: text)
      do throws(Fault) {
        let result = try body(&cursor)
        consumed = cursor.consumed
        return result
      } catch {
        failure = error.error(from: cursor.start, base: base)
        return nil
      }
    }
    guard let result else { throw failure ?? AvroDecodeError(offset: base, path: "", kind: .endOfData) }
    // The cursor was over these very bytes, so as many are there.
    do { _ = try reader.readBytes(consumed) } catch { throw AvroDecodeError(offset: base, path: "", kind: .endOfData) }
    return result
  }
}

extension AvroPlan {
  /// All data that stand one after another in these bytes.
  /// - Throws: ``AvroDecodeError``; also for a datum without bytes, of which there would be no end.
  public func decodeAll(_ bytes: [UInt8]) throws(AvroDecodeError) -> [AvroValue] {
    var reader = ByteReader(bytes.span.bytes)
    var values: [AvroValue] = []
    while !reader.isAtEnd {
      let before = reader.remaining
      values.append(try decode(&reader))
      guard reader.remaining < before else {
        throw AvroDecodeError(offset: reader.offset, path: "", kind: .refused("a datum without bytes, and bytes are left"))
      }
    }
    return values
  }
}
