import NIOPosix
import StrataJobs
import Synchronization

/// Removes keys whose time has come, and parts of structures whose key is gone, a bounded piece of the keyspace at a time, on a disk thread.
final class ExpiryCycle: Sendable {
  /// Pages of 512 keys per turn; ten turns a second.
  private static let pages = 16

  private let state: ServerState
  /// Turns between the ends and beginnings of passes over structures, of which a pass may read the disk for each.
  private static let reapingPause = 100

  private let position = Monitor(ScanPosition.start)
  private let reaping = Monitor((position: ScanPosition.start, pause: 0))
  private let isRunning = Atomic<Bool>(false)

  init(state: ServerState) { self.state = state }

  private func reap() throws(EngineError) {
    let (position, pause) = reaping.withLock { $0 }
    guard pause == 0 else { return reaping.withLock { $0.pause -= 1 } }
    let next = try state.keyspace.reapSome(from: position, pages: Self.pages)
    reaping.withLock { $0 = (next, next == .start ? Self.reapingPause : 0) }
  }

  /// Starts a turn unless one is running.
  func turn() {
    guard isRunning.compareExchange(expected: false, desired: true, ordering: .acquiringAndReleasing).exchanged else { return }
    state.pool.submit { [self] pool in
      defer { isRunning.store(false, ordering: .releasing) }
      guard case .active = pool else { return }
      do {
        let next = try state.keyspace.expireSome(from: position.withLock { $0 }, pages: Self.pages)
        position.withLock { $0 = next }
        try reap()
      } catch {
        // A store that cannot write says so to every client that tries; expired keys stay absent without their removal.
        state.logger.debug("active expiry stopped", metadata: ["reason": "\(error)"])
      }
    }
  }
}
