import NIOPosix
import StrataJobs
import Synchronization

/// Removes keys whose time has come, a bounded piece of the keyspace at a time, on a disk thread.
final class ExpiryCycle: Sendable {
  /// Pages of 512 keys per turn; ten turns a second.
  private static let pages = 16

  private let state: ServerState
  private let position = Monitor(ScanPosition.start)
  private let isRunning = Atomic<Bool>(false)

  init(state: ServerState) { self.state = state }

  /// Starts a turn unless one is running.
  func turn() {
    guard isRunning.compareExchange(expected: false, desired: true, ordering: .acquiringAndReleasing).exchanged else { return }
    state.pool.submit { [self] pool in
      defer { isRunning.store(false, ordering: .releasing) }
      guard case .active = pool else { return }
      do {
        let next = try state.keyspace.expireSome(from: position.withLock { $0 }, pages: Self.pages)
        position.withLock { $0 = next }
      } catch {
        // A store that cannot write says so to every client that tries; expired keys stay absent without their removal.
        state.logger.debug("active expiry stopped", metadata: ["reason": "\(error)"])
      }
    }
  }
}
