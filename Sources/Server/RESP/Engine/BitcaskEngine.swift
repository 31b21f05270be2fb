public import StrataBitcask
import StrataJobs
import Synchronization

/// A ``StrataBitcask/Bitcask`` store as the server's engine.
///
/// The server judges expiry, by one clock, and removes what has expired by writing removals; so the store must have been opened with a clock that
/// stands still (``options(_:)`` sees to it), else keys would vanish that the server still counts.
public final class BitcaskEngine: KeyValueEngine {
  private let store: Bitcask
  private let isMerging = Atomic<Bool>(false)

  /// Takes over an open store. Its options must come from ``options(_:)``.
  public init(_ store: Bitcask) { self.store = store }

  /// `options`, changed to what the server needs: keys in memory, no expiry of the store's own.
  public static func options(_ options: BitcaskOptions) -> BitcaskOptions {
    var options = options
    options.keyStorage = .memory
    options.ttl = nil
    options.clock = { 0 }
    return options
  }

  /// See ``KeyValueEngine/name``.
  public var name: String { "bitcask" }

  /// See ``KeyValueEngine/read(_:onlyIfCached:_:)``.
  public func read(_ key: RawSpan, onlyIfCached: Bool, _ body: (RawSpan, UInt64) -> Void) throws(EngineError) -> ReadOutcome {
    let key = key.withUnsafeBytes { [UInt8]($0) }
    do {
      let outcome = try store.read(key, onlyIfCached: onlyIfCached) { record -> ReadOutcome in
        body(record.value.bytes, record.expiry)
        return .found(expiry: record.expiry, sequence: record.sequence)
      }
      switch outcome {
      case .found(let found): return found
      case .absent(let sequence): return .absent(asOf: sequence)
      case .notCached: return .notCached
      }
    } catch { throw EngineError(error) }
  }

  /// See ``KeyValueEngine/peek(_:onlyIfCached:)``. From the store's index, which does not know a record's sequence: the answer names the last
  /// one given out, which is no earlier.
  public func peek(_ key: RawSpan, onlyIfCached: Bool) throws(EngineError) -> ReadOutcome {
    let last = store.lastSequence
    let expiry: UInt64?
    do { expiry = try store.probe(key) } catch { throw EngineError(error) }
    if let expiry { return .found(expiry: expiry, sequence: last) }
    return .absent(asOf: last)
  }

  /// See ``KeyValueEngine/put(_:_:expiry:wantsPrevious:)``.
  public func put(_ key: RawSpan, _ value: RawSpan, expiry: UInt64, wantsPrevious: Bool) throws(EngineError) -> WriteOutcome {
    do {
      let placed = try store.place(key, value, expiry: expiry)
      return WriteOutcome(sequence: placed.sequence, previous: Previous(expiry: placed.previousExpiry))
    } catch { throw EngineError(error) }
  }

  /// See ``KeyValueEngine/delete(_:)``.
  public func delete(_ key: RawSpan) throws(EngineError) -> WriteOutcome {
    do {
      let previous = Previous(expiry: try store.probe(key))
      let last = store.lastSequence
      guard previous != .absent else { return WriteOutcome(sequence: last, previous: .absent) }
      let submission = try store.submit(.delete(key.withUnsafeBytes { [UInt8]($0) }), mayBlock: false)
      return WriteOutcome(sequence: submission.sequences.last ?? last, previous: previous)
    } catch { throw EngineError(error) }
  }

  /// See ``KeyValueEngine/submit(_:wantsPrevious:)``.
  public func submit(_ mutations: [Mutation], wantsPrevious: Bool) throws(EngineError) -> BatchOutcome {
    do throws(BitcaskError) {
      var batch: [StrataBitcask.Mutation] = []
      batch.reserveCapacity(mutations.count)
      var previous: [Previous] = []
      previous.reserveCapacity(mutations.count)
      // What earlier changes of this batch leave behind, for keys that come twice.
      var changed: [[UInt8]: Previous] = [:]
      for mutation in mutations {
        switch mutation {
        case .put(let key, let value, let expiry):
          previous.append(try before(key, changed))
          changed[key] = .present(expires: RecordStamp(expiry).expires)
          batch.append(.put(key, value, expiry: expiry == 0 ? .never : .at(expiry)))
        case .delete(let key):
          previous.append(try before(key, changed))
          changed[key] = .absent
          batch.append(.delete(key))
        }
      }
      let last = store.lastSequence
      let submission = try store.submit(batch, mayBlock: false)
      return BatchOutcome(sequence: submission.sequences.last ?? last, previous: previous)
    } catch { throw EngineError(error) }
  }

  private func before(_ key: [UInt8], _ changed: [[UInt8]: Previous]) throws(BitcaskError) -> Previous {
    if let change = changed[key] { return change }
    return Previous(expiry: try store.probe(key.span.bytes))
  }

  /// See ``KeyValueEngine/removeAll(_:)``.
  public func removeAll(_ prefixes: ClosedRange<UInt8>) throws(EngineError) -> UInt64? { nil }

  /// See ``KeyValueEngine/removeAll(startingWith:)``.
  public func removeAll(startingWith prefix: RawSpan) throws(EngineError) -> UInt64? { nil }

  /// See ``KeyValueEngine/hasRoom``.
  public var hasRoom: Bool { store.hasRoom }

  /// See ``KeyValueEngine/whenRoom(forBytes:_:)``.
  public func whenRoom(forBytes bytes: Int, _ callback: @escaping @Sendable (EngineError?) -> Void) {
    store.whenRoom(forBytes: bytes) { error in callback(error.map { EngineError($0) }) }
  }

  /// See ``KeyValueEngine/acknowledgedSequence``.
  public var acknowledgedSequence: UInt64 { store.acknowledgedSequence }

  /// See ``KeyValueEngine/whenAcknowledged(_:_:)``.
  public func whenAcknowledged(_ sequence: UInt64, _ callback: @escaping @Sendable (EngineError?) -> Void) {
    store.whenAcknowledged(sequence) { error in callback(error.map { EngineError($0) }) }
  }

  /// See ``KeyValueEngine/isOrdered``.
  public var isOrdered: Bool { false }

  /// See ``KeyValueEngine/listsFromMemory``.
  public var listsFromMemory: Bool { true }

  /// See ``KeyValueEngine/scan(from:prefix:count:)``.
  public func scan(from position: ScanPosition, prefix: UInt8?, count: Int) throws(EngineError) -> ScanPage {
    let cursor: UInt64
    switch position {
    case .start, .key: cursor = 0
    case .hash(let hash): cursor = hash
    case .end: return ScanPage(keys: [], next: .end)
    }
    do {
      let (keys, next) = try store.entries(from: cursor, count: count)
      return ScanPage(keys: keys, next: next == 0 ? .end : .hash(next))
    } catch { throw EngineError(error) }
  }

  /// See ``KeyValueEngine/randomKey(prefix:)``.
  public func randomKey(prefix: UInt8?) throws(EngineError) -> [UInt8]? {
    do { return try store.randomKey() } catch { throw EngineError(error) }
  }

  /// See ``KeyValueEngine/census(prefix:)``.
  public func census(prefix: UInt8?) throws(EngineError) -> any KeyCensus { ScanningCensus(self, prefix: prefix) }

  /// See ``KeyValueEngine/statistics``.
  public var statistics: [(name: String, value: String)] {
    let figures = store.statistics
    return [
      ("bitcask_keys", String(figures.keys)), ("bitcask_segments", String(figures.segments)), ("bitcask_disk_bytes", String(figures.diskBytes)),
      ("bitcask_dead_bytes", String(figures.deadBytes)), ("bitcask_index_bytes", String(figures.indexBytes)),
      ("bitcask_bytes_written", String(figures.bytesWritten)), ("bitcask_syncs", String(figures.syncs)),
      ("bitcask_pending_bytes", String(figures.pendingBytes)), ("bitcask_merges", String(figures.merges)),
      ("bitcask_merged_bytes", String(figures.mergedBytes)), ("bitcask_records_dropped", String(figures.recordsDropped)),
    ]
  }

  /// See ``KeyValueEngine/startMerge(_:)``. Merges every sealed segment, on a thread of its own.
  public func startMerge(_ completion: @escaping @Sendable (EngineError?) -> Void) -> Bool {
    guard isMerging.compareExchange(expected: false, desired: true, ordering: .acquiringAndReleasing).exchanged else { return false }
    _ = Worker(name: "bitcask-merge") { [self] in
      var failure: EngineError?
      do throws(BitcaskError) { _ = try store.merge(.all) } catch { failure = EngineError(error) }
      isMerging.store(false, ordering: .releasing)
      completion(failure)
    }
    return true
  }

  /// See ``KeyValueEngine/sync()``.
  public func sync() throws(EngineError) {
    do { try store.sync() } catch { throw EngineError(error) }
  }

  /// See ``KeyValueEngine/close()``.
  public func close() throws(EngineError) {
    do { try store.close() } catch { throw EngineError(error) }
  }
}

extension Previous {
  /// From an index's answer: no entry, or one with this expiry (0: none).
  init(expiry: UInt64?) { self = expiry.map { .present(expires: RecordStamp($0).expires) } ?? .absent }
}

extension EngineError {
  /// A store's error, sorted by what a client or operator can do.
  public init(_ error: BitcaskError) {
    let kind: Kind =
      switch error {
      case .keyTooLarge, .valueTooLarge, .invalidArgument, .alreadyOpen, .snapshotLost, .busy, .outOfSegments, .unsupportedVersion: .refused
      case .wouldBlock: .noRoom
      case .noSpace: .noSpace
      case .durabilityLost: .durabilityLost
      case .closed: .closed
      case .corrupt, .damaged, .missingSegment, .tornTail: .damaged
      case .disk: .failed
      }
    self.init(kind, error.description)
  }
}
