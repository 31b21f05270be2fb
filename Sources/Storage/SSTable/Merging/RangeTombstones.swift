import StrataBytes

/// One call of a range deletion: every key from `start` (inclusive) to `end` (exclusive) is gone as of `sequence`.
public struct RangeDeletion: Sendable, Hashable {
  /// First key deleted.
  public var start: [UInt8]
  /// First key no longer deleted.
  public var end: [UInt8]
  /// The place in the order of writes: older entries are covered.
  public var sequence: UInt64

  public init(start: [UInt8], end: [UInt8], sequence: UInt64) {
    self.start = start
    self.end = end
    self.sequence = sequence
  }
}

/// Range deletions cut into pieces that do not overlap, each with all the sequences that hold for it: one binary search tells what covers a key.
///
/// A value; building takes O(n log n) for n deletions that overlap little, and at most O(n²) pieces times sequences where all overlap.
public struct RangeTombstones: Sendable, Hashable {
  /// A piece: the keys of `start..<end`, deleted at each of `sequences`, newest first.
  public struct Fragment: Sendable, Hashable {
    /// First key of the piece.
    public var start: [UInt8]
    /// First key behind it.
    public var end: [UInt8]
    /// The deletions that hold here, newest first; never empty.
    public var sequences: [UInt64]
  }

  /// The pieces in key order.
  public private(set) var fragments: [Fragment]
  /// Where each piece starts, for the first comparison of a search.
  private var heads: [UInt64]

  /// No deletions.
  public static let none = RangeTombstones(fragments: [])

  /// Cuts deletions, given in any order, into pieces. Empty ranges are left out.
  public init(_ deletions: [RangeDeletion]) {
    let sorted = deletions.filter { $0.start.lexicographicallyPrecedes($0.end) }.sorted { $0.start.lexicographicallyPrecedes($1.start) }
    var edges: [[UInt8]] = sorted.flatMap { [$0.start, $0.end] }.sorted { $0.lexicographicallyPrecedes($1) }
    edges = edges.enumerated().filter { $0.offset == 0 || edges[$0.offset - 1] != $0.element }.map(\.element)
    var pieces: [Fragment] = []
    var next = 0
    var open: [RangeDeletion] = []
    for (start, end) in zip(edges, edges.dropFirst()) {
      open.removeAll { !start.lexicographicallyPrecedes($0.end) }
      while next < sorted.count, sorted[next].start == start {
        open.append(sorted[next])
        next += 1
      }
      guard !open.isEmpty else { continue }
      let sequences = Array(Set(open.map(\.sequence))).sorted(by: >)
      // Neighbours with equal sequences are one piece.
      if let last = pieces.last, last.end == start, last.sequences == sequences {
        pieces[pieces.count - 1].end = end
      } else {
        pieces.append(Fragment(start: start, end: end, sequences: sequences))
      }
    }
    self.init(fragments: pieces)
  }

  /// Pieces that are sorted, do not overlap and have their sequences in order.
  init(fragments: [Fragment]) {
    self.fragments = fragments
    heads = fragments.map { $0.start.withUnsafeBytes { keyHead($0) } }
  }

  /// Whether nothing is deleted.
  @inlinable public var isEmpty: Bool { fragments.isEmpty }

  /// The piece that holds `key`. O(log n).
  public func fragment(containing key: UnsafeRawBufferPointer) -> Fragment? { index(containing: key).map { fragments[$0] } }

  /// The number of the piece that holds `key`.
  package func index(containing key: UnsafeRawBufferPointer) -> Int? {
    let head = keyHead(key)
    var low = 0
    var high = fragments.count
    while low < high {
      let middle = (low + high) / 2
      let startsAfter =
        heads[middle] != head ? heads[middle] > head : fragments[middle].start.withUnsafeBytes { compare($0, key) } > 0
      if startsAfter { high = middle } else { low = middle + 1 }
    }
    guard low > 0, fragments[low - 1].end.withUnsafeBytes({ compare(key, $0) }) < 0 else { return nil }
    return low - 1
  }

  /// The newest deletion at or below `sequence` that covers `key`; 0 where there is none. O(log n).
  public func coveringSequence(_ key: UnsafeRawBufferPointer, atOrBelow sequence: UInt64) -> UInt64 {
    guard !fragments.isEmpty, let index = index(containing: key) else { return 0 }
    return fragments[index].sequences.first { $0 <= sequence } ?? 0
  }

  /// What remains of the deletions within `from..<to`; `nil` bounds nothing.
  public func clipped(from: [UInt8]?, to: [UInt8]?) -> RangeTombstones {
    RangeTombstones(
      fragments: fragments.compactMap { piece in
        var piece = piece
        if let from, piece.start.lexicographicallyPrecedes(from) { piece.start = from }
        if let to, to.lexicographicallyPrecedes(piece.end) { piece.end = to }
        return piece.start.lexicographicallyPrecedes(piece.end) ? piece : nil
      })
  }

  /// Every deletion of every piece: the input of another cut.
  public var deletions: [RangeDeletion] {
    fragments.flatMap { piece in piece.sequences.map { RangeDeletion(start: piece.start, end: piece.end, sequence: $0) } }
  }

  // MARK: Encoding: varint pieces, each start and end length-prefixed, varint sequences, the sequences as varints

  func encode() -> [UInt8] {
    var out = ByteWriter()
    out.writeVarint64(UInt64(fragments.count))
    for piece in fragments {
      out.writeLengthPrefixed(piece.start)
      out.writeLengthPrefixed(piece.end)
      out.writeVarint64(UInt64(piece.sequences.count))
      for sequence in piece.sequences { out.writeVarint64(sequence) }
    }
    return out.finish()
  }

  init(decoding bytes: RawSpan) throws(DecodeError) {
    var reader = ByteReader(bytes)
    var pieces: [Fragment] = []
    let count = try reader.readVarint64()
    for _ in 0..<count {
      let at = reader.offset
      let start = try reader.readLengthPrefixed(limit: TableLimits.keyBytes, field: "range start").withUnsafeBytes { [UInt8]($0) }
      let end = try reader.readLengthPrefixed(limit: TableLimits.keyBytes, field: "range end").withUnsafeBytes { [UInt8]($0) }
      var sequences: [UInt64] = []
      let sequenceCount = try reader.readVarint64()
      for _ in 0..<sequenceCount {
        let sequence = try reader.readVarint64()
        guard sequence <= Trailer.maxSequence, sequence < sequences.last ?? .max else { throw .malformed(at: at, field: "range sequences") }
        sequences.append(sequence)
      }
      guard !sequences.isEmpty, start.lexicographicallyPrecedes(end), !(pieces.last.map { start.lexicographicallyPrecedes($0.end) } ?? false) else {
        throw .malformed(at: at, field: "range deletion")
      }
      pieces.append(Fragment(start: start, end: end, sequences: sequences))
    }
    guard reader.isAtEnd else { throw .malformed(at: reader.offset, field: "end of the range deletions") }
    self.init(fragments: pieces)
  }
}
