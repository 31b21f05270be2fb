/// What a system would do if clients came one after the other: the specification a history is held up to.
///
/// All functions are pure and may be called from several threads. `step` decides what is right, never how long a check may take.
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

  /// Whether `op` with this result never changes the state, whatever it is. The search takes such operations as soon as they are possible, and
  /// a witness does without those it does not need. Saying no of one that does not costs time only.
  func observes(_ op: Op, _ result: Result?) -> Bool

  /// What `op` does to a register that holds one value, if the part is one; nothing otherwise. Where every operation of a part has an answer
  /// and no value is written twice, the part is judged in O(n log n) instead of searched.
  func registerAccess(_ op: Op, _ result: Result?) -> RegisterAccess?

  /// A name that `op` shares with those operations without which a right history stays right: the value a write wrote and reads saw, the
  /// element that was added and removed. A witness leaves out whole groups. Nothing where there is no such name.
  func group(of op: Op, _ result: Result?) -> AnyHashable?
}

extension SequentialModel {
  /// No register.
  public func registerAccess(_ op: Op, _ result: Result?) -> RegisterAccess? { nil }
  /// No groups.
  public func group(of op: Op, _ result: Result?) -> AnyHashable? { nil }
}

/// An operation on a register as a whole.
public enum RegisterAccess: Hashable, Sendable {
  /// Gives it a value.
  case write(Int)
  /// Sees its value; nothing before the first write.
  case read(Int?)
}
