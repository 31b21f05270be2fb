/// What a system would do if clients came one after the other.
public protocol SequentialModel: Sendable {
  /// What clients ask.
  associatedtype Op: Sendable
  /// What they hear.
  associatedtype Result: Sendable
  /// What the system remembers.
  associatedtype State: Hashable & Sendable
  /// What operations must share for one to see another. Parts with different keys are judged one by one, which is sound by Herlihy and Wing's
  /// theorem that linearizability is local.
  associatedtype Key: Hashable & Sendable

  /// Which part an operation belongs to.
  func key(of op: Op) -> Key

  /// The state of a part before anything happened.
  func initial(_ key: Key) -> State

  /// The state after `op`, or nothing if `op` cannot give `result` in `state`. Where the result is not known the operation is always possible.
  func step(_ state: State, _ op: Op, _ result: Result?) -> State?

  /// Whether `op` never changes the state. What only observes can be left out of a witness.
  func observes(_ op: Op) -> Bool
}

/// One register per key, in which every operation is atomic.
public struct RegisterModel: SequentialModel {
  /// What clients ask.
  public enum Op: Hashable, Sendable {
    /// Asks what the register holds.
    case read(key: Int)
    /// Puts a value into the register.
    case write(key: Int, Int)
    /// Writes the second value if the register holds the first.
    case compareAndSet(key: Int, expected: Int?, new: Int)
  }

  /// What they hear.
  public enum Result: Hashable, Sendable {
    /// What the register held; nothing if it was never written.
    case value(Int?)
    /// The value is in the register.
    case written
    /// Whether the register held what was expected.
    case compared(Bool)
  }

  /// Registers that hold nothing at first.
  public init() {}

  /// The register.
  public func key(of op: Op) -> Int {
    switch op {
    case .read(let key), .write(let key, _), .compareAndSet(let key, _, _): key
    }
  }

  /// Nothing.
  public func initial(_ key: Int) -> Int? { nil }

  /// What an atomic register does.
  public func step(_ state: Int?, _ op: Op, _ result: Result?) -> Int?? {
    switch (op, result) {
    case (.read, .value(let seen)?): seen == state ? .some(state) : .none
    case (.read, nil): .some(state)
    case (.write(_, let value), .written?), (.write(_, let value), nil): .some(value)
    case (.compareAndSet(_, let expected, let new), .compared(let held)?):
      held == (expected == state) ? .some(held ? new : state) : .none
    case (.compareAndSet(_, let expected, let new), nil): .some(expected == state ? new : state)
    default: .none
    }
  }

  /// Reads observe.
  public func observes(_ op: Op) -> Bool {
    if case .read = op { return true }
    return false
  }
}
