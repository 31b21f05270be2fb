/// The states a model has been seen in, by number, so that the search deals in integers. Used by one thread.
final class StateSpace<M: SequentialModel> {
  private let model: M
  private let history: [History<M.Op, M.Result>.Operation]
  /// Which operation of the history each operation of the part is, and whether its end counts.
  private let members: [LinearizabilityPart.Member]
  private(set) var states: [M.State]
  private var numbers: [M.State: Int32]

  init(_ model: M, _ initial: M.State, _ members: [LinearizabilityPart.Member], of history: [History<M.Op, M.Result>.Operation]) {
    self.model = model
    self.history = history
    self.members = members
    states = [initial]
    numbers = [initial: 0]
  }

  /// The number of the state `operation` leads to, -1 where it is impossible.
  func step(_ state: Int32, _ operation: Int) -> Int32 {
    let member = members[operation]
    let asked = history[Int(member.operation)]
    guard let after = model.step(states[Int(state)], asked.op, member.isOpen ? nil : asked.result) else { return -1 }
    if let number = numbers[after] { return number }
    let number = Int32(states.count)
    states.append(after)
    numbers[after] = number
    return number
  }
}

/// The operations of a history that only see each other.
struct LinearizabilityPart {
  struct Member {
    /// Its number in the history.
    let operation: Int32
    /// Whether its end is not known, or not yet.
    let isOpen: Bool
  }

  /// In the order of their invocations.
  var members: [Member] = []
}
