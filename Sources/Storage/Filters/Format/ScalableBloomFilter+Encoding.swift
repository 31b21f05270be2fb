import StrataBytes

// The payload: 64 bytes of parameters, then each slice as a filter of its own with header and checksums, padded to whole lines of 64 bytes.

private let parameterBytes = 64

private func padded(_ count: Int) -> Int { (count + 63) & ~63 }

extension ScalableBloomFilter {
  /// The stored form. O(bits).
  public func encoded() -> [UInt8] {
    let parts = slices.map { $0.encoded() }
    let payloadBytes = parts.reduce(parameterBytes) { $0 + padded($1.count) }
    return FilterFormat.encode(.scalableBloom, seed: seed, keys: insertions, parameters: (UInt64(slices.count), 0), payloadBytes: payloadBytes) {
      target in
      target.storeBytes(of: parameters.falsePositiveRate.bitPattern.littleEndian, toByteOffset: 0, as: UInt64.self)
      target.storeBytes(of: parameters.growth.bitPattern.littleEndian, toByteOffset: 8, as: UInt64.self)
      target.storeBytes(of: parameters.tightening.bitPattern.littleEndian, toByteOffset: 16, as: UInt64.self)
      target.storeBytes(of: UInt64(parameters.initialCapacity).littleEndian, toByteOffset: 24, as: UInt64.self)
      target.storeBytes(of: UInt64(parameters.maxSlices).littleEndian, toByteOffset: 32, as: UInt64.self)
      target.storeBytes(of: maxBytes.littleEndian, toByteOffset: 40, as: UInt64.self)
      var place = parameterBytes
      for part in parts {
        UnsafeMutableRawBufferPointer(rebasing: target[place..<place + part.count]).copyBytes(from: part)
        place += padded(part.count)
      }
    }
  }

  /// The filter that was encoded so; its own limit of memory is the lower of the stored one and `maxBytes`. O(bits).
  /// - Throws: `.corrupt`, `.unsupported`; `.incompatible` for a filter of another kind; `.tooLarge`.
  public init(decoding bytes: RawSpan, maxBytes: UInt64 = 4 << 30) throws(FilterError) {
    let header = try FilterHeader(checking: bytes)
    guard header.kind == .scalableBloom else {
      throw .incompatible(field: "kind", left: "\(FilterKind.scalableBloom)", right: "\(header.kind)")
    }
    guard UInt64(header.payloadBytes) <= maxBytes else { throw .tooLarge(bytes: UInt64(header.payloadBytes), limit: maxBytes) }
    var reader = ByteReader(bytes, base: 0)
    let parameters: Parameters
    let limit: UInt64
    do throws(DecodeError) {
      try reader.skip(FilterFormat.headerBytes)
      (parameters, limit) = try Self.readParameters(&reader)
    } catch { throw .corrupt(reason: "\(error)", offset: error.offset) }
    do { try parameters.validate() } catch { throw .corrupt(reason: "\(error)", offset: FilterFormat.headerBytes) }
    let slices = try Self.readSlices(&reader, header, parameters, maxBytes: maxBytes)
    self.init(parameters, seed: header.seed, maxBytes: min(limit, maxBytes), slices: slices)
    insertions = header.keys
  }

  /// As ``init(decoding:maxBytes:)-(RawSpan,_)``.
  public init(decoding bytes: [UInt8], maxBytes: UInt64 = 4 << 30) throws(FilterError) {
    try self.init(decoding: bytes.span.bytes, maxBytes: maxBytes)
  }

  private static func readParameters(_ reader: inout ByteReader) throws(DecodeError) -> (Parameters, limit: UInt64) {
    var parameters = Parameters()
    parameters.falsePositiveRate = Double(bitPattern: try reader.readUInt64())
    parameters.growth = Double(bitPattern: try reader.readUInt64())
    parameters.tightening = Double(bitPattern: try reader.readUInt64())
    parameters.initialCapacity = Int(truncatingIfNeeded: try reader.readUInt64())
    parameters.maxSlices = Int(truncatingIfNeeded: try reader.readUInt64())
    let limit = try reader.readUInt64()
    for _ in 0..<2 {
      let at = reader.offset
      guard try reader.readUInt64() == 0 else { throw .malformed(at: at, field: "reserved bytes of a scalable filter") }
    }
    return (parameters, limit)
  }

  /// The slices, each of which must be the one that the parameters ask for.
  private static func readSlices(
    _ reader: inout ByteReader, _ header: FilterHeader, _ parameters: Parameters, maxBytes: UInt64
  ) throws(FilterError) -> [BloomFilter] {
    var slices: [BloomFilter] = []
    guard header.parameters.0 <= UInt64(parameters.maxSlices) else { throw .corrupt(reason: "more slices than there may be", offset: 36) }
    for index in 0..<Int(header.parameters.0) {
      let start = reader.offset
      guard let geometry = parameters.geometry(slice: index), geometry.byteCount <= UInt64(reader.remaining) else {
        throw .corrupt(reason: "slice \(index) is longer than the filter", offset: start)
      }
      let count = FilterFormat.headerBytes + Int(geometry.byteCount)
      slices.append(try readSlice(&reader, count, header.seed, geometry, at: start))
    }
    guard reader.isAtEnd else { throw .corrupt(reason: "bytes behind the last slice", offset: reader.offset) }
    return slices
  }

  private static func readSlice(
    _ reader: inout ByteReader, _ count: Int, _ seed: UInt64, _ geometry: BloomGeometry, at start: Int
  ) throws(FilterError) -> BloomFilter {
    let bytes: RawSpan
    var isPadded = true
    do throws(DecodeError) {
      bytes = try reader.readBytes(count)
      for _ in count..<padded(count) { isPadded = try reader.readUInt8() == 0 && isPadded }
    } catch { throw .corrupt(reason: "\(error)", offset: start) }
    let slice: BloomFilter
    do { slice = try BloomFilter(decoding: bytes, maxBytes: .max) } catch { throw .corrupt(reason: "a slice: \(error)", offset: start) }
    guard isPadded, slice.geometry == geometry, slice.seed == seed else { throw .corrupt(reason: "a slice that is not this filter's", offset: start) }
    return slice
  }
}
