/// The keys of one shard, one after another in chunks: varint (key length × 2 + has-expiry), key, and the expiry (8 bytes) only when one
/// was ever set for this entry. References are byte positions, so 4 GiB of keys fit a shard.
struct KeyArena: ~Copyable {
  private static let chunkBytes = 1 << 20
  private static let firstChunkBytes = 512
  static let maxBytes = Int(UInt32.max)

  private var chunks: [UnsafeMutableRawPointer] = []
  /// Bytes of the only chunk while there is one; it doubles until it is of full size, so that a small store stays small.
  private var firstBytes = 0
  /// Bytes of entries that nothing refers to any more.
  private(set) var garbage = 0
  /// Position behind the last entry.
  private(set) var end = 0

  /// Memory taken from the system, touched or not.
  var reservedBytes: Int { chunks.count <= 1 ? firstBytes : chunks.count * Self.chunkBytes }
  /// Worth copying: more than half is garbage.
  var wantsCompaction: Bool { garbage > 1024 && garbage * 2 > end }

  deinit {
    for (index, chunk) in chunks.enumerated() { RawPages.free(chunk, index == 0 ? firstBytes : Self.chunkBytes) }
  }

  static func entryBytes(key count: Int, hasExpiry: Bool) -> Int { headerBytes(count) + count + (hasExpiry ? 8 : 0) }

  /// Adds an entry and returns its reference.
  mutating func append(_ key: UnsafeRawBufferPointer, expiry: UInt64, keepsExpiry: Bool) -> UInt32 {
    let bytes = Self.entryBytes(key: key.count, hasExpiry: keepsExpiry)
    let position = reserve(bytes)
    let target = pointer(position)
    var header = UInt32(key.count) << 1 | (keepsExpiry ? 1 : 0)
    var index = 0
    while header >= 0x80 {
      target.storeBytes(of: UInt8(truncatingIfNeeded: header) | 0x80, toByteOffset: index, as: UInt8.self)
      header >>= 7
      index += 1
    }
    target.storeBytes(of: UInt8(truncatingIfNeeded: header), toByteOffset: index, as: UInt8.self)
    index += 1
    if let base = key.baseAddress { (target + index).copyMemory(from: base, byteCount: key.count) }
    if keepsExpiry { target.storeBytes(of: expiry, toByteOffset: index + key.count, as: UInt64.self) }
    return UInt32(truncatingIfNeeded: position)
  }

  /// The key an entry holds. Valid until the next change of the arena.
  @inline(__always)
  func key(_ reference: UInt32) -> UnsafeRawBufferPointer {
    let (count, _, header, base) = parse(reference)
    return UnsafeRawBufferPointer(start: base + header, count: count)
  }

  @inline(__always)
  func equals(_ reference: UInt32, _ key: UnsafeRawBufferPointer) -> Bool {
    let (count, _, header, base) = parse(reference)
    guard count == key.count else { return false }
    guard count > 0, let other = key.baseAddress else { return true }
    return sameBytes(base + header, other, count)
  }

  /// 0 for none.
  @inline(__always)
  func expiry(_ reference: UInt32) -> UInt64 {
    let (count, hasExpiry, header, base) = parse(reference)
    return hasExpiry ? (base + header + count).loadUnaligned(as: UInt64.self) : 0
  }

  /// Sets the expiry in place; `false` when the entry has no room for one and needs one.
  func setExpiry(_ reference: UInt32, _ expiry: UInt64) -> Bool {
    let (count, hasExpiry, header, base) = parse(reference)
    guard hasExpiry else { return expiry == 0 }
    base.storeBytes(of: expiry, toByteOffset: header + count, as: UInt64.self)
    return true
  }

  /// Counts an entry as garbage; its bytes stay until the next compaction.
  mutating func drop(_ reference: UInt32) {
    let (count, hasExpiry, header, _) = parse(reference)
    garbage += header + count + (hasExpiry ? 8 : 0)
  }

  @inline(__always)
  private func parse(_ reference: UInt32) -> (count: Int, hasExpiry: Bool, header: Int, base: UnsafeMutableRawPointer) {
    let base = pointer(Int(reference))
    let first = base.load(as: UInt8.self)
    if first < 0x80 { return (Int(first >> 1), first & 1 != 0, 1, base) }
    var value = UInt32(first & 0x7F)
    var shift: UInt32 = 7
    var index = 1
    while true {
      let byte = base.load(fromByteOffset: index, as: UInt8.self)
      value |= UInt32(byte & 0x7F) << shift
      index += 1
      if byte < 0x80 { break }
      shift += 7
    }
    return (Int(value >> 1), value & 1 != 0, index, base)
  }

  @inline(__always)
  private func pointer(_ position: Int) -> UnsafeMutableRawPointer { chunks[position >> 20] + (position & (Self.chunkBytes - 1)) }

  private static func headerBytes(_ count: Int) -> Int { count < 64 ? 1 : count < 8192 ? 2 : 3 }

  /// Room for `bytes` in one chunk. What is left of a chunk too short for the entry is lost until the next compaction.
  private mutating func reserve(_ bytes: Int) -> Int {
    var position = end
    if (position & (Self.chunkBytes - 1)) + bytes > Self.chunkBytes {
      let next = (position >> 20 + 1) << 20
      garbage += next - position
      position = next
    }
    // Memory is exhausted here in every sense: an error could not be stored either.
    guard position + bytes <= Self.maxBytes else { fatalError("out of memory: the keys of one shard exceed 4 GiB") }
    if chunks.isEmpty {
      firstBytes = max(Self.firstChunkBytes, min(Self.chunkBytes, bytes * 2))
      chunks.append(RawPages.allocate(firstBytes))
    }
    if position >> 20 == 0, position + bytes > firstBytes {
      var grown = firstBytes
      while grown < position + bytes { grown = min(grown * 2, Self.chunkBytes) }
      let block = RawPages.allocate(grown)
      block.copyMemory(from: chunks[0], byteCount: end)
      RawPages.free(chunks[0], firstBytes)
      chunks[0] = block
      firstBytes = grown
    }
    if position >> 20 >= chunks.count {
      if firstBytes < Self.chunkBytes { growFirstToFull() }
      chunks.append(RawPages.allocate(Self.chunkBytes))
    }
    end = position + bytes
    return position
  }

  /// Positions are computed from full chunks, so the first must be full before a second begins.
  private mutating func growFirstToFull() {
    let block = RawPages.allocate(Self.chunkBytes)
    block.copyMemory(from: chunks[0], byteCount: min(end, firstBytes))
    RawPages.free(chunks[0], firstBytes)
    chunks[0] = block
    firstBytes = Self.chunkBytes
  }
}
