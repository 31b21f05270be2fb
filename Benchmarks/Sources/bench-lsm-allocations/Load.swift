import CAllocations
import StrataLSMTree

/// What was asked for between two moments.
struct Meter {
  private var begun = (allocations: 0 as UInt, references: 0 as UInt)
  private(set) var operations = 0
  private(set) var allocations = 0.0
  private(set) var references = 0.0

  mutating func begin() { begun = (strata_allocations(), strata_references()) }

  mutating func end(operations: Int) {
    let now = (allocations: strata_allocations(), references: strata_references())
    self.operations = operations
    allocations = Double(now.allocations - begun.allocations) / Double(operations)
    references = Double(now.references - begun.references) / Double(operations)
  }
}

/// A way of reading, and what it may ask for.
struct Load {
  /// What an operation may ask for once it is warm.
  enum Limit {
    /// Nothing: no block of memory, no retain, no release.
    case none
    /// No more blocks of memory than this: for what begins a read rather than goes on with one.
    case start(allocations: Double)
    /// Something, which the counters must show.
    case some
  }

  /// Of each load, and before as many that warm it.
  static let operations = 100_000

  var name: String
  var limit: Limit
  /// Does the operations twice and measures the second time.
  var run: (Stores, inout Meter) throws -> Void

  static var all: [Load] {
    [
      Load(name: "get, value in a memtable", limit: .none) { try gets($0.memory, .present, &$1) },
      Load(name: "get, value in a table", limit: .none) { try gets($0.bottom, .present, &$1) },
      Load(name: "get, values in memtable, level 0 and below", limit: .none) { try gets($0.mixed, .present, &$1) },
      Load(name: "get, key absent", limit: .none) { try gets($0.mixed, .absent, &$1) },
      Load(name: "get, in a keyspace, at a snapshot", limit: .none) { try snapshotGets($0, &$1) },
      Load(name: "read, only if cached", limit: .none) { try cachedReads($0.mixed, &$1) },
      Load(name: "next, memtable", limit: .none) { try steps($0.memory, isForward: true, &$1) },
      Load(name: "next, one table", limit: .none) { try steps($0.bottom, isForward: true, &$1) },
      Load(name: "next, memtable, level 0 and below", limit: .none) { try steps($0.mixed, isForward: true, &$1) },
      Load(name: "previous, memtable", limit: .none) { try steps($0.memory, isForward: false, &$1) },
      Load(name: "previous, one table", limit: .none) { try steps($0.bottom, isForward: false, &$1) },
      Load(name: "previous, memtable, level 0 and below", limit: .none) { try steps($0.mixed, isForward: false, &$1) },
      Load(name: "seek of an open iterator", limit: .start(allocations: 0)) { try seeks($0.mixed, &$1) },
      Load(name: "iterator made, one seek", limit: .start(allocations: 64)) { try newIterators($0.mixed, &$1) },
      Load(name: "get as an array, which shows that the counters count", limit: .some) { try copies($0.mixed, &$1) },
    ]
  }
}

enum Presence { case present, absent }

private func gets(_ store: LSMTree, _ presence: Presence, _ meter: inout Meter) throws {
  var key = Key()
  var bytes = 0
  for pass in 0...1 {
    if pass == 1 { meter.begin() }
    for number in 0..<Load.operations {
      key.set((number &* 7919) % Stores.keys, presence)
      bytes += try store.withValue(of: key.bytes) { $0.byteCount } ?? 0
    }
  }
  meter.end(operations: Load.operations)
  guard (bytes > 0) == (presence == .present) else { throw Unusable(what: "\(bytes) bytes were read") }
}

private func snapshotGets(_ stores: Stores, _ meter: inout Meter) throws {
  let (store, keyspace, snapshot) = (stores.mixed, stores.keyspace, stores.snapshot)
  var key = Key()
  var bytes = 0
  for pass in 0...1 {
    if pass == 1 { meter.begin() }
    for number in 0..<Load.operations {
      key.set((number &* 7919) % Stores.keys, .present)
      bytes += try store.withValue(of: key.bytes, in: keyspace, at: snapshot) { $0.byteCount } ?? 0
    }
  }
  meter.end(operations: Load.operations)
  guard bytes > 0 else { throw Unusable(what: "nothing was read") }
}

private func cachedReads(_ store: LSMTree, _ meter: inout Meter) throws {
  var key = Key()
  var bytes = 0
  for pass in 0...1 {
    if pass == 1 { meter.begin() }
    for number in 0..<Load.operations {
      key.set((number &* 7919) % Stores.keys, .present)
      _ = try store.read(key.bytes, onlyIfCached: true) { bytes += $0.byteCount }
    }
  }
  meter.end(operations: Load.operations)
  guard bytes > 0 else { throw Unusable(what: "nothing was read") }
}

private func copies(_ store: LSMTree, _ meter: inout Meter) throws {
  var key = Key()
  var bytes = 0
  for pass in 0...1 {
    if pass == 1 { meter.begin() }
    for number in 0..<Load.operations {
      key.set((number &* 7919) % Stores.keys, .present)
      bytes += try store.get(key.bytes)?.count ?? 0
    }
  }
  meter.end(operations: Load.operations)
  guard bytes > 0 else { throw Unusable(what: "nothing was read") }
}

/// Steps from end to end of the store, which holds as many keys as there are steps.
private func steps(_ store: LSMTree, isForward: Bool, _ meter: inout Meter) throws {
  var iterator = try store.iterator()
  var bytes = 0
  var done = 0
  for pass in 0...1 {
    if isForward { try iterator.first() } else { try iterator.last() }
    if pass == 1 { meter.begin() }
    done = 0
    while iterator.isValid {
      bytes += iterator.key.byteCount + iterator.value.byteCount
      if isForward { try iterator.next() } else { try iterator.previous() }
      done += 1
    }
  }
  meter.end(operations: done)
  guard bytes > 0, done == Load.operations else { throw Unusable(what: "\(done) keys were passed") }
}

private func seeks(_ store: LSMTree, _ meter: inout Meter) throws {
  var key = Key()
  var iterator = try store.iterator()
  var bytes = 0
  for pass in 0...1 {
    if pass == 1 { meter.begin() }
    for number in 0..<Load.operations {
      key.set((number &* 7919) % Stores.keys, .present)
      try iterator.seek(key.bytes)
      bytes += iterator.key.byteCount + iterator.value.byteCount
    }
  }
  meter.end(operations: Load.operations)
  guard bytes > 0 else { throw Unusable(what: "nothing was read") }
}

private func newIterators(_ store: LSMTree, _ meter: inout Meter) throws {
  var key = Key()
  var bytes = 0
  for pass in 0...1 {
    if pass == 1 { meter.begin() }
    for number in 0..<1000 {
      key.set((number &* 7919) % Stores.keys, .present)
      var iterator = try store.iterator()
      try iterator.seek(key.bytes)
      bytes += iterator.value.byteCount
    }
  }
  meter.end(operations: 1000)
  guard bytes > 0 else { throw Unusable(what: "nothing was read") }
}
