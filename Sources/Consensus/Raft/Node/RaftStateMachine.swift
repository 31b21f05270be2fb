/// What a group agrees to run: a deterministic machine that every member feeds with the same commands in the same order.
///
/// One thread at a time uses it. Its memory is its own business; the node keeps it by snapshots.
public protocol RaftStateMachine: Sendable {
  /// A machine to which nothing has happened.
  init()

  /// Carries out a command and answers it. The answer and the new state may depend on the command and the old state only: no clock, no
  /// randomness, no order of a set. A command it does not know changes nothing.
  mutating func apply(_ command: [UInt8]) -> [UInt8]

  /// Answers a question without changing anything.
  func query(_ question: [UInt8]) -> [UInt8]

  /// The whole state, or the name under which the machine keeps it; nothing where that cannot be had now, and the log then stays as long as it is.
  /// A machine that keeps states elsewhere keeps at least those of the last two snapshots it gave.
  func snapshot() -> [UInt8]?

  /// Replaces the state by one that ``snapshot()`` gave. Says whether it could be read; the state is unchanged where not.
  mutating func restore(_ bytes: [UInt8]) -> Bool

  /// Why the machine's state is not what the commands have made of it, if it is not: a disk may have failed. The member then stops.
  var failure: String? { get }
}

extension RaftStateMachine {
  /// Nothing: what lives in memory alone does not fail.
  public var failure: String? { nil }
}
