/// What the server asks of a storage engine. Engines keep one flat map from byte strings to values with an expiry; the server makes
/// databases, commands and replies out of it.
///
/// What is called a value's expiry here are 64 bits that the server makes; an engine keeps them and counts keys by them, and otherwise they are the
/// server's: Unix milliseconds with 0 for none, or with the highest bit set a type as well (Docs/Formats/ServerRecords.md).
///
/// Every operation is identified by a sequence. `submit`-like calls make a change visible at once and durable later;
/// ``whenAcknowledged(_:_:)`` tells when everything up to a sequence holds under the configured durability. The server never shows a
/// client a value, or the absence of one, before the sequence that made it so is acknowledged: what could still be lost in a crash is
/// not shown.
///
/// All members may be called from any thread. Calls that may wait for the disk say so; the others are made on event loops.
public protocol KeyValueEngine: Sendable {
  /// The name by which `--engine` selects it.
  var name: String { get }

  /// Reads one key and passes what is stored to `body` (value, expiry in Unix milliseconds or 0) if there is anything.
  ///
  /// With `onlyIfCached` the call never waits for the disk and answers ``ReadOutcome/notCached`` where it would have to; otherwise it may
  /// wait. Expiry is the caller's to judge: an engine may return an expired record or call it absent.
  func read(_ key: RawSpan, onlyIfCached: Bool, _ body: (RawSpan, UInt64) -> Void) throws(EngineError) -> ReadOutcome

  /// Like ``read(_:onlyIfCached:_:)`` without the value, so that an engine whose index knows the answer need not touch the record.
  func peek(_ key: RawSpan, onlyIfCached: Bool) throws(EngineError) -> ReadOutcome

  /// Stores a value. Ordered and visible on return, durable later; never waits for the disk. Writers are serialized by the server: no two of
  /// these calls overlap.
  /// - Parameter wantsPrevious: whether `previous` in the answer should say what the key held before, expired or not, where memory tells;
  ///   it may be ``Previous/unknown`` all the same.
  func put(_ key: RawSpan, _ value: RawSpan, expiry: UInt64, wantsPrevious: Bool) throws(EngineError) -> WriteOutcome

  /// Removes a key. Removing a key known to be absent writes nothing and answers the sequence that made it absent.
  func delete(_ key: RawSpan) throws(EngineError) -> WriteOutcome

  /// Applies several changes, all or none, as ``put(_:_:expiry:wantsPrevious:)`` and ``delete(_:)`` would one after the other; `previous` comes back
  /// per mutation.
  func submit(_ mutations: [Mutation], wantsPrevious: Bool) throws(EngineError) -> BatchOutcome

  /// Removes every key whose first byte is in `prefixes` by one write, whatever their number; `nil` from an engine that can only remove keys one by
  /// one. Never waits for the disk.
  func removeAll(_ prefixes: ClosedRange<UInt8>) throws(EngineError) -> UInt64?

  /// Removes every key that starts with these bytes by one write, whatever their number; `nil` from an engine that can only remove keys one by one.
  /// What a structure of many records leaves behind is removed so. Never waits for the disk.
  func removeAll(startingWith prefix: RawSpan) throws(EngineError) -> UInt64?

  /// False while more writes would exceed the engine's bound on bytes not yet written, or need something prepared on disk first. Writers
  /// then wait for ``whenRoom(forBytes:_:)``; a write that is made all the same may throw `.noRoom`.
  var hasRoom: Bool { get }

  /// Calls back once (any thread, possibly before returning) when a write of `bytes` will be taken, or with the error that keeps it from being.
  func whenRoom(forBytes bytes: Int, _ callback: @escaping @Sendable (EngineError?) -> Void)

  /// The highest sequence acknowledged under the configured durability. One atomic load.
  var acknowledgedSequence: UInt64 { get }

  /// Calls back once (any thread, possibly before returning) when `sequence` is acknowledged, or with the error because of which it never
  /// will be. The callback must be cheap.
  func whenAcknowledged(_ sequence: UInt64, _ callback: @escaping @Sendable (EngineError?) -> Void)

  /// Whether keys come in the order of their bytes in scans; else in that of a hash.
  var isOrdered: Bool { get }

  /// Whether ``scan(from:prefix:count:)`` and ``randomKey(prefix:)`` answer from memory. Where not, they may wait for the disk.
  var listsFromMemory: Bool { get }

  /// Up to about `count` keys from a position on, in the engine's order; those with another first byte than `prefix` may be left out. Every key
  /// present during the whole of a scan is returned exactly once.
  func scan(from position: ScanPosition, prefix: UInt8?, count: Int) throws(EngineError) -> ScanPage

  /// Some key, every present one with this first byte possible, others too; `nil` where there is none.
  func randomKey(prefix: UInt8?) throws(EngineError) -> [UInt8]?

  /// A count of the keys with this first byte as of this call, expired ones that are not yet removed included; made later, when it is run. The call
  /// itself waits for nothing.
  func census(prefix: UInt8?) throws(EngineError) -> any KeyCensus

  /// Named figures for `INFO` and metrics, true at the time of the call.
  var statistics: [(name: String, value: String)] { get }

  /// Starts reclaiming space in the background; answers false when a merge is running already. `completion` is called when it ends.
  func startMerge(_ completion: @escaping @Sendable (EngineError?) -> Void) -> Bool

  /// Makes everything submitted durable, whatever the durability mode. Waits for the disk.
  func sync() throws(EngineError)

  /// Syncs and closes. Waits for the disk. Later calls fail with `.closed`.
  func close() throws(EngineError)
}

/// What a read found.
public enum ReadOutcome: Sendable, Hashable {
  /// A record; `expiry` in Unix milliseconds, 0 for none; `sequence` is the write that stored it.
  case found(expiry: UInt64, sequence: UInt64)
  /// Nothing; `asOf` is the latest write that may have made it so.
  case absent(asOf: UInt64)
  /// The answer is not in memory; ask again with `onlyIfCached: false` on a thread that may wait.
  case notCached
}

/// What a key held before a write.
public enum Previous: Sendable, Hashable {
  /// Memory does not tell, or nobody asked.
  case unknown
  /// No record.
  case absent
  /// A record, expired or not; `expires` tells whether it had an expiry.
  case present(expires: Bool)
}

/// The place of one write in the engine's order.
public struct WriteOutcome: Sendable, Hashable {
  /// The write's sequence; for a removal that had nothing to remove, the sequence that made the key absent.
  public var sequence: UInt64
  /// What the key held before.
  public var previous: Previous

  /// Memberwise.
  public init(sequence: UInt64, previous: Previous) {
    self.sequence = sequence
    self.previous = previous
  }
}

/// The place of an atomic batch in the engine's order.
public struct BatchOutcome: Sendable, Hashable {
  /// The last sequence of the batch.
  public var sequence: UInt64
  /// Per mutation, what the key held before it.
  public var previous: [Previous]

  /// Memberwise.
  public init(sequence: UInt64, previous: [Previous]) {
    self.sequence = sequence
    self.previous = previous
  }
}

/// One change of a batch.
public enum Mutation: Sendable, Hashable {
  /// Store `value` under `key`; `expiry` in Unix milliseconds, 0 for none.
  case put(key: [UInt8], value: [UInt8], expiry: UInt64)
  /// Remove `key`.
  case delete(key: [UInt8])

  /// The key it changes.
  public var key: [UInt8] {
    switch self {
    case .put(let key, _, _), .delete(let key): key
    }
  }

  /// What the key holds when it is done.
  var leaves: Previous {
    switch self {
    case .put(_, _, let expiry): .present(expires: RecordStamp(expiry).expires)
    case .delete: .absent
    }
  }
}

/// A place in a scan.
public enum ScanPosition: Sendable, Hashable {
  /// Before all keys.
  case start
  /// In the order of a 64-bit hash, which is not 0.
  case hash(UInt64)
  /// In the order of the keys: before this one, present or not.
  case key([UInt8])
  /// Behind all keys.
  case end
}

/// A piece of a scan.
public struct ScanPage: Sendable {
  /// Keys with their expiry (Unix milliseconds, 0 for none).
  public var keys: [(key: [UInt8], expiry: UInt64)]
  /// Where to go on.
  public var next: ScanPosition

  /// Memberwise.
  public init(keys: [(key: [UInt8], expiry: UInt64)], next: ScanPosition) {
    self.keys = keys
    self.next = next
  }
}

/// A count of keys as of one moment, still to be made.
public protocol KeyCensus: AnyObject {
  /// Counts. May wait for the disk, and takes time in proportion to the number of keys.
  func run() throws(EngineError) -> KeyCounts
}

/// How many keys there are by first byte, and how many of them have an expiry.
public struct KeyCounts: Sendable, Hashable {
  /// Keys by first byte.
  public private(set) var keys = [Int](repeating: 0, count: 256)
  /// Keys with an expiry by first byte.
  public private(set) var expiring = [Int](repeating: 0, count: 256)

  /// None.
  public init() {}

  /// Counts one key; the empty one is nobody's.
  public mutating func add(_ first: UInt8?, expires: Bool) {
    guard let first else { return }
    keys[Int(first)] += 1
    if expires { expiring[Int(first)] += 1 }
  }
}

/// The census of an engine whose scan answers from memory and that nobody writes to meanwhile.
public final class ScanningCensus: KeyCensus {
  private let engine: any KeyValueEngine
  private let prefix: UInt8?

  /// Will scan `engine`.
  public init(_ engine: any KeyValueEngine, prefix: UInt8?) {
    self.engine = engine
    self.prefix = prefix
  }

  /// See ``KeyCensus/run()``.
  public func run() throws(EngineError) -> KeyCounts {
    var counts = KeyCounts()
    var position = ScanPosition.start
    while position != .end {
      let page = try engine.scan(from: position, prefix: prefix, count: 4096)
      for (key, expiry) in page.keys { counts.add(key.first, expires: RecordStamp(expiry).expires) }
      position = page.next
    }
    return counts
  }
}

/// Why an engine refused or failed.
public struct EngineError: Error, Sendable, Hashable, CustomStringConvertible {
  /// How a caller should react.
  public enum Kind: Sendable, Hashable {
    /// The request cannot be stored (key or value too large); nothing was written.
    case refused
    /// The write would have had to wait; nothing was written. See ``KeyValueEngine/whenRoom(forBytes:_:)``.
    case noRoom
    /// The disk is full; reads go on, writes work again once there is space.
    case noSpace
    /// A sync or write failed; nothing is acknowledged any more until the store is reopened.
    case durabilityLost
    /// The record is damaged; other keys are unaffected.
    case damaged
    /// The engine is closed.
    case closed
    /// The disk failed a read.
    case failed
  }

  /// How to react.
  public var kind: Kind
  /// What happened, where, and the cure.
  public var description: String

  /// Memberwise.
  public init(_ kind: Kind, _ description: String) {
    self.kind = kind
    self.description = description
  }

  /// The error reply a client gets: `MISCONF` where Redis refuses writes because persistence fails, `ERR` elsewhere.
  var replyText: String {
    switch kind {
    case .noSpace, .durabilityLost: "MISCONF \(description)"
    case .refused, .noRoom, .damaged, .closed, .failed: "ERR \(description)"
    }
  }
}
