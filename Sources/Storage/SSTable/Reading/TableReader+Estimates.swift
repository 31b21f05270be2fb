import StrataBytes

extension TableReader {
  /// About how many bytes of the file hold the keys of `bounds`: those of the data blocks that may hold one, so at most a block more at the range's
  /// end than there is to read. 0 for an empty range or table. Searches the index and reads no data; O(log blocks).
  /// - Throws: `.corruptBlock`, `.disk` where the lower index must be read and cannot.
  public func approximateBytes(in bounds: KeyBounds) throws(TableError) -> UInt64 {
    guard !bounds.isEmpty, metadata.entryCount > 0 else { return 0 }
    let start = try blockPlace(bounds.from ?? [])?.offset ?? dataEnd
    guard let to = bounds.to, let last = try blockPlace(to) else { return dataEnd - min(start, dataEnd) }
    let end = min(last.offset + UInt64(last.fileBytes), dataEnd)
    return end - min(start, end)
  }

  /// At most `count` keys, ascending, that cut the table into pieces of about equal size, for work that is to be shared out; fewer where it has
  /// fewer blocks. They lie between keys of the table and need not be among them. Reads the index and no data.
  /// - Throws: `.corruptBlock`, `.disk` where the lower index must be read and cannot.
  public func sampledKeys(_ count: Int) throws(TableError) -> [[UInt8]] {
    guard count > 0, metadata.entryCount > 0 else { return [] }
    let top = try view(topIndex, isIndex: true)
    var keys = Self.separators(top)
    if hasTwoLevels, keys.count <= count {
      keys = []
      for place in 0..<top.restarts {
        let part = try block(try handle(top, top.decode(at: top.restartOffset(place))), .index)
        defer { part.release() }
        keys += Self.separators(try view(part, isIndex: true))
      }
    }
    // The last separator is behind every key.
    keys.removeLast()
    guard keys.count > count else { return keys }
    return (1...count).map { keys[$0 * keys.count / (count + 1)] }
  }

  private static func separators(_ view: BlockView) -> [[UInt8]] { (0..<view.restarts).map { [UInt8](view.restartKey($0).key) } }

  /// The block that holds the first entry at or after `key`, if any does.
  private func blockPlace(_ key: [UInt8]) throws(TableError) -> BlockHandle? {
    var lookup = PointLookup()
    return try key.span.bytes.withUnsafeBytes { (key) throws(TableError) in
      try dataBlock(key, .newest(atOrBelow: Trailer.maxSequence), hash: nil, &lookup)
    }
  }

  /// Where the data blocks end, the parts of the index among them: the first part of the filter, or else the top of the index, comes next.
  private var dataEnd: UInt64 {
    let end = topIndex.slab.pointee.offset
    guard hasTwoLevels, let top = try? view(topIndex, isIndex: true), top.restarts > 0 else { return end }
    let first = top.decode(at: top.restartOffset(0))
    let parts = BlockSummary.filterHandle(UnsafeRawBufferPointer(start: top.base + first.value, count: first.valueBytes))
    return min(end, parts?.offset ?? end)
  }
}
