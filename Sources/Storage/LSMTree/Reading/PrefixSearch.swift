import StrataBytes
import StrataSSTable

extension LSMTree {
  /// A position among the keys that begin with `prefix`, standing on none yet.
  ///
  /// As ``iterator(_:in:at:options:)`` over those keys and no others, and cheaper where few of many tables hold any: a table is left out by its
  /// bounds, and by its filter where that knows prefixes, see `TableOptions.prefixExtractor` in `KeyspaceOptions.table`; `prefix` must be at least
  /// as long as what the extractor takes. Every table is asked by the extractor it was written with, so the option may differ from one opening to
  /// the next.
  public func iterator(
    prefix: [UInt8], in keyspace: Keyspace? = nil, at snapshot: Snapshot? = nil, options: ReadOptions = ReadOptions()
  ) throws(LSMError) -> LSMIterator {
    var options = options
    options.prefix = prefix
    return try iterator(KeyBounds(prefix: prefix), in: keyspace, at: snapshot, options: options)
  }
}

extension SortedRun {
  /// A cursor over the tables that lie within `bounds`, those of the keys that begin with `prefix`; `nil` where surely none holds such a key.
  func cursor(prefix: [UInt8], _ bounds: KeyBounds, _ reading: RunReading) -> Cursor? {
    var perhaps: [TableHandle] = []
    var place = prefix.withUnsafeBytes { firstTable(notBelow: $0, head: keyHead($0)) }
    while place < count, Levels.overlaps(tables[place].metadata, bounds) {
      // A filter that cannot be read leaves nothing out; whoever reads the table will say what is wrong.
      if (try? tables[place].reader.mayContain(prefix: prefix.span.bytes)) ?? true { perhaps.append(tables[place]) }
      place += 1
    }
    if perhaps.count <= 1 { return perhaps.first.map(reading.cursor) }
    return LevelCursor(self, bounds: bounds, reading)
  }
}

extension Memtable {
  /// A position in the entries; `nil` where none that can be seen by now has a key that begins with `prefix`.
  func cursor(prefix: [UInt8]?) -> MemtableCursor? {
    let cursor = cursor()
    guard let prefix else { return cursor }
    return prefix.withUnsafeBytes { prefix in
      let after = list.bracket(Skiplist.Target(prefix, Trailer(word: .max))).after
      guard after > Skiplist.origin else { return nil }
      let key = list.key(after)
      guard key.count >= prefix.count, compare(UnsafeRawBufferPointer(rebasing: key[..<prefix.count]), prefix) == 0 else { return nil }
      return cursor
    }
  }
}
