import StrataNodes
import StrataRequirements
import Testing

@testable import StrataRaft

/// The quorum and membership vectors of etcd's Raft.
struct VectorTests {
  @Test(
    .requirement("Raft.keep.3"),
    arguments: ["majority_commit.txt", "joint_commit.txt", "majority_vote.txt", "joint_vote.txt"])
  func quorums(_ file: String) throws {
    let script = try RaftVectors.script("quorum/testdata/\(file)")
    #expect(script.commands.count > 10)
    for command in script.commands {
      let actual = Self.quorum(command)
      #expect(actual == command.expected, "\(file):\(command.line) \(command.name)")
    }
  }

  private static func quorum(_ command: DataDriven.Command) -> [String] {
    func ids(_ key: String) -> [NodeID] { (command[key] ?? []).compactMap { UInt64($0) }.map { NodeID($0) } }
    let voters = ids("cfg")
    let outgoing = ids("cfgj")
    let isJoint = command["cfgj"] != nil
    var order: [NodeID] = []
    for id in voters + outgoing where !order.contains(id) { order.append(id) }
    let values = command[command.name == "vote" ? "votes" : "idx"] ?? []
    let given = Dictionary(uniqueKeysWithValues: zip(order, values)).filter { $0.value != "_" }
    let conf = ConfState(voters: voters, outgoing: outgoing)
    if command.name == "vote" {
      let votes: (NodeID) -> Bool? = { given[$0].map { $0 == "y" } }
      let mirrored = ConfState(voters: outgoing, outgoing: voters)
      let result = Quorum.vote(of: conf, votes)
      if isJoint, !outgoing.isEmpty, !voters.isEmpty { #expect(Quorum.vote(of: mirrored, votes) == result) }
      return [["VotePending", "VoteLost", "VoteWon"][[VoteResult.pending, .lost, .won].firstIndex(of: result)!]]
    }
    let indexes = given.compactMapValues { UInt64($0) }
    let reached = Quorum.reached(by: conf) { indexes[$0] ?? 0 }
    #expect(reached == min(Quorum.reached(by: outgoing) { indexes[$0] ?? 0 }, Quorum.reached(by: voters) { indexes[$0] ?? 0 }))
    let text = reached == .max ? "∞" : String(reached)
    if order.isEmpty { return ["<empty majority quorum>" + text] }
    return picture(order.sorted(), indexes) + [text]
  }

  /// The bars the vectors draw beside each index.
  private static func picture(_ ids: [NodeID], _ indexes: [NodeID: UInt64]) -> [String] {
    let sorted = ids.sorted { (indexes[$0] ?? 0, $0) < (indexes[$1] ?? 0, $1) }
    var bars: [NodeID: Int] = [:]
    for (place, id) in sorted.enumerated() where place > 0 && (indexes[sorted[place - 1]] ?? 0) < (indexes[id] ?? 0) { bars[id] = place }
    let blank = String(repeating: " ", count: ids.count)
    return [blank + "    idx"]
      + ids.map { id in
        let number = String(indexes[id] ?? 0)
        let padded = String(repeating: " ", count: max(0, 5 - number.count)) + number
        guard indexes[id] != nil else { return "?\(blank) \(padded)    (id=\(id.rawValue))" }
        let bar = bars[id] ?? 0
        return String(repeating: "x", count: bar) + ">" + String(repeating: " ", count: ids.count - bar) + " \(padded)    (id=\(id.rawValue))"
      }
  }

  @Test(arguments: [
    "joint_autoleave", "joint_idempotency", "joint_learners_next", "joint_safety", "simple_idempotency", "simple_promote_demote", "simple_safety",
    "update", "zero",
  ])
  func memberships(_ file: String) throws {
    let script = try RaftVectors.script("confchange/testdata/\(file).txt")
    var members = Members()
    #expect(!script.commands.isEmpty)
    for (round, command) in script.commands.enumerated() {
      var output: [String] = []
      do {
        let steps = try command.input.flatMap { try ScriptText.steps($0) }
        let new: ConfState
        switch command.name {
        case "simple": new = try members.conf.simply(steps)
        case "enter-joint": new = try members.conf.enteringJoint(steps, autoLeave: command["autoleave"] == ["true"])
        default: new = try members.conf.leavingJoint()
        }
        members.adopt(new, next: UInt64(round), inflights: Inflights(maxCount: 10, maxBytes: 0))
        output = [members.conf.description] + ScriptText.progress(members)
      } catch {
        output = ["\(error)"]
      }
      #expect(output == command.expected, "\(file):\(command.line) \(command.name)")
    }
  }
}
