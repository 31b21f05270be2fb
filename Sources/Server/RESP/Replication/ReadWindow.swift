import StrataJobs
import StrataNodes
import StrataRaft
import Synchronization

/// Until when clients' reads may run on this member's store without asking the group: what the member's thread tells the event loops.
///
/// A read that comes while the window is open may end after it: what it shows holds all that had been answered when it came.
final class ReadWindow: Sendable {
  private let reads: ReplicationOptions.Reads
  private let end = Atomic<UInt64>(0)

  /// A closed window.
  init(_ reads: ReplicationOptions.Reads) { self.reads = reads }

  /// Whether it is open. From any thread.
  var isOpen: Bool {
    let end = end.load(ordering: .sequentiallyConsistent)
    return end != 0 && MonotonicClock.now() < end
  }

  /// The member has had a turn, whose messages and answers have not left.
  func look(at node: borrowing Replication.Member) {
    let until: Instant? =
      switch reads {
      case .linearizable: nil
      case .lease: node.readableUntil
      case .stale(let limit): node.isFreshAsOf.map { $0 + limit }
      }
    // Before the messages: once they have left, somebody may have seen more than a window from before them shows.
    end.store(until?.nanoseconds ?? 0, ordering: .sequentiallyConsistent)
  }
}
