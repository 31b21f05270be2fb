import StrataNodes

/// How the disks of simulated nodes behave.
public struct LogConditions: Hashable, Sendable {
  /// The least time of a sync, in nanoseconds.
  public var minimumSync: UInt64 = 100_000
  /// The mean of what comes on top.
  public var meanExtraSync: UInt64 = 400_000

  /// A quick disk.
  public init() {}
}

/// The log of one simulated node: what is durable, what is on its way, and which of it a crash leaves.
///
/// It behaves as a write-ahead log on a real disk does: writes become durable in order and whole, one sync covers all that was written
/// before it started, and a crash leaves the durable records and any prefix of the rest.
@usableFromInline
struct SimulatedLog<Record: Sendable> {
  /// One write, which survives whole or not at all.
  @usableFromInline
  struct Write {
    @usableFromInline var records: [Record]
    @usableFromInline var ticket: Ticket
    @usableFromInline var wantsReport: Bool
    @usableFromInline var replacesAll: Bool

    @inlinable
    init(records: [Record], ticket: Ticket, wantsReport: Bool, replacesAll: Bool) {
      self.records = records
      self.ticket = ticket
      self.wantsReport = wantsReport
      self.replacesAll = replacesAll
    }
  }

  @inlinable
  init() {}

  @usableFromInline var durable: [Record] = []
  @usableFromInline var isDamaged = false
  /// Writes in memory, in order; `writes[0]` has the number `firstNumber`.
  @usableFromInline var writes: [Write] = []
  @usableFromInline var firstNumber: UInt64 = 0
  /// The number behind the last write the running sync covers.
  @usableFromInline var syncingTo: UInt64?
  @usableFromInline var wantedTo: UInt64 = 0
  /// Set by a fault: the next sync that ends fails.
  @usableFromInline var failsNextSync = false
  @usableFromInline var isPoisoned = false
  /// Tickets of writes that came after the log was poisoned.
  @usableFromInline var refused: [Ticket] = []

  @inlinable var endNumber: UInt64 { firstNumber + UInt64(writes.count) }

  /// Takes a write and says whether a sync is to be started for it now.
  @inlinable
  mutating func write(_ write: consuming Write) -> Bool {
    let wantsReport = write.wantsReport
    writes.append(write)
    guard wantsReport else { return false }
    wantedTo = endNumber
    return syncingTo == nil
  }

  /// Starts a sync of everything written so far.
  @inlinable
  mutating func startSync() { syncingTo = endNumber }

  /// Notes a write that comes after the log was poisoned: the next sync to end reports that it failed.
  @inlinable
  mutating func refuse(_ ticket: Ticket) { refused.append(ticket) }

  /// What a sync that ended reports.
  @usableFromInline
  enum SyncResult {
    case durable([Ticket], startsAgain: Bool)
    case failed([Ticket])
  }

  /// Ends the running sync.
  @inlinable
  mutating func endSync() -> SyncResult {
    if isPoisoned {
      defer { refused.removeAll() }
      return .failed(refused)
    }
    guard let end = syncingTo else { return .durable([], startsAgain: false) }
    syncingTo = nil
    if failsNextSync {
      failsNextSync = false
      isPoisoned = true
      return .failed(writes.compactMap { $0.wantsReport ? $0.ticket : nil })
    }
    var tickets: [Ticket] = []
    let count = Int(end - firstNumber)
    for write in writes[..<count] {
      apply(write)
      if write.wantsReport { tickets.append(write.ticket) }
    }
    writes.removeFirst(count)
    firstNumber = end
    return .durable(tickets, startsAgain: wantedTo > end)
  }

  @inlinable
  mutating func apply(_ write: Write) {
    if write.replacesAll {
      durable = write.records
      // A whole new log is sound.
      isDamaged = false
    } else {
      durable.append(contentsOf: write.records)
    }
  }

  /// Power is lost: of the writes on their way none, all or some of the first survive.
  @inlinable
  mutating func crash(_ random: inout Random) {
    let kept: Int =
      switch random.below(3) {
      case 0: 0
      case 1: writes.count
      default: random.within(0...writes.count)
      }
    for write in writes[..<kept] { apply(write) }
    writes.removeAll()
    firstNumber = 0
    syncingTo = nil
    wantedTo = 0
    failsNextSync = false
    isPoisoned = false
    refused.removeAll()
  }

  /// The disk loses durable records: all behind a random place. The loss is noticed at the next start.
  @inlinable
  mutating func rot(_ random: inout Random) {
    guard !durable.isEmpty else { return }
    durable.removeLast(random.within(1...durable.count))
    isDamaged = true
  }

  /// The disk is replaced by an empty one.
  @inlinable
  mutating func wipe() {
    durable.removeAll()
    isDamaged = true
  }

  /// What a node finds. The damage is reported until the node has replaced its log by a checkpoint, as a damaged file stays damaged.
  @inlinable var recovered: DurableState<Record> { DurableState(records: durable, isDamaged: isDamaged) }
}
