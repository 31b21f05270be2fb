/// What the server asks of a storage engine. Engines keep one flat map from byte strings to values with an expiry; the server makes
/// databases, commands and replies out of it.
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

  /// Stores a value. Ordered and visible on return, durable later; never waits for the disk. `previous` in the answer says what the key
  /// held before, expired or not. Writers are serialized by the server: no two of these calls overlap.
  func put(_ key: RawSpan, _ value: RawSpan, expiry: UInt64) throws(EngineError) -> WriteOutcome

  /// Removes a key. Removing an absent key writes nothing and answers the sequence that made it absent.
  func delete(_ key: RawSpan) throws(EngineError) -> WriteOutcome

  /// Applies several changes, all or none, as ``put(_:_:expiry:)`` and ``delete(_:)`` would one after the other; `previous` comes back per mutation.
  func submit(_ mutations: [Mutation]) throws(EngineError) -> BatchOutcome

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

  /// Up to about `count` keys from `cursor`, a position in the order of a 64-bit hash; `next` is 0 when the scan is over. Every key present
  /// during the whole of a scan is returned exactly once. From memory only.
  func scan(from cursor: UInt64, count: Int) throws(EngineError) -> ScanPage

  /// Some key, every present one possible; `nil` for an empty store.
  func randomKey() -> [UInt8]?

  /// How many keys are present, expired ones that are not yet removed included.
  var count: Int { get }

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
}

/// A piece of a scan.
public struct ScanPage: Sendable {
  /// Keys with their expiry (Unix milliseconds, 0 for none).
  public var keys: [(key: [UInt8], expiry: UInt64)]
  /// Where to go on; 0 at the end.
  public var next: UInt64

  /// Memberwise.
  public init(keys: [(key: [UInt8], expiry: UInt64)], next: UInt64) {
    self.keys = keys
    self.next = next
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
