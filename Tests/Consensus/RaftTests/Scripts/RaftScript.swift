import StrataNodes

@testable import StrataRaft

/// Runs the interaction scripts of etcd's Raft: a few cores, their messages in one list, and commands that move them by hand.
final class RaftScript {
  /// Marks a change of members proposed in etcd's older form.
  static let olderForm: [UInt8] = [1]

  private struct Node {
    var core: RaftCore
    var hardState = HardState()
    var content: [UInt8]
  }

  private var nodes: [Node] = []
  private var inFlight: [Message] = []
  private var isQuiet = false
  private let configure: (inout RaftConfig) -> Void

  init(configure: @escaping (inout RaftConfig) -> Void) { self.configure = configure }

  static func outgoing(_ ready: Ready) -> [Message] {
    ready.messages + (ready.append?.responses.filter { $0.to != $0.from } ?? [])
  }

  /// The lines of the log are not compared: what a core does is, how it talks about it is not.
  static func compared(_ lines: [String]) -> [String] {
    let kept = lines.filter { line in
      let text = line.drop { $0 == " " }
      return !["INFO ", "DEBUG ", "WARN "].contains { text.hasPrefix($0) }
    }
    return kept.isEmpty ? ["ok"] : kept
  }

  func run(_ command: DataDriven.Command) -> [String] {
    let output: [String]
    do {
      output = try carryOut(command)
    } catch {
      return ["\(error)"]
    }
    if output.isEmpty { return ["ok"] }
    return isQuiet ? ["ok (quiet)"] : output
  }

  private func carryOut(_ command: DataDriven.Command) throws -> [String] {
    let numbers = command.arguments.filter(\.values.isEmpty).compactMap { Int($0.key) }
    func node() throws -> Int {
      guard let id = numbers.first, nodes.indices.contains(id - 1) else { throw ScriptText.Unreadable(description: "no such node") }
      return id - 1
    }
    switch command.name {
    case "log-level":
      isQuiet = command.arguments[0].key == "none"
      return []
    case "add-nodes": try addNodes(command, count: numbers[0])
    case "campaign": nodes[try node()].core.campaign()
    case "tick-heartbeat": for _ in 0..<nodes[try node()].core.config.heartbeatTicks { nodes[try node()].core.tick() }
    case "tick-election": for _ in 0..<nodes[try node()].core.config.electionTicks { nodes[try node()].core.tick() }
    case "forget-leader": nodes[try node()].core.forgetLeader()
    case "report-unreachable": nodes[try node()].core.reportUnreachable(NodeID(UInt64(numbers[1])))
    case "transfer-leadership":
      let from = Int(command["from"]?.first ?? "") ?? 0
      try nodes[from - 1].core.transferLeadership(to: NodeID(UInt64(command["to"]?.first ?? "") ?? 0))
    case "set-randomized-election-timeout": nodes[try node()].core.electionTimeout = Int(command["timeout"]?.first ?? "") ?? 0
    case "propose": return propose(command.arguments[1].key, at: try node())
    case "propose-conf-change": try proposeConfChange(command, at: try node())
    case "process-ready": return process(try node())
    case "deliver-msgs":
      let dropped = (command["drop"] ?? []).compactMap { UInt64($0) }.map { NodeID($0) }
      let lines = numbers.flatMap { deliver(to: NodeID(UInt64($0)), drops: false) } + dropped.flatMap { deliver(to: $0, drops: true) }
      return lines.isEmpty ? ["no messages"] : lines
    case "stabilize": return stabilize(numbers.isEmpty ? Array(nodes.indices) : numbers.map { $0 - 1 })
    case "compact":
      let place = try node()
      try nodes[place].core.compact(to: UInt64(numbers[1]))
      return raftLog(place)
    case "raft-log": return raftLog(try node())
    case "status": return ScriptText.progress(nodes[try node()].core.members)
    case "raft-state":
      return nodes.map { "\($0.core.id.rawValue): \($0.core.role) Term:\($0.core.term) Lead:\($0.core.leader.rawValue)" }
    default: throw ScriptText.Unreadable(description: "unknown command \(command.name)")
    }
    return []
  }

  private func addNodes(_ command: DataDriven.Command, count: Int) throws {
    func ids(_ key: String) -> [NodeID] { (command[key] ?? []).compactMap { UInt64($0) }.map { NodeID($0) } }
    let conf = ConfState(voters: ids("voters"), learners: ids("learners"))
    let index = UInt64(command["index"]?.first ?? "0") ?? 0
    let content = Array((command["content"]?.first ?? "").utf8)
    for _ in 0..<count {
      let id = NodeID(UInt64(nodes.count + 1))
      var config = RaftConfig(id: id, seed: id.rawValue)
      config.electionTicks = 3
      config.preVote = command["prevote"] == ["true"]
      config.checkQuorum = command["checkquorum"] == ["true"]
      config.stepDownOnRemoval = command["step-down-on-removal"] == ["true"]
      config.maxInflightMessages = command["inflight"].flatMap { Int($0.first ?? "") } ?? 1 << 20
      config.maxBytesPerMessage = 1 << 40
      config.maxApplyBytesPerReady = command["max-committed-size-per-ready"].flatMap { Int($0.first ?? "") } ?? 1 << 40
      config.maxInflightBytes = 0
      configure(&config)
      let place = LogPlace(term: index == 0 ? 0 : 1, index: index)
      let snapshot = Snapshot(place: place, confState: conf, data: content)
      let core = try RaftCore(
        config: config, initial: InitialState(confState: conf, snapshotPlace: place, applied: index, snapshot: index == 0 ? nil : snapshot))
      nodes.append(Node(core: core, content: content))
    }
  }

  private func propose(_ text: String, at place: Int) -> [String] {
    do {
      try nodes[place].core.propose([Array(text.utf8)])
      return []
    } catch {
      return ["raft proposal dropped"]
    }
  }

  private func proposeConfChange(_ command: DataDriven.Command, at place: Int) throws {
    let transition: ConfChange.Transition =
      switch command["transition"]?.first {
      case "implicit": .implicit
      case "explicit": .explicit
      default: .auto
      }
    let change = ConfChange(
      try command.input.flatMap { try ScriptText.steps($0) }, transition: transition, context: command["v1"] == ["true"] ? Self.olderForm : [])
    do {
      try nodes[place].core.proposeConfChange(change)
    } catch .confChangeRefused {
      // etcd says nothing and puts an empty entry in its place; this core says why and proposes nothing.
      try nodes[place].core.propose([[]])
    }
  }

  private func process(_ place: Int) -> [String] {
    let ready = nodes[place].core.ready()
    let lines = ScriptText.ready(ready, after: nodes[place].hardState)
    if let state = ready.append?.hardState { nodes[place].hardState = state }
    inFlight += Self.outgoing(ready)
    nodes[place].core.advance(ready)
    if let last = ready.apply?.entries.last {
      nodes[place].core.offerSnapshot(
        Snapshot(place: LogPlace(term: last.term, index: last.index), confState: nodes[place].core.confState, data: nodes[place].content))
    }
    return lines
  }

  private func deliver(to id: NodeID, drops: Bool) -> [String] {
    let arriving = inFlight.filter { $0.to == id }
    inFlight.removeAll { $0.to == id }
    return arriving.map { message in
      if drops { return "dropped: " + ScriptText.message(message) }
      try? nodes[Int(id.rawValue) - 1].core.step(message)
      return ScriptText.message(message)
    }
  }

  private func stabilize(_ places: [Int]) -> [String] {
    var lines: [String] = []
    for _ in 0..<1000 {
      var isDone = true
      for place in places where nodes[place].core.hasReady {
        isDone = false
        lines.append("> \(place + 1) handling Ready")
        lines += process(place).map { "  " + $0 }
      }
      for place in places where inFlight.contains(where: { $0.to == nodes[place].core.id }) {
        isDone = false
        lines.append("> \(place + 1) receiving messages")
        lines += deliver(to: nodes[place].core.id, drops: false).map { "  " + $0 }
      }
      if isDone { return lines }
    }
    return lines + ["does not become stable"]
  }

  private func raftLog(_ place: Int) -> [String] {
    let status = nodes[place].core.status
    guard status.last.index > status.compacted.index else {
      return ["log is empty: first index=\(status.compacted.index + 1), last index=\(status.last.index)"]
    }
    return (status.compacted.index + 1...status.last.index).compactMap { nodes[place].core.entry(at: $0) }.map(ScriptText.entry)
  }
}
