import StrataBytes
import StrataNodes

/// A record of the groups' log: `group u64 | kind u8 | body`, all numbers little-endian. See Docs/Formats/Raft.md.
enum RaftRecord: Hashable, Sendable {
  /// Entries that replace everything from the first one's index on.
  case entries([Entry])
  /// The hard state.
  case hardState(HardState)
  /// Nothing up to and with `base` is needed any more; a snapshot as of `snapshot` stands for it. If `replacesLog` the entries behind `base`
  /// are void as well.
  case mark(base: LogPlace, snapshot: LogPlace, confState: ConfState, replacesLog: Bool)

  /// The kind of all these records in the write-ahead log.
  static let walKind: UInt8 = 80
  /// At most this many entries are read back from one record, and this many members from one list.
  static let maxEntries = 1 << 24
  static let maxMembers = 1 << 16
  static let maxEntryBytes = 1 << 30

  func encoded(group: UInt64) -> [UInt8] {
    var writer = ByteWriter(capacity: 64)
    writer.writeUInt64(group)
    switch self {
    case .entries(let entries):
      writer.writeUInt8(1)
      writer.writeUInt32(UInt32(truncatingIfNeeded: entries.count))
      for entry in entries {
        writer.writeUInt64(entry.term)
        writer.writeUInt64(entry.index)
        writer.writeUInt8(entry.kind.rawValue)
        writer.writeUInt32(UInt32(truncatingIfNeeded: entry.payload.count))
        writer.writeBytes(entry.payload)
      }
    case .hardState(let state):
      writer.writeUInt8(2)
      for number in [state.term, state.vote.rawValue, state.commit, state.repairFloor] { writer.writeUInt64(number) }
    case .mark(let base, let snapshot, let conf, let replacesLog):
      writer.writeUInt8(3)
      writer.writeUInt8(replacesLog ? 1 : 0)
      for number in [base.term, base.index, snapshot.term, snapshot.index] { writer.writeUInt64(number) }
      conf.encode(into: &writer)
    }
    return writer.finish()
  }

  static func decode(_ bytes: [UInt8]) throws(DecodeError) -> (group: UInt64, record: RaftRecord) {
    var reader = ByteReader(bytes.span.bytes)
    let group = try reader.readUInt64()
    let record = try body(&reader)
    try reader.expectEnd(of: "raft record")
    return (group, record)
  }

  private static func body(_ reader: inout ByteReader) throws(DecodeError) -> RaftRecord {
    switch try reader.readUInt8() {
    case 1:
      let count = try reader.readUInt32()
      guard count <= maxEntries else { throw .limitExceeded(at: 9, field: "entries", limit: maxEntries) }
      var entries: [Entry] = []
      for _ in 0..<count {
        let term = try reader.readUInt64()
        let index = try reader.readUInt64()
        guard let kind = EntryKind(rawValue: try reader.readUInt8()) else { throw .malformed(at: 0, field: "entry kind") }
        let size = Int(try reader.readUInt32())
        guard size <= maxEntryBytes else { throw .limitExceeded(at: 0, field: "entry", limit: maxEntryBytes) }
        let payload = try reader.readBytes(size).withUnsafeBytes { Array($0) }
        guard index < StrataRaft.Message.limit, entries.last.map({ $0.index + 1 == index }) ?? true else {
          throw .malformed(at: 0, field: "entry index")
        }
        entries.append(Entry(term: term, index: index, kind: kind, payload: payload))
      }
      return .entries(entries)
    case 2:
      return .hardState(
        HardState(
          term: try reader.readUInt64(), vote: NodeID(try reader.readUInt64()), commit: try reader.readUInt64(),
          repairFloor: try reader.readUInt64()))
    case 3:
      let replacesLog = try reader.readFlag()
      let base = LogPlace(term: try reader.readUInt64(), index: try reader.readUInt64())
      let snapshot = LogPlace(term: try reader.readUInt64(), index: try reader.readUInt64())
      guard max(base.index, snapshot.index) < StrataRaft.Message.limit else { throw .malformed(at: 0, field: "place of a mark") }
      return .mark(base: base, snapshot: snapshot, confState: try ConfState(decoding: &reader), replacesLog: replacesLog)
    default: throw .malformed(at: 8, field: "record kind")
    }
  }
}

extension ConfState {
  /// Four lists, each `count u32 | node u64 ...`, and `autoLeave u8`.
  func encode(into writer: inout ByteWriter) {
    for list in [voters, outgoing, learners, learnersNext] {
      writer.writeUInt32(UInt32(truncatingIfNeeded: list.count))
      for id in list { writer.writeUInt64(id.rawValue) }
    }
    writer.writeUInt8(autoLeave ? 1 : 0)
  }

  init(decoding reader: inout ByteReader) throws(DecodeError) {
    var lists: [[NodeID]] = []
    for _ in 0..<4 {
      let count = Int(try reader.readUInt32())
      guard count <= RaftRecord.maxMembers else { throw .limitExceeded(at: 0, field: "members", limit: RaftRecord.maxMembers) }
      var list: [NodeID] = []
      for _ in 0..<count { list.append(NodeID(try reader.readUInt64())) }
      lists.append(list)
    }
    self.init(voters: lists[0], outgoing: lists[1], learners: lists[2], learnersNext: lists[3], autoLeave: try reader.readFlag())
    if defect != nil { throw .malformed(at: 0, field: "members") }
  }
}

extension ByteReader {
  /// A byte that is 0 or 1.
  fileprivate mutating func readFlag() throws(DecodeError) -> Bool {
    let byte = try readUInt8()
    guard byte <= 1 else { throw .malformed(at: 0, field: "flag") }
    return byte == 1
  }
}
