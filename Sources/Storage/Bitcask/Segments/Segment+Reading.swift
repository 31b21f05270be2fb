import StrataDisk

extension Segment {
  /// Reads a whole record from the file and verifies all of it.
  /// - Returns: `nil` where the bytes are not a sound record.
  func readRecord(at location: Location) throws(DiskError) -> (header: RecordHeader, bytes: [UInt8])? {
    let bytes = try file.read(at: location.offset, count: Int(location.length))
    guard let header = bytes.withUnsafeBytes({ verify($0, at: location) }) else { return nil }
    return (header, bytes)
  }

  /// The header of the record that `bytes` holds, if every checksum agrees.
  @inline(__always)
  func verify(_ bytes: UnsafeRawBufferPointer, at location: Location) -> RecordHeader? {
    guard case .valid(let header) = seal.header(in: bytes, at: location.offset, limit: UInt64(location.length)),
      header.recordBytes == Int(location.length), seal.payloadIsValid(header, bytes, at: location.offset)
    else { return nil }
    return header
  }

  /// The key of a record, its value unread.
  func readKey(at location: Location) throws(DiskError) -> [UInt8]? {
    var wanted = min(Int(location.length), RecordHeader.bytes + 256)
    while true {
      let bytes = try file.read(at: location.offset, count: wanted)
      let check = bytes.withUnsafeBytes { seal.header(in: $0, at: location.offset, limit: UInt64(location.length)) }
      switch check {
      case .valid(let header): return Array(bytes[RecordHeader.bytes..<(RecordHeader.bytes + header.keyLength)])
      case .needs(let more) where more > wanted && bytes.count == wanted: wanted = more
      case .needs, .invalid: return nil
      }
    }
  }
}
