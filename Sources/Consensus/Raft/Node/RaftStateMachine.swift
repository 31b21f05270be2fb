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

  /// Does what is asked. A machine for which that may take long does it on a thread of its own, returns nothing, and says by ``finished()`` what has
  /// come of it; whoever runs the member then gives it a turn. The member hears its peers meanwhile. A machine that answers at once needs no such
  /// function: this calls those above.
  ///
  /// While a command or a state to take over is on its way nothing else is asked, no question either. While a state is made, commands are given as
  /// soon as ``takesCommands`` says so: the state is that before the first of them.
  mutating func begin(_ task: MachineTask) -> MachineOutcome?

  /// What has come of something that was begun and did not end at once, each once; nothing while all of it is on its way. Waits for nothing.
  mutating func finished() -> MachineOutcome?

  /// Whether a command may be given although a state is being made. Waits for nothing.
  var takesCommands: Bool { get }

  /// Why the machine's state is not what the commands have made of it, if it is not: a disk may have failed. The member then stops.
  var failure: String? { get }
}

/// What a machine is asked to do; see ``RaftStateMachine/begin(_:)``.
public enum MachineTask: Hashable, Sendable {
  /// To carry out a command.
  case apply([UInt8])
  /// To make its state.
  case save
  /// To take a state over.
  case restore([UInt8])
}

/// What came of it.
public enum MachineOutcome: Hashable, Sendable {
  /// The answer to a command.
  case applied([UInt8])
  /// The state, as ``RaftStateMachine/snapshot()`` would give it.
  case saved([UInt8]?)
  /// Whether a state was taken over.
  case restored(Bool)
}

extension RaftStateMachine {
  /// Does it now, on this thread.
  public mutating func begin(_ task: MachineTask) -> MachineOutcome? {
    switch task {
    case .apply(let command): .applied(apply(command))
    case .save: .saved(snapshot())
    case .restore(let bytes): .restored(restore(bytes))
    }
  }

  /// Nothing: all was done when it was asked.
  public mutating func finished() -> MachineOutcome? { nil }

  /// Always: a state is there at once.
  public var takesCommands: Bool { true }

  /// Nothing: what lives in memory alone does not fail.
  public var failure: String? { nil }
}
