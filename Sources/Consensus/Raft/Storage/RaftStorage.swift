import StrataBytes
import StrataDisk
import StrataJobs
import StrataNodes
import StrataWriteAheadLog
import SystemPackage

/// What the storage holds of one group.
public struct StoredGroup: Hashable, Sendable {
  /// The hard state.
  public var hardState = HardState()
  /// The place before the first entry.
  public var base = LogPlace(term: 0, index: 0)
  /// All entries behind it.
  public var entries: [Entry] = []
  /// The snapshot that stands for everything up to `base`, or further; nothing before the first.
  public var snapshot: LogPlace?
  /// The members as of that snapshot.
  public var confState = ConfState()

  /// What is missing between the last mark and the entries, if anything is. The log's beginning was given up for a later mark, which closes it.
  var gap: String?

  /// A group of which nothing is stored.
  public init() {}
}

/// The logs of many groups in one write-ahead log, and their snapshots beside it.
///
/// Whatever several groups write at once shares one write and one sync. What was submitted is durable in the order of submission. The log's
/// beginning is given up as far as no group needs it; a group that has written nothing for long, and would hold it back, is written anew at its end
/// (``carryGroups(idleSince:)``).
///
/// Safe from any thread; the calls of one group must follow each other.
public final class RaftStorage: Sendable {
  /// Where something that is needed lies in the log.
  struct Needed: Hashable {
    /// A record of entries: where it lies, and the indexes in it.
    struct Entries: Hashable {
      var sequence: SequenceNumber
      var first: LogIndex
      var last: LogIndex
    }

    var hardState: SequenceNumber?
    var mark: SequenceNumber?
    /// In order.
    var entries: [Entries] = []

    mutating func note(_ record: RaftRecord, at sequence: SequenceNumber) {
      switch record {
      case .hardState: hardState = sequence
      case .entries(let new):
        guard let first = new.first?.index, let last = new.last?.index else { return }
        // What begins at or behind them is replaced, whether by others or by the same again.
        entries.removeAll { $0.first >= first }
        entries.append(Entries(sequence: sequence, first: first, last: last))
      case .mark(let base, _, _, let replacesLog):
        mark = sequence
        entries.removeAll { replacesLog || $0.last <= base.index }
      }
    }

    var sequences: [SequenceNumber] { [hardState, mark].compactMap { $0 } + entries.map(\.sequence) }
    var first: SequenceNumber? { [hardState, mark, entries.first?.sequence].compactMap { $0 }.min() }
    var last: SequenceNumber? { [hardState, mark, entries.last?.sequence].compactMap { $0 }.max() }

    /// The same records at other places.
    func moved(_ places: [SequenceNumber: SequenceNumber]) -> Needed {
      func place(_ old: SequenceNumber) -> SequenceNumber { places[old] ?? old }
      return Needed(
        hardState: hardState.map(place), mark: mark.map(place),
        entries: entries.map { Entries(sequence: place($0.sequence), first: $0.first, last: $0.last) })
    }
  }

  let log: WriteAheadLog
  private let directory: FilePath
  private let fileSystem: any FileSystem
  private let cluster: UInt64
  let needed: Monitor<[UInt64: Needed]>

  /// Opens the storage in `directory`, creating it where missing, and gives what it holds of every group.
  ///
  /// - Parameter toleratesDamage: goes on with the part of the log before a damage, and says so. Every group is then to be started as one that lost
  ///   records (``InitialState/isDamaged``).
  /// - Throws: ``RaftStorageError``; where records that had been durable are damaged, ``RaftStorageError/log(_:)`` with the place.
  public static func open(
    _ directory: FilePath, cluster: UInt64, options: WALOptions = WALOptions(), toleratesDamage: Bool = false,
    on fileSystem: any FileSystem = POSIXFileSystem()
  ) throws(RaftStorageError) -> (storage: RaftStorage, groups: [UInt64: StoredGroup], isDamaged: Bool) {
    var options = options
    options.durability = .everyWrite
    options.recovery = toleratesDamage ? .pointInTime : .tolerateTornTail
    do throws(DiskError) {
      try fileSystem.makeDirectories(directory.appending("snapshots"))
    } catch { throw .disk(error) }
    let log: WriteAheadLog
    let report: RecoveryReport
    do throws(WALError) {
      (log, report) = try WriteAheadLog.open(directory.appending("log"), options: options, on: fileSystem)
    } catch { throw .log(error) }
    let storage = RaftStorage(log, directory, cluster, fileSystem)
    var groups = try storage.recover()
    for (group, stored) in groups {
      guard let gap = stored.gap else { continue }
      guard !report.damage.isEmpty else { throw .inconsistent(group: group, gap) }
      // The mark that closed the gap was lost with the damage: nothing but the promises is left.
      groups[group] = StoredGroup()
      groups[group]?.hardState = stored.hardState
    }
    return (storage, groups, !report.damage.isEmpty)
  }

  private init(_ log: WriteAheadLog, _ directory: FilePath, _ cluster: UInt64, _ fileSystem: any FileSystem) {
    self.log = log
    self.directory = directory
    self.cluster = cluster
    self.fileSystem = fileSystem
    needed = Monitor([:])
  }

  private func recover() throws(RaftStorageError) -> [UInt64: StoredGroup] {
    var groups: [UInt64: StoredGroup] = [:]
    let reader: WALReader
    do throws(WALError) { reader = try log.replay() } catch { throw .log(error) }
    while true {
      let entry: WALEntry?
      do throws(WALError) { entry = try reader.next() } catch { throw .log(error) }
      guard let entry else { return groups }
      guard case .operation(.application(RaftRecord.walKind, let payload)) = entry.content else { continue }
      let decoded: (group: UInt64, record: RaftRecord)
      do throws(DecodeError) { decoded = try RaftRecord.decode(payload) } catch { throw .unreadableRecord(sequence: entry.sequence, error) }
      if let problem = groups[decoded.group, default: StoredGroup()].take(decoded.record) {
        throw .inconsistent(group: decoded.group, "record \(entry.sequence): \(problem)")
      }
      note(decoded.record, of: decoded.group, at: entry.sequence)
    }
  }

  private func note(_ record: RaftRecord, of group: UInt64, at sequence: SequenceNumber) {
    needed.withLock { $0[group, default: Needed()].note(record, at: sequence) }
  }

  // MARK: Writing

  /// Takes what a core wants made durable: one unit in the log, whole or not at all after a crash. Returns the sequence to wait for. A snapshot among
  /// it must have been written by ``writeSnapshot(_:of:)`` before.
  ///
  /// - Throws: ``RaftStorageError/log(_:)``; after a failure nothing is acknowledged any more.
  public func submit(_ append: StorageAppend, of group: UInt64) throws(RaftStorageError) -> SequenceNumber {
    var records: [RaftRecord] = []
    if let snapshot = append.snapshot {
      records.append(.mark(base: snapshot.place, snapshot: snapshot.place, confState: snapshot.confState, replacesLog: true))
    }
    if !append.entries.isEmpty { records.append(.entries(append.entries)) }
    if let state = append.hardState { records.append(.hardState(state)) }
    return try submit(records, of: group)
  }

  func submit(_ records: [RaftRecord], of group: UInt64) throws(RaftStorageError) -> SequenceNumber {
    guard !records.isEmpty else { return log.lastSequence }
    let batch = records.map { WALRecord.application(kind: RaftRecord.walKind, payload: $0.encoded(group: group)) }
    do throws(WALError) {
      // What is written and what is known to be needed change together: the beginning may be given up at any time.
      return try needed.withLock { groups throws(WALError) in
        guard let range = try log.submit(batch: batch) else { return log.lastSequence }
        for (offset, record) in records.enumerated() { groups[group, default: Needed()].note(record, at: range.lowerBound + UInt64(offset)) }
        return range.upperBound
      }
    } catch { throw .log(error) }
  }

  /// Waits until everything up to `sequence` survives a loss of power. Blocks the thread.
  ///
  /// - Throws: ``RaftStorageError/log(_:)`` if that will never be.
  public func waitUntilDurable(_ sequence: SequenceNumber) throws(RaftStorageError) {
    do throws(WALError) { try log.waitDurable(sequence) } catch { throw .log(error) }
  }

  /// Calls `body` once when everything up to `sequence` survives a loss of power, or with the reason why it never will.
  public func whenDurable(_ sequence: SequenceNumber, _ body: @escaping @Sendable (RaftStorageError?) -> Void) {
    log.whenDurable(sequence) { body($0.map { .log($0) }) }
  }

  // MARK: Snapshots

  /// Where a group's snapshot lies.
  public func snapshotPath(_ group: UInt64, _ place: LogPlace) -> FilePath {
    directory.appending("snapshots").appending("\(group)-\(place.term)-\(place.index).snap")
  }

  /// Writes a snapshot; durable on return. It counts once a mark names it: by ``submit(_:of:)`` of a core's append, or by ``compact(_:to:keeping:)``.
  ///
  /// - Throws: ``RaftStorageError/disk(_:)``.
  public func writeSnapshot(_ snapshot: Snapshot, of group: UInt64) throws(RaftStorageError) {
    var rest: [UInt8]? = snapshot.data
    try SnapshotFile.write(
      SnapshotFile.Header(group: group, cluster: cluster, place: snapshot.place, confState: snapshot.confState),
      to: snapshotPath(group, snapshot.place), on: fileSystem
    ) {
      defer { rest = nil }
      return rest
    }
  }

  /// The snapshot of a group as of a place.
  ///
  /// - Throws: ``RaftStorageError/damagedSnapshot(_:_:)`` or ``RaftStorageError/foreignSnapshot(_:group:cluster:)``: fetch it from another member.
  public func snapshot(of group: UInt64, at place: LogPlace) throws(RaftStorageError) -> SnapshotFile {
    let path = snapshotPath(group, place)
    let file = try SnapshotFile(path, on: fileSystem)
    guard file.header.group == group, file.header.cluster == cluster else {
      throw .foreignSnapshot(path, group: file.header.group, cluster: file.header.cluster)
    }
    guard file.header.place == place else { throw .damagedSnapshot(path, "it stands for \(file.header.place), its name says \(place)") }
    return file
  }

  /// Gives up a group's entries up to `base` in favour of a snapshot that was written; durable on return. Older snapshots of the group are
  /// removed, and the log's beginning as far as no group needs it.
  ///
  /// - Throws: ``RaftStorageError``; what was given up may then still be there.
  public func compact(_ group: UInt64, to base: LogPlace, keeping snapshot: Snapshot) throws(RaftStorageError) {
    _ = try self.snapshot(of: group, at: snapshot.place)
    try waitUntilDurable(
      try submit([.mark(base: base, snapshot: snapshot.place, confState: snapshot.confState, replacesLog: false)], of: group))
    try removeSnapshots(of: group, before: snapshot.place)
    try release()
  }

  private func removeSnapshots(of group: UInt64, before place: LogPlace) throws(RaftStorageError) {
    do throws(DiskError) {
      let folder = directory.appending("snapshots")
      let prefix = "\(group)-"
      let kept = snapshotPath(group, place).lastComponent?.string
      for name in try fileSystem.list(folder) where name.hasPrefix(prefix) && name != kept { try fileSystem.remove(folder.appending(name)) }
      try fileSystem.syncDirectory(folder)
    } catch { throw .disk(error) }
  }

  // MARK: The log's beginning

  /// Gives up the log's beginning as far as no group needs it.
  ///
  /// - Throws: ``RaftStorageError/log(_:)``.
  public func release() throws(RaftStorageError) {
    guard let first = needed.withLock({ groups in groups.values.compactMap(\.first).min() }), first > log.firstSequence else { return }
    do throws(WALError) { try log.truncate(upTo: first - 1) } catch { throw .log(error) }
  }

  /// The groups because of which records before `sequence` have to stay, in ascending order.
  public func pinning(before sequence: SequenceNumber) -> [UInt64] {
    needed.withLock { groups in groups.filter { ($0.value.first ?? .max) < sequence }.keys.sorted() }
  }

  /// Writes all of a group anew at the log's end, in one unit, from what is known of it. Durable on return. For tools; ``carryGroups(idleSince:)``
  /// moves what the log holds.
  ///
  /// - Throws: ``RaftStorageError/log(_:)``; the group's older records then still stand.
  package func rewrite(_ group: UInt64, as state: StoredGroup) throws(RaftStorageError) {
    var records: [RaftRecord] = [
      .mark(base: state.base, snapshot: state.snapshot ?? state.base, confState: state.confState, replacesLog: true)
    ]
    if !state.entries.isEmpty { records.append(.entries(state.entries)) }
    records.append(.hardState(state.hardState))
    try waitUntilDurable(try submit(records, of: group))
  }

  /// The sequence of the newest record.
  public var lastSequence: SequenceNumber { log.lastSequence }

  /// The sequence of the oldest record that is still there.
  public var firstSequence: SequenceNumber { log.firstSequence }

  /// Makes everything durable and gives the directory free.
  ///
  /// - Throws: ``RaftStorageError/log(_:)``.
  public func close() throws(RaftStorageError) {
    do throws(WALError) { try log.close() } catch { throw .log(error) }
  }
}

extension StoredGroup {
  /// Follows a record; says what is wrong where it does not fit what came before.
  mutating func take(_ record: RaftRecord) -> String? {
    switch record {
    case .hardState(let state):
      if state.term < hardState.term { return "the term goes from \(hardState.term) to \(state.term)" }
      hardState = state
    case .entries(let new):
      guard let first = new.first?.index else { return nil }
      let last = base.index + UInt64(entries.count)
      // Before the first mark that is left, records may speak of entries whose predecessors were given up.
      if entries.isEmpty, first > last + 1 {
        if snapshot != nil { gap = "entries begin at \(first), the log ends at \(last)" }
        entries = new
        base = LogPlace(term: 0, index: first - 1)
        return nil
      }
      if first > last + 1 { return "entries begin at \(first), the log ends at \(last)" }
      if let offset = new.firstIndex(where: { $0.index > base.index }) {
        entries.removeSubrange(Int(new[offset].index - base.index - 1)...)
        entries += new[offset...]
      }
    case .mark(let newBase, let place, let conf, let replacesLog):
      if replacesLog {
        entries = []
      } else {
        entries.removeAll { $0.index <= newBase.index }
      }
      snapshot = place
      confState = conf
      gap = nil
      if let first = entries.first?.index, first != newBase.index + 1 {
        // An older mark, behind the entries that the log now begins with.
        gap = "entries begin at \(first) behind a mark at \(newBase)"
        base = LogPlace(term: 0, index: first - 1)
      } else {
        base = newBase
      }
    }
    return nil
  }
}
