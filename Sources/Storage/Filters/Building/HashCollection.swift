/// Hashes in the order they came, in pieces, so that growing never copies them and takes no second memory.
struct HashCollection: ~Copyable {
  private static let pieceCount = 1 << 15
  private var pieces: [UnsafeMutablePointer<UInt64>] = []
  private var inLast = HashCollection.pieceCount
  /// The exclusive or of all hashes, kept apart from them: what they must still amount to later.
  private(set) var checksum: UInt64 = 0

  deinit { for piece in pieces { piece.deallocate() } }

  var count: Int { pieces.isEmpty ? 0 : (pieces.count - 1) * Self.pieceCount + inLast }

  @inline(__always)
  mutating func append(_ hash: UInt64) {
    if inLast == Self.pieceCount {
      pieces.append(.allocate(capacity: Self.pieceCount))
      inLast = 0
    }
    pieces[pieces.count &- 1].advanced(by: inLast).initialize(to: hash)
    inLast &+= 1
    checksum ^= hash
  }

  /// Changes one hash, as a fault of the memory would.
  mutating func corrupt(_ index: Int) { pieces[index / Self.pieceCount][index % Self.pieceCount] ^= 1 }

  /// All hashes; valid until the collection changes or ends.
  var buffers: [UnsafeBufferPointer<UInt64>] {
    pieces.indices.map { UnsafeBufferPointer(start: pieces[$0], count: $0 == pieces.count - 1 ? inLast : Self.pieceCount) }
  }

  /// Whether the hashes still amount to what came in.
  var isIntact: Bool { buffers.reduce(0) { $1.reduce($0, ^) } == checksum }

  mutating func removeAll() {
    for piece in pieces { piece.deallocate() }
    pieces = []
    inLast = Self.pieceCount
    checksum = 0
  }
}

// The memory has this one owner, and a value that cannot be copied is in one place at a time.
extension HashCollection: @unchecked Sendable {}
