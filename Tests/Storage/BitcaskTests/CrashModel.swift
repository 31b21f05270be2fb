import StrataDisk
import StrataNodes
import StrataSimulation
import SystemPackage

@testable import StrataBitcask

/// What a workload notes: every change before it is made, every acknowledgement, and what a recovery settled on.
enum StoreNote: Hashable, Sendable {
  case began([Mutation])
  case acknowledged(last: SequenceNumber)
  /// This many segments, or more, have a durable hint.
  case hinted(Int)
  /// Recovery kept this many of the changes so far.
  case recovered(kept: Int)
}

typealias StoreLedger = Ledger<StoreNote>

/// Drives a store and notes what it does.
struct NotingStore {
  let store: Bitcask
  let ledger: StoreLedger

  func write(_ batch: [Mutation]) throws {
    ledger.note(.began(batch))
    try store.write(batch)
    ledger.note(.acknowledged(last: store.lastSequence))
  }

  func put(_ key: [UInt8], _ value: [UInt8]) throws { try write([.put(key, value)]) }
  func delete(_ key: [UInt8]) throws { try write([.delete(key)]) }
}

/// What the notes allow the store to hold.
struct CrashModel {
  private var changes: [[Mutation]] = []
  private var acknowledged = 0
  private var lastSequence: SequenceNumber = 0
  private var hinted = 0

  init(_ notes: [StoreNote]) {
    for note in notes {
      switch note {
      case .began(let batch): changes.append(batch)
      case .acknowledged(let last): (acknowledged, lastSequence) = (changes.count, max(lastSequence, last))
      case .hinted(let count): hinted = count
      case .recovered(let kept):
        changes.removeLast(changes.count - kept)
        acknowledged = kept
      }
    }
  }

  private func state(_ count: Int) -> [[UInt8]: [UInt8]] {
    var state: [[UInt8]: [UInt8]] = [:]
    for batch in changes[..<count] { for change in batch { state[change.key] = change.value } }
    return state
  }

  /// How many of the changes the store holds; throws where it is fewer than were acknowledged, or no prefix of them.
  func check(_ store: Bitcask) throws -> Int {
    let found = try contents(store)
    guard store.lastSequence >= lastSequence else { throw Unexpected("sequences go back from \(lastSequence) to \(store.lastSequence)") }
    guard store.count == found.count else { throw Unexpected("counts \(store.count) keys and shows \(found.count)") }
    let damage = try store.verify()
    guard damage.isEmpty, store.recovery.damage.isEmpty else { throw Unexpected("damage: \(damage) \(store.recovery.damage)") }
    guard store.recovery.hintsLoaded >= hinted else {
      throw Unexpected("\(store.recovery.hintsLoaded) hints were of use, \(hinted) had been written")
    }
    for kept in (acknowledged...changes.count).reversed() where state(kept) == found { return kept }
    let wanted = state(acknowledged)
    let missing = wanted.filter { found[$0.key] != $0.value }.map { String(decoding: $0.key, as: UTF8.self) }.sorted()
    let back = found.filter { wanted[$0.key] != $0.value }.map { String(decoding: $0.key, as: UTF8.self) }.sorted()
    throw Unexpected(
      "no prefix of \(acknowledged)...\(changes.count) changes: \(found.count) keys; not as acknowledged: \(missing); not acknowledged: \(back)")
  }
}

/// Opens the store after a crash, checks it, writes on, and checks the next start too.
func recoverAndCheck(_ options: BitcaskOptions) -> (any FileSystem, StoreLedger) throws -> Void {
  { disk, ledger in
    do {
      let store = try Bitcask.open(home, options: options, on: disk)
      ledger.note(.recovered(kept: try CrashModel(ledger.entries).check(store)))
      let noting = NotingStore(store: store, ledger: ledger)
      try noting.put(bytes("after"), bytes("the crash \(ledger.entries.count)"))
      try noting.delete(key(1))
    }
    let store = try Bitcask.open(home, options: options, on: disk)
    _ = try CrashModel(ledger.entries).check(store)
  }
}
