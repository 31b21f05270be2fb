import StrataBytes
import StrataDisk
import StrataNodes
import StrataRaft
import StrataSimulation
import StrataWriteAheadLog
import SystemPackage

/// Segments of the write-ahead log, and what Raft keeps in it and beside it.
enum LogTargets {
  static var all: [FuzzTarget] { [segment, records, snapshot, confChange] }

  private static let directory: FilePath = "/log"
  private static let first: FilePath = "/log/wal-0000000001-00000000000000000001.seg"

  private static func options(_ recovery: WALRecoveryMode = .tolerateTornTail) -> WALOptions {
    var options = WALOptions()
    options.segmentBytes = 1 << 16
    options.zeroAheadBytes = 0
    options.recycledSegments = 0
    options.maxRecordBytes = 1 << 20
    options.usesThread = false
    options.recovery = recovery
    options.clock = { 0 }
    options.entropy = { 7 }
    return options
  }

  // MARK: Segments

  private static let segments: [[UInt8]] = (0..<4).map { round in
    made {
      let disk = SimulatedFileSystem()
      let (log, _) = try WriteAheadLog.open(directory, options: options(), on: disk)
      for number in 0..<[0, 3, 12, 2][round] {
        _ = try log.append(.put(key: [UInt8(number)], value: [UInt8](repeating: 5, count: round == 3 ? 20_000 : number * 7)))
        if number % 3 == 0 { _ = try log.append(batch: [.delete(key: [1]), .application(kind: 70, payload: [9, 9])]) }
        if number == 5 { _ = try log.checkpoint([1, 2, 3]) }
      }
      // Without its seal where it is cut like that by a crash.
      if round % 2 == 0 { try log.close() }
      let bytes = disk.bytes(of: first) ?? []
      return Array(bytes[...(bytes.lastIndex { $0 != 0 } ?? bytes.count - 1)])
    }
  }

  /// Checksums of the header and of every frame that can be found by walking from one to the next.
  private static func mend(_ bytes: inout [UInt8]) {
    guard bytes.count >= 4096 else { return }
    Sealing.store(Sealing.crc(bytes, 0..<4092), at: 4092, in: &bytes)
    var place = 4096
    while place + 16 <= bytes.count {
      let length = Int(Sealing.load(UInt16.self, at: place + 4, in: bytes))
      guard bytes[place + 6] != 0, length <= bytes.count - place - 16 else { return }
      var context = ByteWriter()
      context.writeUInt64(UInt64(place))
      context.writeUInt64(Sealing.load(UInt64.self, at: 40, in: bytes))
      context.writeUInt64(Sealing.load(UInt64.self, at: 32, in: bytes))
      let sum = crc32c(context.bytes, continuing: Sealing.crc(bytes, place + 4..<place + 16 + length))
      Sealing.store(maskedCRC(sum), at: place, in: &bytes)
      place += 16 + length
    }
  }

  static let segment = FuzzTarget("wal.segment", weight: 3, corpus: segments, mend: { mend(&$0) }) { bytes in
    let disk = SimulatedFileSystem()
    made { try disk.install(first, bytes) }
    let report = try? WriteAheadLog.verify(directory, options: options(), on: disk)
    let mode: WALRecoveryMode = [.tolerateTornTail, .absolute, .pointInTime, .salvage][bytes.count % 4]
    guard let (log, _) = try? WriteAheadLog.open(directory, options: options(mode), on: disk) else { return false }
    let reader = log.iterate()
    var last: SequenceNumber = 0
    while let entry = try? reader.next() {
      demand(entry.sequence >= last, "sequences that fall")
      last = entry.sequence
    }
    if mode != .salvage {
      let next = try? log.append(.delete(key: [1]))
      demand(next == nil || next == log.lastSequence, "an append behind what was read has no sequence of its own")
      _ = try? log.close()
    }
    return report != nil
  }

  // MARK: Raft

  private static let members = ConfState(voters: [1, 2, 3], learners: [4])

  /// Records of groups as the storage writes them.
  private static let payloads: [[UInt8]] = made {
    let disk = SimulatedFileSystem()
    let (storage, _, _) = try RaftStorage.open("/raft", cluster: 5, options: options(), on: disk)
    for group in [UInt64(1), 2] {
      var state = StoredGroup()
      state.hardState = HardState(term: 2, vote: 2, commit: 4)
      state.base = LogPlace(term: 1, index: 3)
      state.snapshot = state.base
      state.confState = members
      state.entries = (4...6).map { Entry(term: 2, index: $0, payload: [UInt8](repeating: 7, count: Int($0))) }
      state.entries.append(Entry(term: 2, index: 7, kind: .confChange, payload: ConfChange([.addVoter(9)]).encoded))
      try storage.writeSnapshot(Snapshot(place: state.base, confState: members, data: [1, 2, 3]), of: group)
      try storage.rewrite(group, as: state)
    }
    try storage.close()
    let (log, _) = try WriteAheadLog.open("/raft/log", options: options(), on: disk)
    let reader = log.iterate()
    var payloads: [[UInt8]] = []
    while let entry = try reader.next() {
      if case .operation(.application(80, let payload)) = entry.content { payloads.append(payload) }
    }
    demand(payloads.count >= 4, "the storage wrote no records")
    return payloads
  }

  /// A whole log of one mutated record behind right ones.
  static let records = FuzzTarget("raft.records", weight: 3, corpus: payloads) { bytes in
    let disk = SimulatedFileSystem()
    made {
      try disk.makeDirectories("/raft/log")
      let (log, _) = try WriteAheadLog.open("/raft/log", options: options(), on: disk)
      for payload in payloads.prefix(bytes.count % 4) { _ = try log.append(.application(kind: 80, payload: payload)) }
      _ = try log.append(.application(kind: 80, payload: bytes))
      try log.close()
    }
    guard let (storage, groups, _) = try? RaftStorage.open("/raft", cluster: 5, options: options(), on: disk) else { return false }
    _ = try? storage.carryGroups(idleSince: storage.lastSequence + 1)
    for (group, state) in groups { _ = try? storage.rewrite(group, as: state) }
    _ = try? storage.close()
    return true
  }

  private static let snapshotPath: FilePath = "/s/snapshot"

  private static let snapshots: [[UInt8]] = [0, 1, 5000].map { count in
    made {
      let disk = SimulatedFileSystem()
      try disk.makeDirectories("/s")
      var content: [UInt8]? = [UInt8](repeating: 3, count: count)
      let header = SnapshotFile.Header(group: 1, cluster: 5, place: LogPlace(term: 2, index: 9), confState: members)
      try SnapshotFile.write(header, to: snapshotPath, on: disk) {
        defer { content = nil }
        return content.flatMap { $0.isEmpty ? nil : $0 }
      }
      return disk.bytes(of: snapshotPath) ?? []
    }
  }

  private static func mendSnapshot(_ bytes: inout [UInt8]) {
    guard bytes.count >= 30 else { return }
    let header = Int(Sealing.load(UInt32.self, at: 6, in: bytes))
    if header <= bytes.count - 30 {
      Sealing.store(Sealing.crc(bytes, 0..<10 + header), at: 10 + header, in: &bytes)
      let chunk = 14 + header
      let length = bytes.count - 16 - chunk - 8
      if length > 0 { Sealing.store(Sealing.crc(bytes, chunk..<chunk + 4 + length), at: chunk + 4 + length, in: &bytes) }
    }
    Sealing.store(Sealing.crc(bytes, bytes.count - 16..<bytes.count - 4), at: bytes.count - 4, in: &bytes)
  }

  static let snapshot = FuzzTarget("raft.snapshot", weight: 10, corpus: snapshots, mend: { mendSnapshot(&$0) }) { bytes in
    guard let file = try? SnapshotFile(snapshotPath, on: FrozenFiles([snapshotPath: bytes])) else { return false }
    return (try? file.content()) != nil
  }

  static let confChange = FuzzTarget(
    "raft.conf-change", weight: 10,
    corpus: [
      ConfChange([.addVoter(1), .remove(2), .update(3), .addLearner(4)], transition: .explicit, context: [1, 2]),
      ConfChange([.addVoter(9)]), ConfChange([.remove(1)]), ConfChange(context: [5]),
    ].map(\.encoded)
  ) { bytes in
    guard let change = ConfChange(decoding: bytes) else { return false }
    demand(ConfChange(decoding: change.encoded) == change, "a change is another one after it was written and read")
    guard let joint = try? members.applying(change) else { return true }
    _ = try? joint.applying(ConfChange())
    return true
  }
}
