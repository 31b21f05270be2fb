import StrataBytes

/// Every kind to and from its stored form. Decoding copies, checks everything, and takes at most `maxBytes` of memory.
private func checkSize(_ header: FilterHeader, _ kind: FilterKind, _ maxBytes: UInt64) throws(FilterError) {
  guard header.kind == kind else { throw .incompatible(field: "kind", left: "\(kind)", right: "\(header.kind)") }
  guard UInt64(header.payloadBytes) <= maxBytes else { throw .tooLarge(bytes: UInt64(header.payloadBytes), limit: maxBytes) }
}

private func payload(_ bytes: RawSpan) throws(FilterError) -> FilterMemory {
  try FilterMemory(copying: bytes.extracting(FilterFormat.headerBytes..<bytes.byteCount))
}

extension BloomFilter {
  /// The stored form. O(m).
  public func encoded() -> [UInt8] {
    FilterFormat.encode(
      .bloom, seed: seed, keys: insertions, parameters: (bitCount, UInt64(hashCount)), payloadBytes: memory.byteCount
    ) { $0.copyMemory(from: memory.bytes) }
  }

  /// The filter that was encoded so. O(m).
  /// - Throws: `.corrupt`, `.unsupported`; `.incompatible` for a filter of another kind; `.tooLarge`.
  public init(decoding bytes: RawSpan, maxBytes: UInt64 = 4 << 30) throws(FilterError) {
    let header = try FilterHeader(checking: bytes)
    try checkSize(header, .bloom, maxBytes)
    guard let geometry = header.bloomGeometry else { throw .corrupt(reason: "parameters of a filter out of range", offset: 36) }
    self.init(geometry, seed: header.seed, insertions: header.keys, memory: try payload(bytes))
  }

  /// As ``init(decoding:maxBytes:)-(RawSpan,_)``.
  public init(decoding bytes: [UInt8], maxBytes: UInt64 = 4 << 30) throws(FilterError) {
    try self.init(decoding: bytes.span.bytes, maxBytes: maxBytes)
  }
}

extension BlockedBloomFilter {
  /// The stored form. O(bits).
  public func encoded() -> [UInt8] {
    FilterFormat.encode(
      .blockedBloom, seed: seed, keys: insertions, parameters: (bitCount / 512, UInt64(hashCount)), payloadBytes: memory.byteCount
    ) { $0.copyMemory(from: memory.bytes) }
  }

  /// The filter that was encoded so. O(bits).
  /// - Throws: `.corrupt`, `.unsupported`; `.incompatible` for a filter of another kind; `.tooLarge`.
  public init(decoding bytes: RawSpan, maxBytes: UInt64 = 4 << 30) throws(FilterError) {
    let header = try FilterHeader(checking: bytes)
    try checkSize(header, .blockedBloom, maxBytes)
    self.init(try payload(bytes), hashCount: header.blockHashes, seed: header.seed)
    inserted = header.keys
  }

  /// As ``init(decoding:maxBytes:)-(RawSpan,_)``.
  public init(decoding bytes: [UInt8], maxBytes: UInt64 = 4 << 30) throws(FilterError) {
    try self.init(decoding: bytes.span.bytes, maxBytes: maxBytes)
  }
}

extension CountingBloomFilter {
  /// The stored form. O(m).
  public func encoded() -> [UInt8] {
    FilterFormat.encode(
      .countingBloom, seed: seed, keys: count, parameters: (bitCount, UInt64(counterBits) << 32 | UInt64(hashCount)), payloadBytes: memory.byteCount
    ) { $0.copyMemory(from: memory.bytes) }
  }

  /// The filter that was encoded so. O(m).
  /// - Throws: `.corrupt`, `.unsupported`; `.incompatible` for a filter of another kind; `.tooLarge`.
  public init(decoding bytes: RawSpan, maxBytes: UInt64 = 4 << 30) throws(FilterError) {
    let header = try FilterHeader(checking: bytes)
    try checkSize(header, .countingBloom, maxBytes)
    guard let geometry = header.bloomGeometry else { throw .corrupt(reason: "parameters of a filter out of range", offset: 36) }
    self.init(geometry, counterBits: header.counterBits, seed: header.seed, count: header.keys, memory: try payload(bytes))
  }

  /// As ``init(decoding:maxBytes:)-(RawSpan,_)``.
  public init(decoding bytes: [UInt8], maxBytes: UInt64 = 4 << 30) throws(FilterError) {
    try self.init(decoding: bytes.span.bytes, maxBytes: maxBytes)
  }
}

extension BinaryFuseFilter {
  private static var storedKind: FilterKind { MemoryLayout<Fingerprint>.size == 1 ? .binaryFuse8 : .binaryFuse16 }

  /// The stored form; for fingerprints of 8 and 16 bits, the kinds the format knows. O(bits).
  public func encoded() -> [UInt8] {
    precondition(MemoryLayout<Fingerprint>.size <= 2, "the format knows fingerprints of 8 and 16 bits")
    switch kind {
    case .nothing, .everything: return FilterFormat.constant(kind == .everything ? .never : .always, seed: seed, keys: 0)
    case .fuse:
      return FilterFormat.encode(
        Self.storedKind, seed: seed, keys: UInt64(keyCount), parameters: (FilterHeader.fuseParameter(shape), mixing), payloadBytes: memory.byteCount
      ) { $0.copyMemory(from: memory.bytes) }
    }
  }

  /// The filter that was encoded so; also of a filter of the kinds ``FilterKind/always`` and ``FilterKind/never``. O(bits).
  /// - Throws: `.corrupt`, `.unsupported`; `.incompatible` for a filter of another kind; `.tooLarge`.
  public init(decoding bytes: RawSpan, maxBytes: UInt64 = 4 << 30) throws(FilterError) {
    let header = try FilterHeader(checking: bytes)
    if header.kind == .always || header.kind == .never {
      self.init(kind: header.kind == .always ? .nothing : .everything, seed: header.seed)
      return
    }
    try checkSize(header, Self.storedKind, maxBytes)
    self.init(
      kind: .fuse, keyCount: Int(header.keys), seed: header.seed, shape: header.fuseShape, mixing: header.parameters.1, memory: try payload(bytes))
  }

  /// As ``init(decoding:maxBytes:)-(RawSpan,_)``.
  public init(decoding bytes: [UInt8], maxBytes: UInt64 = 4 << 30) throws(FilterError) {
    try self.init(decoding: bytes.span.bytes, maxBytes: maxBytes)
  }
}

extension CuckooFilter {
  /// The stored form. O(capacity).
  public func encoded() -> [UInt8] {
    FilterFormat.encode(.cuckoo, seed: seed, keys: count, parameters: (table.buckets, 0), payloadBytes: memory.byteCount) { target in
      target.copyMemory(from: memory.bytes)
      target.storeBytes(of: victim.bucket.littleEndian, toByteOffset: target.count - 16, as: UInt64.self)
      target.storeBytes(of: UInt32(victim.fingerprint).littleEndian, toByteOffset: target.count - 8, as: UInt32.self)
    }
  }

  /// The filter that was encoded so. O(capacity).
  /// - Throws: `.corrupt`, `.unsupported`; `.incompatible` for a filter of another kind; `.tooLarge`.
  public init(decoding bytes: RawSpan, maxBytes: UInt64 = 4 << 30) throws(FilterError) {
    let header = try FilterHeader(checking: bytes)
    try checkSize(header, .cuckoo, maxBytes)
    let memory = try payload(bytes)
    self.init(header.cuckooTable, memory, seed: header.seed)
    victim = FilterHeader.victim(RawSpan(_unsafeBytes: memory.bytes))
    count = header.keys
    // In memory the tail is only room for the last bucket's read.
    for place in memory.byteCount - 16..<memory.byteCount { memory.base.storeBytes(of: 0, toByteOffset: place, as: UInt8.self) }
  }

  /// As ``init(decoding:maxBytes:)-(RawSpan,_)``.
  public init(decoding bytes: [UInt8], maxBytes: UInt64 = 4 << 30) throws(FilterError) {
    try self.init(decoding: bytes.span.bytes, maxBytes: maxBytes)
  }
}

extension FilterFormat {
  /// The stored form of a filter that says the same of every key.
  static func constant(_ kind: FilterKind, seed: UInt64, keys: UInt64) -> [UInt8] {
    encode(kind, seed: seed, keys: keys, parameters: (0, 0), payloadBytes: 1) { $0[0] = kind == .never ? 1 : 0 }
  }
}
