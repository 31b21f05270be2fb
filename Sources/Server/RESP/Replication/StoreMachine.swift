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

  mutating func apply(_ command: [UInt8]) -> [UInt8] { store?.apply(command) ?? [] }

  /// Nothing: that the question is answered says that the store may be read.
  func query(_ question: [UInt8]) -> [UInt8] { [] }

  func snapshot() -> [UInt8]? { store?.snapshot() }

  var failure: String? { store?.failure }

  mutating func restore(_ bytes: [UInt8]) -> Bool { store?.restore(bytes) ?? false }
}
