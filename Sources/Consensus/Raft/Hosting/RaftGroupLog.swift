import StrataDisk
import StrataHost
import StrataJobs
import StrataNodes
import StrataWriteAheadLog
import SystemPackage

/// The log of one group, as a host wants it: entries and hard states go to the log all groups share, snapshots into files.
///
/// A snapshot from the leader is written, off the caller's thread, before anything that came after it. A checkpoint that says the same as the log
/// already does, only shorter, holds nothing up: it counts as durable when the log is, the snapshot is written meanwhile, and the log's beginning
/// is given up when it is there. Of several such checkpoints that wait, the newest is carried out. One that fails, for want of space, leaves the
/// log longer and is counted.
public final class RaftGroupLog<Machine: RaftStateMachine>: NodeLog {
  /// What a member writes.
  public typealias Record = RaftNode<Machine>.Record

  private struct State {
    /// Writes that were put off behind a snapshot: while there are some, everything goes the same way.
    var putOff = 0
    /// The newest checkpoint that waits, and its number.
    var compaction: (base: LogPlace, snapshot: Snapshot)?
    var lastCompaction = 0
    var failure: DiskError?
    var failedCompactions = 0
    /// Where the log ends once everything it was given is written; as terms never share an index, it says what the log holds.
    var last = LogPlace(term: 0, index: 0)
    /// Whether a checkpoint must replace the log whatever it says.
    var mustReplace = false
  }

  private let disk: RaftDisk
  private let group: UInt64
  private let whenSnapshotDurable: (@Sendable (Snapshot) -> Void)?
  private let state = Monitor(State())
  /// Bytes of payload in one unit of the log; what is more goes into the next.
  private static var unitBytes: Int { 16 << 20 }
  /// About what the log keeps of a unit beside its payload.
  private static var recordBytes: Int { 64 }

  init(_ disk: RaftDisk, _ group: UInt64, _ whenSnapshotDurable: (@Sendable (Snapshot) -> Void)?) {
    self.disk = disk
    self.group = group
    self.whenSnapshotDurable = whenSnapshotDurable
  }

  /// Checkpoints that could not be carried out; the log is longer than it need be.
  public var failedCompactions: Int { state.withLock { $0.failedCompactions } }

  // MARK: Recovery

  /// What the storage holds of the group.
  ///
  /// A snapshot file that is damaged counts as lost records: the member gets everything from the others again.
  /// - Throws: `RecoveryError` if the group was recovered before since the storage was opened, or a file cannot be read.
  public func recover() throws(RecoveryError) -> DurableState<Record> {
    guard let stored = disk.take(group) else {
      throw RecoveryError("group \(group) ran before since its storage was opened; close the storage and open it again")
    }
    var records: [Record] = []
    var isDamaged = disk.isDamaged
    do throws(RaftStorageError) {
      if let place = stored.snapshot {
        let data = try disk.storage.snapshot(of: group, at: place).content()
        records.append(.snapshot(base: stored.base, Snapshot(place: place, confState: stored.confState, data: data)))
      }
      if !stored.entries.isEmpty { records.append(.entries(stored.entries)) }
    } catch .damagedSnapshot {
      isDamaged = true
      records = []
    } catch .disk(.notFound) {
      isDamaged = true
      records = []
    } catch { throw RecoveryError(error.description) }
    if stored.hardState != HardState() { records.append(.hardState(stored.hardState)) }
    state.withLock { state in
      state.last = stored.entries.last.map { LogPlace(term: $0.term, index: $0.index) } ?? stored.base
      state.mustReplace = isDamaged
    }
    return DurableState(records: records, isDamaged: isDamaged)
  }

  // MARK: Writing

  /// Adds writes; see `NodeLog`. Several become one unit, in which only the newest hard state counts.
  public func append(_ writes: [[Record]], whenDurable: (@Sendable (DiskError?) -> Void)?) {
    for write in writes { for record in write { note(record) } }
    let hasSnapshot = writes.contains { $0.contains { if case .snapshot = $0 { true } else { false } } }
    inOrder(mayTakeLong: hasSnapshot) { self.write(writes, whenDurable) }
  }

  /// Replaces the log; see `NodeLog`.
  public func checkpoint(_ records: [Record], whenDurable: @escaping @Sendable (DiskError?) -> Void) {
    guard let compaction = compaction(from: records) else {
      state.withLock { $0.mustReplace = false }
      for record in records { note(record) }
      return inOrder(mayTakeLong: true) { self.write([records], whenDurable) }
    }
    // The log says all of this but perhaps the newest commit mark.
    let states = records.filter { if case .hardState = $0 { true } else { false } }
    inOrder(mayTakeLong: false) { self.write([states], whenDurable) }
    let number = state.withLock { state in
      state.compaction = compaction
      state.lastCompaction += 1
      return state.lastCompaction
    }
    // Behind everything that was put off before: a mark must not overtake the snapshot whose successors it stands for.
    _ = disk.worker.add { self.compact(number) }
  }

  private func note(_ record: Record) {
    state.withLock { state in
      switch record {
      case .entries(let entries): if let last = entries.last { state.last = LogPlace(term: last.term, index: last.index) }
      case .snapshot(let base, _): state.last = base
      case .hardState: break
      }
    }
  }

  /// What a checkpoint comes to if the log holds all of it already: the entries behind a place, up to the log's end. Two logs of one group that
  /// end at the same place agree on everything before it.
  private func compaction(from records: [Record]) -> (base: LogPlace, snapshot: Snapshot)? {
    guard case .snapshot(let base, let snapshot) = records.first else { return nil }
    var last = base
    for record in records {
      if case .entries(let entries) = record, let entry = entries.last { last = LogPlace(term: entry.term, index: entry.index) }
    }
    return state.withLock { $0.last == last && !$0.mustReplace } ? (base, snapshot) : nil
  }

  /// Runs `body` here, or on the disk's thread if it may take long or something before it did.
  private func inOrder(mayTakeLong: Bool, _ body: @escaping @Sendable () -> Void) {
    let isHere = state.withLock { state in
      if state.putOff == 0, !mayTakeLong { return true }
      state.putOff += 1
      return false
    }
    if isHere { return body() }
    let isTaken = disk.worker.add {
      body()
      self.state.withLock { $0.putOff -= 1 }
    }
    if !isTaken { state.withLock { $0.failure = $0.failure ?? .closed(FilePath("log of group \(self.group)")) } }
  }

  private func write(_ writes: [[Record]], _ whenDurable: (@Sendable (DiskError?) -> Void)?) {
    if let failure = state.withLock({ $0.failure }) {
      whenDurable?(failure)
      return
    }
    do throws(RaftStorageError) {
      var last: SequenceNumber?
      var unit = LogUnit()
      for records in writes {
        for record in records {
          if case .snapshot(_, let snapshot) = record { try disk.storage.writeSnapshot(snapshot, of: group) }
          unit.add(record)
        }
        if unit.bytes >= Self.unitBytes { last = try submit(&unit) }
      }
      if !unit.isEmpty || last == nil { last = try submit(&unit) }
      guard let whenDurable, let last else { return }
      let adopted = writes.joined().reduce(nil as Snapshot?) { if case .snapshot(_, let snapshot) = $1 { snapshot } else { $0 } }
      disk.storage.whenDurable(last) { error in
        if error == nil, let adopted { self.whenSnapshotDurable?(adopted) }
        let failure = error.map { $0.asDiskError(self.group) }
        if let failure { self.state.withLock { $0.failure = $0.failure ?? failure } }
        whenDurable(failure)
      }
    } catch {
      let failure = error.asDiskError(group)
      state.withLock { $0.failure = $0.failure ?? failure }
      whenDurable?(failure)
    }
  }

  private func submit(_ unit: inout LogUnit) throws(RaftStorageError) -> SequenceNumber {
    defer {
      disk.wrote(unit.bytes + Self.recordBytes)
      unit = LogUnit()
    }
    return try disk.storage.submit(unit.records, of: group)
  }

  /// On the disk's thread: writes a checkpoint's snapshot and gives up the log's beginning, unless a newer one waits.
  private func compact(_ number: Int) {
    let next = state.withLock { state -> (base: LogPlace, snapshot: Snapshot)? in
      guard number == state.lastCompaction, state.failure == nil else { return nil }
      defer { state.compaction = nil }
      return state.compaction
    }
    guard let next else { return }
    do throws(RaftStorageError) {
      try disk.storage.writeSnapshot(next.snapshot, of: group)
      try disk.storage.compact(group, to: next.base, keeping: next.snapshot)
      whenSnapshotDurable?(next.snapshot)
    } catch {
      state.withLock { $0.failedCompactions += 1 }
    }
  }

  /// Records on their way into one unit of the log.
  private struct LogUnit {
    private var whole: [RaftRecord] = []
    /// Entries that follow each other, and go behind `whole` as one record.
    private var open: [Entry] = []
    private var hardState: HardState?
    private(set) var bytes = 0

    var isEmpty: Bool { whole.isEmpty && open.isEmpty && hardState == nil }
    var records: [RaftRecord] { whole + (open.isEmpty ? [] : [.entries(open)]) + (hardState.map { [.hardState($0)] } ?? []) }

    private mutating func close() {
      if !open.isEmpty { whole.append(.entries(open)) }
      open = []
    }

    mutating func add(_ record: Record) {
      switch record {
      case .entries(let new):
        bytes += new.reduce(0) { $0 + $1.payload.count + RaftMessageCodec.entryBytes }
        if let end = open.last?.index, new.first?.index != end + 1 { close() }
        open += new
      case .hardState(let state): hardState = state
      case .snapshot(let base, let snapshot):
        close()
        whole.append(.mark(base: base, snapshot: snapshot.place, confState: snapshot.confState, replacesLog: true))
      }
    }
  }
}

extension RaftStorageError {
  /// What a node hears of it.
  func asDiskError(_ group: UInt64) -> DiskError {
    switch self {
    case .disk(let error), .log(.durabilityLost(let error)), .log(.storage(let error)): error
    case .log(.noSpace(let path)): .noSpace(path, operation: .write)
    case .log(.closed): .closed(FilePath("log of group \(group)"))
    default: .unsupported(FilePath("log of group \(group): \(description)"), operation: .write)
    }
  }
}
