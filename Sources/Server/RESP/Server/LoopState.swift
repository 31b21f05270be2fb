import NIOCore
import Synchronization

/// What belongs to one event loop: the connections whose replies wait for an acknowledgement, and counters nobody else writes.
///
/// However many connections wait, one registration with the engine is outstanding per loop; when it comes back, every connection whose
/// sequence is reached sends what it may. So a group commit wakes each loop once.
// Confined to its event loop but for `counters`, whose cells are atomics.
final class LoopState: @unchecked Sendable {
  let loop: any EventLoop
  let counters = Counters()
  /// Where the loop's connections ask the group, if there is one.
  let desk: GroupDesk?
  private let engine: any KeyValueEngine
  private var waiting: [ClientHandler] = []
  private var released: [ClientHandler] = []
  private var isRegistered = false

  init(loop: any EventLoop, engine: any KeyValueEngine, replication: Replication?) {
    self.loop = loop
    self.engine = engine
    desk = replication.map { GroupDesk($0, on: loop) }
  }

  /// Calls `client.acknowledged` when something it waits for may have become true.
  func wait(_ client: ClientHandler, for sequence: UInt64) {
    waiting.append(client)
    register(sequence)
  }

  private func register(_ sequence: UInt64) {
    guard !isRegistered else { return }
    isRegistered = true
    engine.whenAcknowledged(sequence) { error in
      self.loop.execute { self.release(error) }
    }
  }

  private func release(_ error: EngineError?) {
    isRegistered = false
    swap(&waiting, &released)
    for client in released { client.acknowledged(error) }
    released.removeAll(keepingCapacity: true)
    // Those that still wait have put themselves into `waiting` again; the first to register asked for its own sequence, which another
    // may precede, but never by more than one group.
  }

  /// Counters of one loop: written by it alone with plain loads and stores, summed by whoever asks.
  final class Counters: Sendable {
    enum Cell: Int, CaseIterable {
      case commands, hits, misses, errors, inputBytes, outputBytes, connections, rejected, offloaded
    }

    /// Per command: calls, nanoseconds, failures, rejections.
    static let perCommand = 4
    private static let commandCells = Cell.allCases.count
    private static let count = commandCells + CommandID.allCases.count * perCommand

    // Never reassigned, and its elements are atomics.
    private nonisolated(unsafe) let cells: UnsafeMutablePointer<Atomic<UInt64>>

    init() {
      cells = .allocate(capacity: Self.count)
      for index in 0..<Self.count { (cells + index).initialize(to: Atomic(0)) }
    }

    deinit {
      cells.deinitialize(count: Self.count)
      cells.deallocate()
    }

    @inline(__always)
    private func add(_ index: Int, _ amount: UInt64) {
      // A wrapped counter is better than a stopped server.
      cells[index].store(cells[index].load(ordering: .relaxed) &+ amount, ordering: .relaxed)
    }

    @inline(__always)
    func add(_ cell: Cell, _ amount: Int = 1) { add(cell.rawValue, UInt64(truncatingIfNeeded: amount)) }

    @inline(__always)
    func ran(_ id: CommandID, nanoseconds: UInt64) {
      let base = Self.commandCells + Int(id.rawValue) * Self.perCommand
      add(base, 1)
      add(base + 1, nanoseconds)
    }

    func failed(_ id: CommandID) { add(Self.commandCells + Int(id.rawValue) * Self.perCommand + 2, 1) }
    func rejected(_ id: CommandID) { add(Self.commandCells + Int(id.rawValue) * Self.perCommand + 3, 1) }

    subscript(cell: Cell) -> UInt64 { cells[cell.rawValue].load(ordering: .relaxed) }

    subscript(id: CommandID, field: Int) -> UInt64 {
      cells[Self.commandCells + Int(id.rawValue) * Self.perCommand + field].load(ordering: .relaxed)
    }

    func reset() {
      for index in 0..<Self.count { cells[index].store(0, ordering: .relaxed) }
    }
  }
}
