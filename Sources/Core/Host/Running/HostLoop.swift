import StrataBytes
import StrataJobs
import StrataNodes
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// One hosted node, its type forgotten: what the host's thread calls once per turn.
// Everything but what the subclass guards by a lock is touched by the host's thread alone.
class HostCell: @unchecked Sendable {
  /// When the cell wants a turn even if nothing comes; `.max` for never.
  final var wakesAt = UInt64.max
  /// The time the host's queue has it down for; `.max` for none.
  final var queuedFor = UInt64.max

  /// Gives the node what has come for it and what is due, and carries out what it wants but for the frames, which go to their outbox, and the writes.
  func turn(_ loop: HostLoop) { preconditionFailure("every cell has a turn of its own") }

  /// Gives the log what the turn has led to.
  func write() {}

  /// How many completions the turn has led to.
  var dueAnswers: Int { 0 }

  /// Calls them.
  func answer() {}

  /// Ends the node.
  func end(_ ending: HostError.Ending, _ loop: HostLoop) {}
}

/// Frames that wait for the end of the host's turn: all for one peer leave together, whichever node they come from.
///
/// Touched by the host's thread alone.
final class Outbox {
  private let transport: any Transport
  private var queues: [(peer: NodeID, frames: [Frame])] = []
  private(set) var isEmpty = true

  init(_ transport: any Transport) { self.transport = transport }

  func append(_ frame: Frame) {
    isEmpty = false
    if let index = queues.firstIndex(where: { $0.peer == frame.to }) {
      queues[index].frames.append(frame)
    } else {
      queues.append((frame.to, [frame]))
    }
  }

  /// Gives everything to the transport; says in how many batches.
  func flush() -> Int {
    isEmpty = true
    var batches = 0
    for index in queues.indices where !queues[index].frames.isEmpty {
      let frames = queues[index].frames
      queues[index].frames = []
      transport.send(frames, to: queues[index].peer)
      batches += 1
    }
    return batches
  }
}

/// The host's thread: waits until a cell has something to do or a time has come, gives the cells their turns, then hands the frames over. The thread
/// is its own, in ``run()``, or an executor's, which calls ``turn()``.
// `monitor`, `finished` and the atomics are shared and guard themselves; all else is touched by the one thread.
final class HostLoop: @unchecked Sendable {
  private struct State {
    var ready: [HostCell] = []
    var isAsleep = false
    var isStopping = false
    var statistics = HostStatistics()
  }

  private let monitor = Monitor(State())
  private let executor: (any HostExecutor)?
  private let finished = Monitor(false)
  private let thread = Atomic<UInt>(0)
  private var wakes = WakeUpHeap<HostCell>()
  private var cells: [ObjectIdentifier: HostCell] = [:]
  private var outboxes: [ObjectIdentifier: Outbox] = [:]
  private var counts = HostStatistics()
  private var writer = ByteWriter(capacity: 512)

  init(on executor: (any HostExecutor)? = nil) { self.executor = executor }

  /// Gives `cell` a turn soon. Says whether there will be one: not after ``stop()``.
  func schedule(_ cell: HostCell) -> Bool {
    let (isTaken, mustWake) = monitor.withLock { state -> (Bool, Bool) in
      guard !state.isStopping else { return (false, false) }
      state.ready.append(cell)
      defer { state.isAsleep = false }
      return (true, state.isAsleep)
    }
    if mustWake { wake() }
    return isTaken
  }

  /// Ends every cell and then the thread.
  func stop() {
    let isNews = monitor.withLock { state in
      defer { (state.isStopping, state.isAsleep) = (true, false) }
      return !state.isStopping
    }
    // An executor may be gone by the time somebody says so again.
    if isNews { wake() }
  }

  private func wake() { if let executor { executor.wake() } else { monitor.broadcast() } }

  /// Waits until an executor's thread has ended every cell.
  func waitUntilFinished() { _ = finished.wait(until: { $0 ? true : nil }) }

  var statistics: HostStatistics { monitor.withLock { $0.statistics } }

  /// Whether the caller is the host's thread.
  var isCurrent: Bool { thread.load(ordering: .relaxed) == Self.currentThread() }

  private static func currentThread() -> UInt {
    #if os(Linux)
      UInt(pthread_self())
    #else
      UInt(bitPattern: pthread_self())
    #endif
  }

  // MARK: The thread

  func run() {
    thread.store(Self.currentThread(), ordering: .relaxed)
    while let ready = next() { serve(ready) }
    finish()
  }

  /// Does what there is to do, on an executor's thread; `nil` once everything has ended, else when it wants to be called again at the latest.
  func turn() -> UInt64? {
    thread.store(Self.currentThread(), ordering: .relaxed)
    let deadline = wakes.first?.at ?? .max
    let ready = monitor.withLock { state -> [HostCell]? in
      if state.ready.isEmpty, state.isStopping { return nil }
      var ready: [HostCell] = []
      swap(&ready, &state.ready)
      return ready
    }
    guard let ready else {
      finish()
      return nil
    }
    if !ready.isEmpty || MonotonicClock.now() >= deadline { serve(ready) }
    let next = wakes.first?.at ?? .max
    return monitor.withLock { state in
      state.isAsleep = state.ready.isEmpty && !state.isStopping
      return state.isAsleep ? next : 0
    }
  }

  /// Gives their turns to cells that have something to do and to those whose time has come.
  private func serve(_ ready: [HostCell]) {
    let start = MonotonicClock.now()
    var served = ready
    for cell in ready { give(cell) }
    while let first = wakes.first, first.at <= start, let entry = wakes.removeFirst() {
      guard entry.element.queuedFor == entry.at else { continue }
      entry.element.queuedFor = .max
      give(entry.element)
      served.append(entry.element)
    }
    // A few answers are given first: frames wake peers, who may want the processor that whoever waits for an answer needs. Many are not, as
    // the peers would wait for all of them.
    let answersFirst = served.reduce(0) { $0 + $1.dueAnswers } <= Self.fewAnswers
    if answersFirst { for cell in served { cell.answer() } }
    // What a peer does with a frame, and its disk, takes longer than this host's own.
    for outbox in outboxes.values where !outbox.isEmpty { counts.batchesSent += UInt64(outbox.flush()) }
    for cell in served { cell.write() }
    if !answersFirst { for cell in served { cell.answer() } }
    publish(since: start)
  }

  private static let fewAnswers = 4

  private func finish() {
    for cell in cells.values { cell.end(.stopped, self) }
    for outbox in outboxes.values where !outbox.isEmpty { _ = outbox.flush() }
    outboxes = [:]
    finished.withLock { $0 = true }
    finished.broadcast()
  }

  private func give(_ cell: HostCell) {
    counts.nodeTurns += 1
    cell.turn(self)
    // A cell that wants to wake later than it is down for gets a turn too many rather than an entry more.
    guard cell.wakesAt < cell.queuedFor else { return }
    cell.queuedFor = cell.wakesAt
    wakes.insert(cell, at: cell.wakesAt)
  }

  private func publish(since start: UInt64) {
    counts.turns += 1
    counts.longestTurnNanoseconds = max(counts.longestTurnNanoseconds, MonotonicClock.now() - start)
    counts.nodes = cells.count
    monitor.withLock { $0.statistics = counts }
  }

  /// The cells that have something to do, none where a time has come, `nil` where it is time to end.
  private func next() -> [HostCell]? {
    let deadline = wakes.first?.at ?? .max
    return monitor.wait(choosing: { state -> Waiting<[HostCell]?> in
      state.isAsleep = false
      if !state.ready.isEmpty {
        var ready: [HostCell] = []
        swap(&ready, &state.ready)
        return .done(ready)
      }
      if state.isStopping { return .done(nil) }
      if deadline != .max, MonotonicClock.now() >= deadline { return .done([]) }
      state.isAsleep = true
      return .wait(on: 0, until: deadline)
    })
  }

  // MARK: For cells, on the thread

  func began(_ cell: HostCell) { cells[ObjectIdentifier(cell)] = cell }

  func ended(_ cell: HostCell) { cells[ObjectIdentifier(cell)] = nil }

  /// What `body` writes.
  func written(_ body: (inout ByteWriter) -> Void) -> [UInt8] {
    writer.removeAll()
    body(&writer)
    return Self.copy(writer)
  }

  private static func copy(_ writer: borrowing ByteWriter) -> [UInt8] { writer.bytes.withUnsafeBytes { Array($0) } }

  func outbox(for transport: any Transport) -> Outbox {
    if let outbox = outboxes[ObjectIdentifier(transport)] { return outbox }
    let outbox = Outbox(transport)
    outboxes[ObjectIdentifier(transport)] = outbox
    return outbox
  }
}
