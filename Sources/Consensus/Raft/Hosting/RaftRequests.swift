import StrataHost
import StrataNodes

/// Why a request to a group was not answered.
public enum RaftRequestError: Error, Hashable, Sendable, CustomStringConvertible {
  /// It had no effect; the text says why, and who can help.
  case refused(String)
  /// What the host says; ``HostError/outcomeUnknown(_:)`` alone leaves open whether the request has its effect.
  case host(HostError)

  /// What happened and what can be done.
  public var description: String {
    switch self {
    case .refused(let why): "the request is refused: \(why)"
    case .host(let error): error.description
    }
  }
}

/// How new the state has to be that answers a question.
public enum ReadConsistency: Hashable, Sendable {
  /// It holds every command that was answered before the question was asked. Under a lease, where the group reads under leases
  /// (``RaftKnobs/readMode``), and after a round of messages otherwise.
  case linearizable
  /// It may miss what was answered within so long a time before.
  case stale(maxLag: Duration)
}

// What clients ask a member of a group. Any member takes all of it; what only the leader can do is passed on to it.
extension HostedNode {
  /// Has the group's machines carry out a command, once, and suspends until this member's has.
  ///
  /// - Throws: ``RaftRequestError``; `.host(.outcomeUnknown)` says that the command may or may not take effect.
  public func propose<Machine>(_ command: [UInt8], deadline: Duration? = nil) async throws(RaftRequestError) -> [UInt8]
  where N == RaftNode<Machine> {
    try await answer(.command(command), deadline)
  }

  /// Puts a question to this member's machine once its state is new enough.
  ///
  /// - Throws: ``RaftRequestError``.
  public func read<Machine>(
    _ question: [UInt8], _ consistency: ReadConsistency = .linearizable, deadline: Duration? = nil
  ) async throws(RaftRequestError) -> [UInt8] where N == RaftNode<Machine> {
    switch consistency {
    case .linearizable: try await answer(.query(question), deadline)
    case .stale(let maxLag): try await answer(.staleQuery(question, within: maxLag), deadline)
    }
  }

  /// Proposes a change of members, or passes the proposal on to the leader, which may drop it. The change is in effect when
  /// ``RaftStatus/confState`` says so.
  ///
  /// - Throws: ``RaftRequestError``: refused where it is not safe now, or never, or where nobody leads.
  public func changeMembership<Machine>(_ change: ConfChange, deadline: Duration? = nil) async throws(RaftRequestError)
  where N == RaftNode<Machine> {
    _ = try await answer(.change(change), deadline)
  }

  /// Hands leadership over, or asks the leader to. Whether that succeeded shows in ``LeaderWatch/changes``.
  ///
  /// - Throws: ``RaftRequestError``: refused where the target cannot lead, or nobody leads.
  public func transferLeadership<Machine>(to target: NodeID, deadline: Duration? = nil) async throws(RaftRequestError)
  where N == RaftNode<Machine> {
    _ = try await answer(.transfer(target), deadline)
  }

  /// Begins a snapshot of what this member has applied, in whose favour its log is shortened, before the log is so long that it would by itself.
  ///
  /// - Throws: ``RaftRequestError``: refused where one is being made, or nothing was applied since the last.
  public func snapshotNow<Machine>(deadline: Duration? = nil) async throws(RaftRequestError) where N == RaftNode<Machine> {
    _ = try await answer(.snapshot, deadline)
  }

  private func answer<Machine>(_ request: N.Request, _ deadline: Duration?) async throws(RaftRequestError) -> [UInt8] where N == RaftNode<Machine> {
    let response: N.Response
    do throws(HostError) { response = try await self.request(request, deadline: deadline) } catch { throw .host(error) }
    switch response {
    case .answer(let bytes): return bytes
    case .proposed: return []
    case .refused(let why): throw .refused(why)
    }
  }
}
