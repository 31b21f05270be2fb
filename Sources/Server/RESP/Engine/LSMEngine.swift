import StrataBytes
import StrataJobs
public import StrataLSMTree
import StrataSSTable
import Synchronization

/// An ordered ``StrataLSMTree/LSMTree`` store as the server's engine.
///
/// A stored value is the expiry (Unix milliseconds, 0 for none, little-endian) followed by the client's bytes; Docs/Formats/ServerRecords.md.
/// The server judges expiry. What a key held before a write is known as far as memtables, filters and the block cache tell.
public final class LSMEngine: KeyValueEngine {
  let store: LSMTree
  private let isCompacting = Atomic<Bool>(false)

  /// Takes over an open store, whose default keyspace holds the records.
  public init(_ store: LSMTree) { self.store = store }

  /// See ``KeyValueEngine/name``.
  public var name: String { "lsm" }

  // MARK: Reading

  /// See ``KeyValueEngine/read(_:onlyIfCached:_:)``.
  public func read(_ key: RawSpan, onlyIfCached: Bool, _ body: (RawSpan, UInt64) -> Void) throws(EngineError) -> ReadOutcome {
    var expiry: UInt64?
    let answer: ReadAnswer
    do throws(LSMError) {
      answer = try store.read(key, onlyIfCached: onlyIfCached) { stored in
        guard let record = StoredRecord(stored) else { return }
        expiry = record.expiry
        body(record.value, record.expiry)
      }
    } catch { throw EngineError(error) }
    switch answer {
    case .found(let version):
      guard let expiry else { throw EngineError(.damaged, "the record is shorter than its expiry; another program has written it") }
      return .found(expiry: expiry, sequence: version)
    case .absent(let version): return .absent(asOf: version)
    case .notCached: return .notCached
    }
  }

  /// See ``KeyValueEngine/peek(_:onlyIfCached:)``.
  public func peek(_ key: RawSpan, onlyIfCached: Bool) throws(EngineError) -> ReadOutcome { try read(key, onlyIfCached: onlyIfCached) { _, _ in } }

  /// What memory tells of a key; that it tells nothing keeps no write from being made.
  private func recall(_ key: RawSpan) -> ReadOutcome { (try? peek(key, onlyIfCached: true)) ?? .notCached }

  // MARK: Writing

  /// See ``KeyValueEngine/put(_:_:expiry:wantsPrevious:)``.
  public func put(_ key: RawSpan, _ value: RawSpan, expiry: UInt64, wantsPrevious: Bool) throws(EngineError) -> WriteOutcome {
    let previous = wantsPrevious ? Previous(recall(key)) : .unknown
    do throws(LSMError) {
      let version = try withUnsafeTemporaryAllocation(byteCount: StoredRecord.headBytes + value.byteCount, alignment: 8) {
        (buffer) throws(LSMError) -> UInt64 in
        StoredRecord.write(value, expiry: expiry, to: buffer)
        return try store.submit(put: key, UnsafeRawBufferPointer(buffer).bytes)
      }
      return WriteOutcome(sequence: version, previous: previous)
    } catch { throw EngineError(error) }
  }

  /// See ``KeyValueEngine/delete(_:)``.
  public func delete(_ key: RawSpan) throws(EngineError) -> WriteOutcome {
    let known = recall(key)
    if case .absent(let version) = known { return WriteOutcome(sequence: version, previous: .absent) }
    do { return WriteOutcome(sequence: try store.submit(delete: key), previous: Previous(known)) } catch { throw EngineError(error) }
  }

  /// See ``KeyValueEngine/submit(_:wantsPrevious:)``.
  public func submit(_ mutations: [Mutation], wantsPrevious: Bool) throws(EngineError) -> BatchOutcome {
    var batch = WriteBatch()
    var outcome = BatchOutcome(sequence: 0, previous: [])
    outcome.previous.reserveCapacity(mutations.count)
    var earlier = EarlierChanges(mutations)
    do throws(LSMError) {
      for (index, mutation) in mutations.enumerated() {
        let left = earlier.next(index, mutation)
        switch mutation {
        case .put(let key, let value, let expiry):
          outcome.previous.append(left ?? (wantsPrevious ? Previous(recall(key.span.bytes)) : .unknown))
          try withUnsafeTemporaryAllocation(byteCount: StoredRecord.headBytes + value.count, alignment: 8) { (buffer) throws(LSMError) in
            StoredRecord.write(value.span.bytes, expiry: expiry, to: buffer)
            try batch.put(key.span.bytes, UnsafeRawBufferPointer(buffer).bytes)
          }
        case .delete(let key):
          let known = left == nil ? recall(key.span.bytes) : .notCached
          let before = left ?? Previous(known)
          outcome.previous.append(before)
          if case .absent(let version) = known { outcome.sequence = max(outcome.sequence, version) }
          if before != .absent { try batch.delete(key.span.bytes) }
        }
      }
      if !batch.isEmpty { outcome.sequence = max(outcome.sequence, try store.submit(&batch)) }
    } catch { throw EngineError(error) }
    return outcome
  }

  /// See ``KeyValueEngine/removeAll(_:)``.
  public func removeAll(_ prefixes: ClosedRange<UInt8>) throws(EngineError) -> UInt64? {
    guard prefixes.upperBound < .max else { return nil }
    var batch = WriteBatch()
    do throws(LSMError) {
      try batch.deleteRange(from: [prefixes.lowerBound].span.bytes, to: [prefixes.upperBound + 1].span.bytes)
      return try store.submit(&batch)
    } catch { throw EngineError(error) }
  }

  /// See ``KeyValueEngine/removeAll(startingWith:)``.
  public func removeAll(startingWith prefix: RawSpan) throws(EngineError) -> UInt64? {
    let start = prefix.withUnsafeBytes { [UInt8]($0) }
    guard let last = start.lastIndex(where: { $0 < .max }) else { return nil }
    let end = start[..<last] + [start[last] + 1]
    var batch = WriteBatch()
    do throws(LSMError) {
      try batch.deleteRange(from: prefix, to: Array(end).span.bytes)
      return try store.submit(&batch)
    } catch { throw EngineError(error) }
  }

  /// See ``KeyValueEngine/hasRoom``.
  public var hasRoom: Bool { store.hasRoom }

  /// See ``KeyValueEngine/whenRoom(forBytes:_:)``.
  public func whenRoom(forBytes bytes: Int, _ callback: @escaping @Sendable (EngineError?) -> Void) {
    store.whenRoom(forBytes: bytes) { error in callback(error.map { EngineError($0) }) }
  }

  /// See ``KeyValueEngine/acknowledgedSequence``.
  public var acknowledgedSequence: UInt64 { store.acknowledgedVersion }

  /// See ``KeyValueEngine/whenAcknowledged(_:_:)``.
  public func whenAcknowledged(_ sequence: UInt64, _ callback: @escaping @Sendable (EngineError?) -> Void) {
    store.whenAcknowledged(sequence) { error in callback(error.map { EngineError($0) }) }
  }

  // MARK: Upkeep

  /// See ``KeyValueEngine/statistics``.
  public var statistics: [(name: String, value: String)] { Self.lines(store.statistics, store.pressure) }

  /// See ``KeyValueEngine/startMerge(_:)``. Compacts the whole store, on a thread of its own.
  public func startMerge(_ completion: @escaping @Sendable (EngineError?) -> Void) -> Bool {
    guard isCompacting.compareExchange(expected: false, desired: true, ordering: .acquiringAndReleasing).exchanged else { return false }
    _ = Worker(name: "lsm-compact-all") { [self] in
      var failure: EngineError?
      do throws(LSMError) { try store.compact() } catch { failure = EngineError(error) }
      isCompacting.store(false, ordering: .releasing)
      completion(failure)
    }
    return true
  }

  /// See ``KeyValueEngine/sync()``.
  public func sync() throws(EngineError) {
    do { try store.sync() } catch { throw EngineError(error) }
  }

  /// See ``KeyValueEngine/close()``. On a full disk memtables stay unflushed: the log holds what is in them.
  public func close() throws(EngineError) {
    try sync()
    do throws(LSMError) { try store.close() } catch {
      if case .noSpace = error { return }
      throw EngineError(error)
    }
  }
}

/// What earlier changes of one batch leave in the keys of later ones.
private struct EarlierChanges {
  /// Batches up to this long are searched through; longer ones are indexed.
  private static let searched = 32

  private let mutations: [Mutation]
  private var changed: [[UInt8]: Previous] = [:]

  init(_ mutations: [Mutation]) { self.mutations = mutations }

  /// What the changes before the one at `index` leave in its key; `nil` where none is of that key. Called once for each, in order.
  mutating func next(_ index: Int, _ mutation: Mutation) -> Previous? {
    if mutations.count > Self.searched { return changed.updateValue(mutation.leaves, forKey: mutation.key) }
    return mutations[..<index].last { $0.key == mutation.key }?.leaves
  }
}

/// A value as the store holds it: expiry u64, then the client's bytes.
struct StoredRecord: ~Escapable {
  static let headBytes = 8
  let expiry: UInt64
  let value: RawSpan

  /// `nil` for bytes too short to be one.
  @_lifetime(copy stored)
  init?(_ stored: RawSpan) {
    guard stored.byteCount >= Self.headBytes else { return nil }
    expiry = UInt64(littleEndian: stored.unsafeLoadUnaligned(as: UInt64.self))
    value = stored.extracting(droppingFirst: Self.headBytes)
  }

  /// Fills `buffer`, which has room for exactly this record.
  static func write(_ value: RawSpan, expiry: UInt64, to buffer: UnsafeMutableRawBufferPointer) {
    precondition(buffer.count == headBytes + value.byteCount, "a record fills its buffer")
    buffer.storeBytes(of: expiry.littleEndian, as: UInt64.self)
    value.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: buffer[headBytes...]).copyMemory(from: $0) }
  }

  static func encode(_ value: [UInt8], expiry: UInt64) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: headBytes + value.count) { buffer, count in
      count = headBytes + value.count
      write(value.span.bytes, expiry: expiry, to: UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: count))
    }
  }
}

extension Previous {
  init(_ outcome: ReadOutcome) {
    switch outcome {
    case .found(let expiry, _): self = .present(expires: RecordStamp(expiry).expires)
    case .absent: self = .absent
    case .notCached: self = .unknown
    }
  }
}

extension EngineError {
  /// A store's error, sorted by what a client or operator can do.
  public init(_ error: LSMError) {
    let kind: Kind =
      switch error {
      case .busy: .noRoom
      case .noSpace: .noSpace
      case .readOnly: .durabilityLost
      case .closed: .closed
      case .corruption, .table, .corruptManifest, .corruptLog, .missingTables, .log: .damaged
      case .disk: .failed
      case .keyTooLarge, .valueTooLarge, .batchTooLarge, .emptyRange, .unknownKeyspace, .keyspaceExists, .foreignKeyspace, .foreignSnapshot,
        .noMergeOperator, .versionOutOfOrder, .historyTruncated, .cannotIngest, .locked, .incomplete, .mergeFailed, .incompatible:
        .refused
      }
    self.init(kind, error.description)
  }
}
