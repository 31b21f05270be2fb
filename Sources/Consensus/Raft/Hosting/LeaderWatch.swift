import StrataJobs
import StrataNodes

/// Who leads a group, as one member knows it.
public struct Leadership: Hashable, Sendable {
  /// The member's term.
  public var term: Term
  /// Who leads in it; nobody the member knows of where `nil`.
  public var leader: NodeID?
}

/// Tells of each change of leader that a member learns of. Its ``look(at:)`` is the member's observer:
///
/// ```swift
/// let watch = LeaderWatch()
/// let node = try host.run(Member.self, as: 1, …, observer: { watch.look(at: $0) })
/// for await leadership in watch.changes { … }
/// ```
public final class LeaderWatch: Sendable {
  private struct State {
    var last: Leadership?
    var listeners: [UInt64: AsyncStream<Leadership>.Continuation] = [:]
    var lastListener: UInt64 = 0
  }

  private let state = Monitor(State())

  /// A watch that has seen nothing.
  public init() {}

  /// Looks at the member after a turn; O(1). On the host's thread.
  public func look<Machine>(at node: borrowing RaftNode<Machine>) {
    let (term, leader) = node.core.termAndLeader
    let now = Leadership(term: term, leader: leader == 0 ? nil : leader)
    state.withLock { state in
      guard state.last != now else { return }
      state.last = now
      for listener in state.listeners.values { listener.yield(now) }
    }
  }

  /// Who leads, as of the member's last turn; nothing before its first.
  public var current: Leadership? { state.withLock { $0.last } }

  /// Who leads now and whoever leads from now on. Whoever is slow to listen misses changes, but never the last one.
  public var changes: AsyncStream<Leadership> {
    AsyncStream(bufferingPolicy: .bufferingNewest(1)) { continuation in
      let number = state.withLock { state in
        state.lastListener += 1
        state.listeners[state.lastListener] = continuation
        if let last = state.last { continuation.yield(last) }
        return state.lastListener
      }
      continuation.onTermination = { _ in self.state.withLock { $0.listeners[number] = nil } }
    }
  }
}
