import StrataNodes

/// Who belongs to a group: a set of voters, or two sets that must both agree while a change is under way (Raft §6, joint consensus), and
/// learners, which receive the log and do not count. All lists ascend and hold nobody twice.
public struct ConfState: Hashable, Sendable, CustomStringConvertible {
  /// The voters; in a joint configuration those of the new one.
  public var voters: [NodeID]
  /// In a joint configuration the voters of the old one, otherwise nobody.
  public var outgoing: [NodeID]
  /// Who receives the log without a vote.
  public var learners: [NodeID]
  /// Voters of the old configuration that become learners when the joint one is left.
  public var learnersNext: [NodeID]
  /// Whether the leader leaves the joint configuration by itself.
  public var autoLeave: Bool

  /// A configuration with these members.
  public init(
    voters: [NodeID] = [], outgoing: [NodeID] = [], learners: [NodeID] = [], learnersNext: [NodeID] = [], autoLeave: Bool = false
  ) {
    self.voters = voters.sorted()
    self.outgoing = outgoing.sorted()
    self.learners = learners.sorted()
    self.learnersNext = learnersNext.sorted()
    self.autoLeave = autoLeave
  }

  /// Whether two sets of voters must agree.
  public var isJoint: Bool { !outgoing.isEmpty }

  /// Whether the node counts in an election or a commit.
  public func isVoter(_ id: NodeID) -> Bool { voters.contains(id) || outgoing.contains(id) }

  /// Whether the node receives the log.
  public func contains(_ id: NodeID) -> Bool { isVoter(id) || learners.contains(id) || learnersNext.contains(id) }

  /// Everybody, in ascending order.
  public var members: [NodeID] { Set(voters + outgoing + learners + learnersNext).sorted() }

  /// `voters=(1 2)&&(1) learners=(3) learners_next=(4) autoleave`, parts that are empty left out.
  public var description: String {
    func list(_ ids: [NodeID]) -> String { "(" + ids.map { String($0.rawValue) }.joined(separator: " ") + ")" }
    var text = "voters=" + list(voters)
    if isJoint { text += "&&" + list(outgoing) }
    if !learners.isEmpty { text += " learners=" + list(learners) }
    if !learnersNext.isEmpty { text += " learners_next=" + list(learnersNext) }
    if autoLeave { text += " autoleave" }
    return text
  }

  /// What makes the configuration impossible, if something does: it names a member in two roles that exclude each other, or nobody.
  public var defect: String? {
    for list in [voters, outgoing, learners, learnersNext] where zip(list, list.dropFirst()).contains(where: { $0 >= $1 }) {
      return "a list of members is not ascending: \(self)"
    }
    if members.contains(0) { return "node 0 names nobody" }
    if let id = learners.first(where: isVoter) { return "\(id) is a voter and a learner" }
    if let id = learnersNext.first(where: { !outgoing.contains($0) }) { return "\(id) is to become a learner and is no outgoing voter" }
    if let id = learnersNext.first(where: voters.contains) { return "\(id) is to become a learner and stays a voter" }
    if !isJoint, autoLeave { return "only a joint configuration can be left automatically" }
    return nil
  }
}
