import StrataBytes
import StrataDisk
import StrataHost
import StrataNodes
import StrataRaft

/// The replicated key space as a state machine of Raft.
struct StoreMachine: RaftStateMachine {
  private let store: ReplicatedStore?

  /// The machine of a member's store.
  init(_ store: ReplicatedStore) { self.store = store }

  /// A machine without a store, which knows nothing and takes nothing over.
  init() { store = nil }

  mutating func begin(_ task: MachineTask) -> MachineOutcome? {
    guard let store else { return .restored(false) }
    return store.begin(task)
  }

  mutating func finished() -> MachineOutcome? { store?.finished() }

  var takesCommands: Bool { store?.takesCommands ?? true }

  /// Not called: ``begin(_:)`` does all of it.
  mutating func apply(_ command: [UInt8]) -> [UInt8] { [] }

  /// Nothing: that the question is answered says that the store may be read.
  func query(_ question: [UInt8]) -> [UInt8] { [] }

  func snapshot() -> [UInt8]? { store?.snapshot() }

  var failure: String? { store?.failure }

  mutating func restore(_ bytes: [UInt8]) -> Bool { store?.restore(bytes) ?? false }
}
