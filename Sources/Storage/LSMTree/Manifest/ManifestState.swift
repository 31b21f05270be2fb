import StrataBytes
import StrataSSTable

/// What the manifest knows of a keyspace itself.
struct KeyspaceRecord: Sendable, Hashable {
  var id: UInt32
  var name: String
  var strategy: CompactionStyle
  /// Name of the merge operator, empty for none.
  var mergeOperator: String
  /// Name of the prefix extractor, empty for none.
  var prefixExtractor: String
  /// Milliseconds that values live, 0 for ever.
  var timeToLive: UInt64 = 0
  /// Of the style `fifo` the bytes it keeps, of `timeWindow` the seconds of a window; 0 for other styles.
  var styleLimit: UInt64 = 0

  func encode(to writer: inout ByteWriter) {
    writer.writeUInt32(id)
    writer.writeUInt8(strategy.rawValue)
    writer.writeLengthPrefixed(Array(name.utf8))
    writer.writeLengthPrefixed(Array(mergeOperator.utf8))
    writer.writeLengthPrefixed(Array(prefixExtractor.utf8))
    if timeToLive > 0 || styleLimit > 0 { writer.writeUInt64(timeToLive) }
    if styleLimit > 0 { writer.writeUInt64(styleLimit) }
  }

  init(
    id: UInt32, name: String, strategy: CompactionStyle, mergeOperator: String, prefixExtractor: String, timeToLive: UInt64 = 0,
    styleLimit: UInt64 = 0
  ) {
    self.id = id
    self.name = name
    self.strategy = strategy
    self.mergeOperator = mergeOperator
    self.prefixExtractor = prefixExtractor
    self.timeToLive = timeToLive
    self.styleLimit = styleLimit
  }

  init(decoding reader: inout ByteReader) throws(DecodeError) {
    id = try reader.readUInt32()
    let start = reader.offset
    guard let strategy = CompactionStyle(rawValue: try reader.readUInt8()) else { throw .malformed(at: start, field: "compaction strategy") }
    self.strategy = strategy
    name = try Self.text(&reader)
    mergeOperator = try Self.text(&reader)
    prefixExtractor = try Self.text(&reader)
    // Manifests of before there was a time to live end here.
    timeToLive = reader.isAtEnd ? 0 : try reader.readUInt64()
    styleLimit = reader.isAtEnd ? 0 : try reader.readUInt64()
    let hasLimit = strategy == .fifo || strategy == .timeWindow
    guard hasLimit == (styleLimit > 0) else { throw .malformed(at: reader.offset, field: "limit of the compaction strategy") }
  }

  private static func text(_ reader: inout ByteReader) throws(DecodeError) -> String {
    let start = reader.offset
    let bytes = try reader.readLengthPrefixed(limit: 1024, field: "name length")
    let copy = bytes.withUnsafeBytes { [UInt8]($0) }
    guard let text = String(validating: copy, as: UTF8.self) else { throw .malformed(at: start, field: "name") }
    return text
  }
}

/// A change of the store's shape, applied as a whole or not at all.
struct ManifestEdit: Sendable {
  struct Removal: Sendable, Hashable {
    var keyspace: UInt32
    var fileID: UInt64
  }

  var created: [KeyspaceRecord] = []
  var dropped: [UInt32] = []
  var added: [(keyspace: UInt32, table: TableMetadata)] = []
  var removed: [Removal] = []
  /// Every change of the keyspace up to this record of the log is in tables.
  var flushedLogs: [(keyspace: UInt32, log: UInt64)] = []
  /// Tables found damaged, which no compaction reads.
  var quarantined: [UInt64] = []
  /// Tables that were found damaged and are sound again.
  var absolved: [UInt64] = []
  var timeMarks: [TimeMark] = []
  var nextFile: UInt64?
  var lastSequence: UInt64?
  var historyFloor: UInt64?
  var nextKeyspace: UInt32?
}

/// All the manifest says: the shape of the store.
struct ManifestState: Sendable {
  struct KeyspaceState: Sendable {
    var record: KeyspaceRecord
    var tables: [UInt64: TableMetadata] = [:]
    var flushedLog: UInt64 = 0
  }

  var store: StoreID
  var keyspaces: [UInt32: KeyspaceState] = [:]
  var nextFile: UInt64 = 1
  var lastSequence: UInt64 = 0
  var historyFloor: UInt64?
  var nextKeyspace: UInt32 = 1
  var quarantined: Set<UInt64> = []
  var timeMarks = TimeMarks()

  init(store: StoreID) { self.store = store }

  /// Applies an edit.
  /// - Returns: why the edit does not fit this state, in which case the state is unusable.
  mutating func apply(_ edit: ManifestEdit) -> String? {
    for record in edit.created {
      guard keyspaces[record.id] == nil else { return "keyspace \(record.id) is created twice" }
      keyspaces[record.id] = KeyspaceState(record: record)
      if record.id >= nextKeyspace { nextKeyspace = record.id &+ 1 }
    }
    for removal in edit.removed {
      guard keyspaces[removal.keyspace]?.tables.removeValue(forKey: removal.fileID) != nil else {
        return "table \(removal.fileID) is removed and was not there"
      }
      // A table that goes to another level is removed and added, and as damaged as before.
      if !edit.added.contains(where: { $0.table.fileID == removal.fileID }) { quarantined.remove(removal.fileID) }
    }
    for (keyspace, table) in edit.added {
      guard keyspaces[keyspace]?.tables.updateValue(table, forKey: table.fileID) == .some(nil) else {
        return "table \(table.fileID) is added twice or to no keyspace"
      }
      if table.fileID >= nextFile { nextFile = table.fileID &+ 1 }
    }
    for id in edit.dropped {
      guard let gone = keyspaces.removeValue(forKey: id) else { return "keyspace \(id) is dropped and was not there" }
      quarantined.subtract(gone.tables.keys)
    }
    for (keyspace, log) in edit.flushedLogs {
      guard let present = keyspaces[keyspace]?.flushedLog else { return "keyspace \(keyspace) is not there" }
      keyspaces[keyspace]?.flushedLog = max(present, log)
    }
    // One that went before its mark came needs none.
    for id in edit.quarantined where keyspaces.values.contains(where: { $0.tables[id] != nil }) { quarantined.insert(id) }
    quarantined.subtract(edit.absolved)
    let timesToLive = edit.timeMarks.isEmpty ? [] : keyspaces.values.map(\.record.timeToLive).filter { $0 > 0 }
    for mark in edit.timeMarks where !timeMarks.add(mark, timesToLive: timesToLive) {
      return "the time mark \(mark.sequence) is not later than the one before"
    }
    nextFile = max(nextFile, edit.nextFile ?? 0)
    lastSequence = max(lastSequence, edit.lastSequence ?? 0)
    nextKeyspace = max(nextKeyspace, edit.nextKeyspace ?? 0)
    if let floor = edit.historyFloor { historyFloor = max(historyFloor ?? 0, floor) }
    return nil
  }

  /// One edit that makes all of this from nothing.
  var snapshot: ManifestEdit {
    var edit = ManifestEdit()
    for (id, keyspace) in keyspaces.sorted(by: { $0.key < $1.key }) {
      edit.created.append(keyspace.record)
      edit.added += keyspace.tables.values.sorted { $0.fileID < $1.fileID }.map { (id, $0) }
      edit.flushedLogs.append((id, keyspace.flushedLog))
    }
    edit.quarantined = quarantined.sorted()
    edit.timeMarks = timeMarks.all
    edit.nextFile = nextFile
    edit.lastSequence = lastSequence
    edit.historyFloor = historyFloor
    edit.nextKeyspace = nextKeyspace
    return edit
  }
}
