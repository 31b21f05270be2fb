import NIOCore
import StrataJobs
import StrataNodes
import StrataRaft

/// Commands about the group a key space is replicated in: ROLE, WAIT and RAFT.
extension ClientHandler {
  /// Looks at the group's member and goes on when it has answered; the connection stands still meanwhile.
  func consult(_ body: @escaping @Sendable (ClientHandler, RaftStatus?) -> Void) {
    guard let replication = server.replication, let channelContext else { return }
    isOffloaded = true
    let loop = channelContext.eventLoop
    let bound = NIOLoopBound(self, eventLoop: loop)
    replication.status { status in
      loop.execute {
        let handler = bound.value
        handler.isOffloaded = false
        body(handler, status)
        handler.flush()
        handler.resume()
      }
    }
  }

  /// ROLE, in Redis' words: who leads is the master, the others are its replicas.
  func role() {
    guard server.replication != nil else {
      context.reply.array(3)
      context.reply.bulk("master")
      context.reply.integer(0)
      context.reply.array(0)
      return
    }
    consult { handler, status in
      guard let status, let replication = handler.server.replication else { return handler.replyError("ERR the member has ended") }
      handler.reply(role: status, replication.store.members)
    }
  }

  private func reply(role status: RaftStatus, _ members: [NodeID: MemberAddress]) {
    guard status.role == .leader else {
      let (host, port) = Self.split(members[status.leader]?.client ?? "")
      context.reply.array(5)
      context.reply.bulk("slave")
      context.reply.bulk(host)
      context.reply.integer(port)
      context.reply.bulk(status.leader == 0 ? "connecting" : status.isRepairing ? "sync" : "connected")
      context.reply.integer(Int64(clamping: status.applied))
      return
    }
    let others = status.progress.filter { $0.id != status.id && $0.progress.isActive }
    context.reply.array(3)
    context.reply.bulk("master")
    context.reply.integer(Int64(clamping: status.commit))
    context.reply.array(others.count)
    for other in others {
      let (host, port) = Self.split(members[other.id]?.client ?? "")
      context.reply.array(3)
      context.reply.bulk(host)
      context.reply.bulk(String(port))
      context.reply.bulk(String(other.progress.match))
    }
  }

  private static func split(_ address: String) -> (host: String, port: Int) {
    guard let colon = address.lastIndex(of: ":"), let port = Int(address[address.index(after: colon)...]) else { return (address, 0) }
    return (String(address[..<colon]), port)
  }

  /// The lines of INFO's section on replication.
  static func replicationLines(_ replication: Replication, _ status: RaftStatus) -> [(String, String)] {
    let members = replication.store.members
    let others = status.progress.filter { $0.id != status.id }
    var lines = [("role", status.role == .leader ? "master" : "slave")]
    if status.role == .leader {
      lines.append(("connected_slaves", String(others.count { $0.progress.isActive })))
      for (place, other) in others.enumerated() {
        let (host, port) = split(members[other.id]?.client ?? "")
        let state = other.progress.isActive ? "online" : "offline"
        let lag = status.commit - min(status.commit, other.progress.match)
        lines.append(
          ("slave\(place)", "id=\(other.id.rawValue),ip=\(host),port=\(port),state=\(state),offset=\(other.progress.match),lag=\(lag)"))
      }
    } else {
      let (host, port) = split(members[status.leader]?.client ?? "")
      lines += [
        ("master_host", host), ("master_port", String(port)), ("master_link_status", status.leader == 0 ? "down" : "up"),
        ("slave_repl_offset", String(status.applied)), ("connected_slaves", "0"),
      ]
    }
    return lines + [
      ("master_repl_offset", String(status.commit)), ("raft_node", String(status.id.rawValue)), ("raft_leader", String(status.leader.rawValue)),
      ("raft_term", String(status.term)), ("raft_commit", String(status.commit)), ("raft_applied", String(status.applied)),
      ("raft_log_first", String(status.compacted.index + 1)), ("raft_log_last", String(status.last.index)),
      ("raft_log_bytes", String(status.logBytes)),
      ("raft_answer_p50_usec", microseconds(replication.node.answerLatency, 0.5)),
      ("raft_answer_p99_usec", microseconds(replication.node.answerLatency, 0.99)),
      ("raft_sync_p50_usec", microseconds(replication.node.syncLatency, 0.5)),
      ("raft_sync_p99_usec", microseconds(replication.node.syncLatency, 0.99)),
      ("raft_members", status.confState.description), ("raft_repairing", status.isRepairing ? "1" : "0"),
    ]
  }

  private static func microseconds(_ histogram: LatencyHistogram, _ share: Double) -> String { String(histogram.quantile(share) / 1000) }

  // MARK: WAIT

  /// WAIT: the number of other members that hold everything this leader has committed, awaited up to the timeout. Elsewhere the number that is
  /// certain: with this one they were a majority for every write that was answered.
  func waitForMembers(_ count: Int, milliseconds: Int64) {
    let deadline = Clocks.nanoseconds() &+ UInt64(clamping: milliseconds == 0 ? 5_000 : milliseconds) &* 1_000_000
    awaitMembers(count, target: nil, deadline)
  }

  private func awaitMembers(_ count: Int, target: LogIndex?, _ deadline: UInt64) {
    consult { handler, status in
      guard let status else { return handler.replyError("ERR the member has ended") }
      guard status.role == .leader else { return handler.context.reply.integer(status.confState.voters.count / 2) }
      let target = target ?? status.commit
      let holding = status.progress.count { $0.id != status.id && $0.progress.match >= target }
      guard holding < count, Clocks.nanoseconds() < deadline, let context = handler.channelContext else {
        return handler.context.reply.integer(holding)
      }
      handler.isOffloaded = true
      let bound = NIOLoopBound(handler, eventLoop: context.eventLoop)
      context.eventLoop.scheduleTask(in: .milliseconds(5)) { bound.value.awaitMembers(count, target: target, deadline) }
    }
  }

  // MARK: RAFT

  /// RAFT STATUS | ADD id address | ADDLEARNER id address | PROMOTE id | DEMOTE id | REMOVE id | REPLACE old new address | TRANSFER id.
  func raft(_ call: Invocation) throws(CommandError) {
    guard let replication = server.replication else { throw .failed("ERR this server is not replicated; start it with --node and --cluster") }
    if call.matches(1, "STATUS"), call.count == 2 {
      return consult { handler, status in
        guard let status else { return handler.replyError("ERR the member has ended") }
        let lines = Self.replicationLines(replication, status) + Self.memberLines(replication, status)
        handler.context.reply.verbatim(lines.map { "\($0.0):\($0.1)\r\n" }.joined())
      }
    }
    let step = try step(call)
    consult { handler, status in
      guard let status else { return handler.replyError("ERR the member has ended") }
      guard status.role == .leader else {
        let leader = replication.store.members[status.leader]?.client ?? ""
        return handler.replyError("NOTLEADER \(leader.isEmpty ? "nobody leads at the moment" : "ask the leader at \(leader)")")
      }
      handler.carryOut(step, replication)
    }
  }

  private static func memberLines(_ replication: Replication, _ status: RaftStatus) -> [(String, String)] {
    let members = replication.store.members
    return status.confState.members.map { id in
      let kind = status.confState.isVoter(id) ? "voter" : "learner"
      let address = members[id] ?? MemberAddress(peer: replication.options.founders[id] ?? "", client: "")
      return ("member\(id.rawValue)", "kind=\(kind),peer=\(address.peer),client=\(address.client)")
    }
  }

  /// What RAFT is to do.
  enum GroupStep: Sendable {
    case change(ConfChange, address: (NodeID, String)?)
    case transfer(NodeID)
  }

  private func step(_ call: Invocation) throws(CommandError) -> GroupStep {
    func id(_ index: Int) throws(CommandError) -> NodeID {
      guard index < call.count, let number = Decimal.parseUnsigned(call[index]), number > 0 else {
        throw .failed("ERR the number of a member is a positive integer")
      }
      return NodeID(number)
    }
    func address(_ index: Int) throws(CommandError) -> String {
      guard index < call.count, case let text = call.text(index), text.utf8.count < 255, Self.split(text).port > 0 else {
        throw .failed("ERR an address is host:port")
      }
      return text
    }
    switch (call.text(1).uppercased(), call.count) {
    case ("ADD", 4): return .change(ConfChange([.addVoter(try id(2))]), address: (try id(2), try address(3)))
    case ("ADDLEARNER", 4): return .change(ConfChange([.addLearner(try id(2))]), address: (try id(2), try address(3)))
    case ("PROMOTE", 3): return .change(ConfChange([.addVoter(try id(2))]), address: nil)
    case ("DEMOTE", 3): return .change(ConfChange([.addLearner(try id(2))]), address: nil)
    case ("REMOVE", 3): return .change(ConfChange([.remove(try id(2))]), address: nil)
    case ("REPLACE", 5):
      return .change(ConfChange([.remove(try id(2)), .addVoter(try id(3))]), address: (try id(3), try address(4)))
    case ("TRANSFER", 3): return .transfer(try id(2))
    default: throw .failed("ERR unknown subcommand or wrong number of arguments for 'raft|\(call.text(1).lowercased())' command")
    }
  }

  private func carryOut(_ step: GroupStep, _ replication: Replication) {
    guard let channelContext else { return }
    isOffloaded = true
    let loop = channelContext.eventLoop
    let bound = NIOLoopBound(self, eventLoop: loop)
    let finish: @Sendable (Result<[UInt8], ReplicationFailure>) -> Void = { result in
      loop.execute {
        let handler = bound.value
        handler.isOffloaded = false
        switch result {
        case .success: handler.context.reply.ok()
        case .failure(.refused(let why)): handler.replyError("ERR \(why)")
        case .failure(let failure): handler.replyError(failure.reply(writes: true))
        }
        handler.flush()
        handler.resume()
      }
    }
    switch step {
    case .transfer(let target): replication.transfer(to: target, finish)
    case .change(let change, nil): replication.change(change, finish)
    case .change(let change, let address?):
      // Every member knows where the new one is before it has to be reached.
      let known = replication.store.members[address.0]?.client ?? ""
      replication.write(ReplicatedStore.addressCommand(address.0, MemberAddress(peer: address.1, client: known))) { result in
        guard case .success = result else { return finish(result) }
        replication.change(change, finish)
      }
    }
  }
}
