import StrataJobs

/// An engine in whose place another may be put while it is used: when a member takes over a snapshot, its whole store is another one.
///
/// What it shows is always acknowledged: only what the group has committed is ever applied to it. A call that runs when the engine is replaced ends
/// on the old one, which may fail it with `.closed`.
final class ReplaceableEngine: KeyValueEngine {
  private let current: Monitor<any KeyValueEngine>

  init(_ engine: any KeyValueEngine) { current = Monitor(engine) }

  /// The engine of the moment.
  var engine: any KeyValueEngine { current.withLock { $0 } }

  /// Puts `engine` in place of the present one, which is the caller's to close.
  func replace(by engine: any KeyValueEngine) -> any KeyValueEngine {
    current.withLock { current in
      defer { current = engine }
      return current
    }
  }

  var name: String { engine.name }

  func read(_ key: RawSpan, onlyIfCached: Bool, _ body: (RawSpan, UInt64) -> Void) throws(EngineError) -> ReadOutcome {
    try engine.read(key, onlyIfCached: onlyIfCached, body)
  }
  func peek(_ key: RawSpan, onlyIfCached: Bool) throws(EngineError) -> ReadOutcome { try engine.peek(key, onlyIfCached: onlyIfCached) }
  func put(_ key: RawSpan, _ value: RawSpan, expiry: UInt64, wantsPrevious: Bool) throws(EngineError) -> WriteOutcome {
    try engine.put(key, value, expiry: expiry, wantsPrevious: wantsPrevious)
  }
  func delete(_ key: RawSpan) throws(EngineError) -> WriteOutcome { try engine.delete(key) }
  func submit(_ mutations: [Mutation], wantsPrevious: Bool) throws(EngineError) -> BatchOutcome {
    try engine.submit(mutations, wantsPrevious: wantsPrevious)
  }
  func removeAll(_ prefixes: ClosedRange<UInt8>) throws(EngineError) -> UInt64? { try engine.removeAll(prefixes) }
  func removeAll(startingWith prefix: RawSpan) throws(EngineError) -> UInt64? { try engine.removeAll(startingWith: prefix) }

  /// Clients' writes go through the group's log, which has bounds of its own.
  var hasRoom: Bool { true }
  func whenRoom(forBytes bytes: Int, _ callback: @escaping @Sendable (EngineError?) -> Void) { engine.whenRoom(forBytes: bytes, callback) }

  var acknowledgedSequence: UInt64 { .max }
  func whenAcknowledged(_ sequence: UInt64, _ callback: @escaping @Sendable (EngineError?) -> Void) { callback(nil) }

  var isOrdered: Bool { engine.isOrdered }
  var listsFromMemory: Bool { engine.listsFromMemory }
  func scan(from position: ScanPosition, prefix: UInt8?, count: Int) throws(EngineError) -> ScanPage {
    try engine.scan(from: position, prefix: prefix, count: count)
  }
  func randomKey(prefix: UInt8?) throws(EngineError) -> [UInt8]? { try engine.randomKey(prefix: prefix) }
  func census(prefix: UInt8?) throws(EngineError) -> any KeyCensus { try engine.census(prefix: prefix) }
  var statistics: [(name: String, value: String)] { engine.statistics }
  func startMerge(_ completion: @escaping @Sendable (EngineError?) -> Void) -> Bool { engine.startMerge(completion) }

  /// Nothing to do: what the store shows is durable in the group's log, from which the store is built anew.
  func sync() throws(EngineError) {}
  func close() throws(EngineError) { try engine.close() }
}
