import StrataNodes

/// How an election stands.
enum VoteResult: Hashable {
  case pending, lost, won
}

/// The arithmetic of majorities.
enum Quorum {
  /// The greatest value a strict majority of `voters` has reached. An empty set agrees to everything, so that a configuration that is not joint
  /// is a joint one with an empty half. O(voters) for the few voters a group has, without memory of its own.
  static func reached(by voters: [NodeID], _ value: (NodeID) -> UInt64) -> UInt64 {
    let count = voters.count
    guard count > 0 else { return .max }
    return withUnsafeTemporaryAllocation(of: UInt64.self, capacity: count) { sorted in
      for place in 0..<count {
        let new = value(voters[place])
        var hole = place
        while hole > 0, sorted[hole - 1] < new {
          sorted.initializeElement(at: hole, to: sorted[hole - 1])
          hole -= 1
        }
        sorted.initializeElement(at: hole, to: new)
      }
      // Descending: the element at count/2 is reached by count/2 + 1 voters.
      return sorted[count / 2]
    }
  }

  /// The greatest value both majorities of a configuration have reached.
  static func reached(by conf: ConfState, _ value: (NodeID) -> UInt64) -> UInt64 {
    let incoming = reached(by: conf.voters, value)
    return conf.outgoing.isEmpty ? incoming : min(incoming, reached(by: conf.outgoing, value))
  }

  /// How an election among `voters` stands; an empty set is won.
  static func vote(of voters: [NodeID], _ vote: (NodeID) -> Bool?) -> VoteResult {
    guard !voters.isEmpty else { return .won }
    var yes = 0
    var no = 0
    for voter in voters {
      switch vote(voter) {
      case true?: yes += 1
      case false?: no += 1
      case nil: break
      }
    }
    let majority = voters.count / 2 + 1
    if yes >= majority { return .won }
    return voters.count - no >= majority ? .pending : .lost
  }

  /// How an election stands under a configuration: lost as soon as one half is, won when both are.
  static func vote(of conf: ConfState, _ value: (NodeID) -> Bool?) -> VoteResult {
    let incoming = vote(of: conf.voters, value)
    guard conf.isJoint else { return incoming }
    let outgoing = vote(of: conf.outgoing, value)
    if incoming == outgoing { return incoming }
    return incoming == .lost || outgoing == .lost ? .lost : .pending
  }
}
