import StrataRaft

/// How a ``WorkingMachine`` goes about its work: as it has to, or broken on purpose.
protocol WorkingHabit: Sendable {
  /// Whether a command is answered at once, and takes effect when the next thing is asked.
  static var answersEarly: Bool { get }
}

enum Faithful: WorkingHabit {
  static var answersEarly: Bool { false }
}

enum AnswersEarly: WorkingHabit {
  static var answersEarly: Bool { true }
}

/// The registers of ``KeyValueMachine`` kept by a machine that works beside its member, as one that waits for a disk does: most of what it is
/// asked ends some of the member's turns later, and a crash in between finds it half way.
///
/// A command takes effect at its end. A state is that at the beginning of its making; commands wait for the first half of that. Asked for something
/// while it may not be, the machine fails, and the member stops.
struct WorkingMachine<Habit: WorkingHabit>: RaftStateMachine {
  private struct Work {
    var task: MachineTask
    var turns: Int
  }

  private struct Saving {
    var state: [UInt8]?
    var turns: Int
    /// Commands wait while more turns are left than these.
    var freeAt: Int
  }

  /// How many turns of the member things take, by how many were begun before.
  private static var paces: [Int] { [0, 2, 1, 4, 0, 8, 1, 3, 0, 1, 20, 2, 5] }

  private var registers = KeyValueMachine()
  private var work: Work?
  private var saving: Saving?
  private var begun = 0
  /// What was answered and has no effect yet.
  private var owed: [UInt8]?
  private(set) var failure: String?

  init() {}

  mutating func begin(_ task: MachineTask) -> MachineOutcome? {
    if work != nil { failure = "a machine was asked for something while it was at work" }
    if let owed { _ = registers.apply(owed) }
    owed = nil
    begun += 1
    let turns = Self.paces[begun % Self.paces.count]
    switch task {
    case .save:
      if saving != nil { failure = "a machine was asked for its state while it was making it" }
      guard turns > 0 else { return .saved(registers.snapshot()) }
      saving = Saving(state: registers.snapshot(), turns: turns, freeAt: turns / 2)
    case .apply(let command):
      if !takesCommands { failure = "a machine was given a command it did not take" }
      if Habit.answersEarly {
        owed = command
        var after = registers
        return .applied(after.apply(command))
      }
      guard turns > 0 else { return .applied(registers.apply(command)) }
      work = Work(task: task, turns: turns)
    case .restore(let bytes):
      if saving != nil { failure = "a machine was to take a state over while it was making one" }
      guard turns > 0 else { return .restored(registers.restore(bytes)) }
      work = Work(task: task, turns: turns)
    }
    return nil
  }

  /// Called once or more in each turn of the member: that is how time passes here.
  mutating func finished() -> MachineOutcome? {
    if let left = work?.turns, left > 0 { work?.turns = left - 1 }
    if let left = saving?.turns, left > 0 { saving?.turns = left - 1 }
    if let done = work, done.turns == 0 {
      work = nil
      switch done.task {
      case .apply(let command): return .applied(registers.apply(command))
      case .restore(let bytes): return .restored(registers.restore(bytes))
      case .save: return nil
      }
    }
    if let done = saving, done.turns == 0 {
      saving = nil
      return .saved(done.state)
    }
    return nil
  }

  var takesCommands: Bool { saving.map { $0.turns <= $0.freeAt } ?? true }

  mutating func apply(_ command: [UInt8]) -> [UInt8] { registers.apply(command) }

  func query(_ question: [UInt8]) -> [UInt8] { registers.query(question) }

  func snapshot() -> [UInt8]? { registers.snapshot() }

  mutating func restore(_ bytes: [UInt8]) -> Bool { registers.restore(bytes) }
}
