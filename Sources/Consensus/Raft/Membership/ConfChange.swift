import StrataBytes
import StrataNodes

/// A change of the members, proposed as one entry and active when it is applied.
public struct ConfChange: Hashable, Sendable {
  /// One step.
  public enum Step: Hashable, Sendable {
    /// The node becomes a voter.
    case addVoter(NodeID)
    /// The node becomes a learner, or stops voting and goes on as one.
    case addLearner(NodeID)
    /// The node leaves.
    case remove(NodeID)
    /// Nothing changes for the group; the entry carries news about the node for the application.
    case update(NodeID)

    /// Whom it is about.
    public var node: NodeID {
      switch self {
      case .addVoter(let id), .addLearner(let id), .remove(let id), .update(let id): id
      }
    }
  }

  /// How to get from the old members to the new.
  public enum Transition: UInt8, Hashable, Sendable {
    /// In one step if at most one voter changes, otherwise jointly and left automatically.
    case auto = 0
    /// Jointly, left automatically once the joint configuration is committed.
    case implicit = 1
    /// Jointly, left by an empty change that somebody proposes.
    case explicit = 2
  }

  /// How to get there.
  public var transition: Transition
  /// What changes, in order. No steps at all leave a joint configuration.
  public var steps: [Step]
  /// Bytes for the application.
  public var context: [UInt8]

  /// A change.
  public init(_ steps: [Step] = [], transition: Transition = .auto, context: [UInt8] = []) {
    self.steps = steps
    self.transition = transition
    self.context = context
  }

  /// Whether it leaves a joint configuration.
  public var leavesJoint: Bool { steps.isEmpty && transition == .auto }

  /// Whether it enters a joint configuration, and whether that one is left automatically.
  public var entersJoint: (autoLeave: Bool, Void)? {
    switch transition {
    case .implicit: (true, ())
    case .explicit: (false, ())
    case .auto: steps.count > 1 ? (true, ()) : nil
    }
  }

  /// At most this many steps are read back from an entry.
  static let maxSteps = 1024

  /// The payload of an entry: `version u8 | transition u8 | count u16 | (kind u8, node u64)* | context`. Leaving a joint configuration with
  /// no context takes no bytes at all.
  public var encoded: [UInt8] {
    if leavesJoint, context.isEmpty { return [] }
    var bytes: [UInt8] = [1, transition.rawValue, UInt8(truncatingIfNeeded: steps.count), UInt8(truncatingIfNeeded: steps.count >> 8)]
    for step in steps {
      switch step {
      case .addVoter: bytes.append(0)
      case .remove: bytes.append(1)
      case .update: bytes.append(2)
      case .addLearner: bytes.append(3)
      }
      withUnsafeBytes(of: step.node.rawValue.littleEndian) { bytes.append(contentsOf: $0) }
    }
    return bytes + context
  }

  /// Reads an entry's payload; nothing if it is no change this version knows.
  public init?(decoding bytes: [UInt8]) {
    guard !bytes.isEmpty else {
      self.init()
      return
    }
    guard bytes.count >= 4, bytes[0] == 1, let transition = Transition(rawValue: bytes[1]) else { return nil }
    let count = Int(bytes[2]) | Int(bytes[3]) << 8
    guard count <= Self.maxSteps, bytes.count >= 4 + 9 * count else { return nil }
    var steps: [Step] = []
    for place in 0..<count {
      let start = 4 + 9 * place
      let id = NodeID(bytes[(start + 1)..<(start + 9)].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
      switch bytes[start] {
      case 0: steps.append(.addVoter(id))
      case 1: steps.append(.remove(id))
      case 2: steps.append(.update(id))
      case 3: steps.append(.addLearner(id))
      default: return nil
      }
    }
    self.init(steps, transition: transition, context: Array(bytes[(4 + 9 * count)...]))
  }
}

/// Why a change of the members is not possible.
public struct ConfChangeError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What is wrong.
  public let description: String

  init(_ description: String) { self.description = description }
}

extension ConfState {
  /// The configuration after a change, as it is applied.
  ///
  /// - Throws: ``ConfChangeError`` if the change is not possible from here; the configuration then stays.
  public func applying(_ change: ConfChange) throws(ConfChangeError) -> ConfState {
    if change.leavesJoint { return try leavingJoint() }
    if let joint = change.entersJoint { return try enteringJoint(change.steps, autoLeave: joint.autoLeave) }
    return try simply(change.steps)
  }

  /// The configuration after a change of at most one voter.
  func simply(_ steps: [ConfChange.Step]) throws(ConfChangeError) -> ConfState {
    if isJoint { throw ConfChangeError("can't apply simple config change in joint config") }
    let new = try carriedOut(steps)
    if Set(voters).symmetricDifference(new.voters).count > 1 {
      throw ConfChangeError("more than one voter changed without entering joint config")
    }
    return new
  }

  func enteringJoint(_ steps: [ConfChange.Step], autoLeave: Bool) throws(ConfChangeError) -> ConfState {
    if isJoint { throw ConfChangeError("config is already joint") }
    // Adding the first voter of all is a simple change; no joint configuration has an empty half.
    if voters.isEmpty { throw ConfChangeError("can't make a zero-voter config joint") }
    var new = self
    new.outgoing = voters
    new = try new.carriedOut(steps)
    new.autoLeave = autoLeave
    return new
  }

  func leavingJoint() throws(ConfChangeError) -> ConfState {
    guard isJoint else { throw ConfChangeError("can't leave a non-joint config") }
    return ConfState(voters: voters, learners: Set(learners + learnersNext).sorted())
  }

  private func carriedOut(_ steps: [ConfChange.Step]) throws(ConfChangeError) -> ConfState {
    var new = self
    for step in steps where step.node != 0 {
      let id = step.node
      switch step {
      case .addVoter:
        new.drop(id)
        new.voters.insertSorted(id)
      case .addLearner:
        if new.learners.contains(id) || new.learnersNext.contains(id) { continue }
        new.drop(id)
        // A voter of the outgoing half cannot be a learner before that half is gone.
        if new.outgoing.contains(id) { new.learnersNext.insertSorted(id) } else { new.learners.insertSorted(id) }
      case .remove: new.drop(id)
      case .update: break
      }
    }
    if new.voters.isEmpty { throw ConfChangeError("removed all voters") }
    return new
  }

  private mutating func drop(_ id: NodeID) {
    voters.removeAll { $0 == id }
    learners.removeAll { $0 == id }
    learnersNext.removeAll { $0 == id }
  }
}

extension [NodeID] {
  fileprivate mutating func insertSorted(_ id: NodeID) {
    let place = firstIndex { $0 >= id } ?? endIndex
    if place == endIndex || self[place] != id { insert(id, at: place) }
  }
}
