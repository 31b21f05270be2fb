import StrataBytes
public import StrataDisk
public import StrataSSTable
public import StrataWriteAheadLog
public import SystemPackage

/// The ordered storage engine: a log-structured merge tree over write-ahead log and sorted tables.
///
/// A write is ordered, logged, inserted into a memtable, made visible in its order and acknowledged under its ``Durability``. Full memtables
/// become tables of level 0, tables are merged downwards in the background; the manifest says which tables there are. After a crash the
/// store holds a prefix of all writes that contains every one acknowledged as durable. A failed sync turns writes off until the store is opened
/// again; reads go on.
///
/// All functions may be called from any thread. Those without `async` may block in the operating system or, under pressure, for background
/// work. One process per directory. A store dropped without ``close()`` ends its threads and is recovered by the next opening.
public final class LSMTree: Sendable {
  let core: LSMCore
  /// The same, for reads that do not count a reference.
  private let unowned: Unmanaged<LSMCore>

  private init(_ core: LSMCore) {
    self.core = core
    unowned = .passUnretained(core)
  }

  deinit { core.abandon() }

  /// Opens the store in `directory`, creating it where missing, and recovers it.
  ///
  /// Every table named by the manifest is opened, the log is replayed from the first record that is not in tables, and what a crash left and
  /// nothing names is removed at last. The cost of replay is bounded by the memtables' size.
  /// - Throws: `.locked`, `.corruptManifest`, `.corruptLog`, `.missingTables`, `.incompatible`, `.table`, `.log`, `.noSpace`, `.disk`.
  public static func open(
    _ directory: FilePath, options: LSMOptions = LSMOptions(), on fileSystem: any FileSystem = POSIXFileSystem()
  ) throws(LSMError) -> LSMTree {
    LSMTree(try Opening(directory: directory, options: options, fileSystem: fileSystem).open())
  }

  // MARK: Writing

  /// Sets a key's value; an empty value is one.
  /// - Returns: the write's version.
  /// - Throws: `.keyTooLarge`, `.valueTooLarge`, `.noSpace`, `.readOnly`, `.closed`.
  @discardableResult
  public func put(_ key: RawSpan, _ value: RawSpan, in keyspace: Keyspace? = nil, durability: Durability? = nil) throws(LSMError) -> UInt64 {
    try write(.value, key, value, keyspace, durability)
  }

  /// Removes a key; one that does not exist is fine.
  @discardableResult
  public func delete(_ key: RawSpan, in keyspace: Keyspace? = nil, durability: Durability? = nil) throws(LSMError) -> UInt64 {
    try write(.deletion, key, RawSpan(), keyspace, durability)
  }

  /// Removes every key from `start` on up to, without, `end`, by one entry.
  /// - Throws: `.emptyRange`, and as ``put(_:_:in:durability:)``.
  @discardableResult
  public func deleteRange(
    from start: RawSpan, to end: RawSpan, in keyspace: Keyspace? = nil, durability: Durability? = nil
  ) throws(LSMError) -> UInt64 {
    guard compare(start, end) < 0 else { throw .emptyRange }
    guard end.byteCount <= TableLimits.keyBytes else { throw .keyTooLarge(end.byteCount) }
    return try write(.rangeDeletion, start, end, keyspace, durability)
  }

  /// Adds an operand that the keyspace's merge operator folds into what the key has.
  /// - Throws: `.noMergeOperator`, and as ``put(_:_:in:durability:)``.
  @discardableResult
  public func merge(_ key: RawSpan, operand: RawSpan, in keyspace: Keyspace? = nil, durability: Durability? = nil) throws(LSMError) -> UInt64 {
    let keyspace = keyspace ?? core.defaultKeyspace
    guard keyspace.options.mergeOperator != nil else { throw .noMergeOperator(keyspace: keyspace.name) }
    return try write(.merge, key, operand, keyspace, durability)
  }

  @inline(__always)
  private func write(
    _ kind: EntryKind, _ key: RawSpan, _ value: RawSpan, _ keyspace: Keyspace?, _ durability: Durability?
  ) throws(LSMError) -> UInt64 {
    let core = core
    let began = core.latencies.write.begin()
    defer { core.latencies.write.end(began) }
    let options = WriteOptions(durability: durability)
    let written = try key.withUnsafeBytes { (key) throws(LSMError) in
      try value.withUnsafeBytes { (value) throws(LSMError) in
        try core.writeOne(kind, key, value, keyspace ?? core.defaultKeyspace, options)
      }
    }
    if let ticket = written.ticket { try core.acknowledge(ticket) }
    return written.version
  }

  /// Applies a batch as one.
  /// - Parameter version: the version of its last change, for callers that order writes themselves; at least ``lastVersion`` plus
  ///   `WriteBatch.sequenceCount`.
  /// - Returns: the version of its last change; ``lastVersion`` for an empty batch.
  /// - Throws: `.batchTooLarge`, `.versionOutOfOrder`, `.busy`, and as ``put(_:_:in:durability:)``.
  @discardableResult
  public func write(_ batch: consuming WriteBatch, version: UInt64? = nil, options: WriteOptions = WriteOptions()) throws(LSMError) -> UInt64 {
    var batch = batch
    let began = core.latencies.write.begin()
    defer { core.latencies.write.end(began) }
    let written = try core.writeBatch(&batch, version: version, options)
    if let ticket = written.ticket { try core.acknowledge(ticket) }
    return written.version
  }

  /// Applies a batch as one; suspends while it waits for the log or for background work, and blocks no thread.
  @discardableResult
  public func write(
    _ batch: consuming WriteBatch, version: UInt64? = nil, options: WriteOptions = WriteOptions()
  ) async throws(LSMError) -> UInt64 {
    var patient = options
    patient.noStall = true
    patient.isSubmission = true
    var batch = batch
    let began = core.latencies.write.begin()
    defer { core.latencies.write.end(began) }
    while true {
      do throws(LSMError) {
        let written = try core.writeBatch(&batch, version: version, patient)
        if let ticket = written.ticket { try await core.acknowledge(ticket) }
        return written.version
      } catch {
        guard case .busy = error, !options.noStall else { throw error }
      }
      let (core, bytes) = (core, batch.byteCount)
      let failure = await withCheckedContinuation { continuation in core.whenRoom(forBytes: bytes) { continuation.resume(returning: $0) } }
      if let failure { throw failure }
    }
  }

  // MARK: Reading

  /// The value of a key, `nil` where it has none.
  /// - Parameter snapshot: the moment to read; the present where `nil`.
  /// - Throws: `.corruption`, `.mergeFailed`, `.foreignKeyspace`, `.foreignSnapshot`, `.closed`, `.disk`.
  public func get(_ key: RawSpan, in keyspace: Keyspace? = nil, at snapshot: Snapshot? = nil) throws(LSMError) -> [UInt8]? {
    try withValue(of: key, in: keyspace, at: snapshot) { value in value.withUnsafeBytes { [UInt8]($0) } }
  }

  /// Calls `body` with the value of a key where it lies, without a copy; `nil` where the key has none. `body` must be short: nothing that is
  /// replaced meanwhile is freed.
  public func withValue<Result>(
    of key: RawSpan, in keyspace: Keyspace? = nil, at snapshot: Snapshot? = nil, _ body: (RawSpan) -> Result
  ) throws(LSMError) -> Result? {
    var result: Result?
    try reading(keyspace.map { .passUnretained($0) }) { (core, keyspace) throws(LSMError) in
      result = try core.withValue(of: key, keyspace, snapshot, body)
    }
    return result
  }

  /// Calls `body` with the core and the keyspace, or the default one, without counting references. Its error takes a way round the runtime's
  /// closures, which cannot throw a typed one.
  @inline(__always)
  func reading(_ keyspace: Unmanaged<Keyspace>?, _ body: (LSMCore, Keyspace) throws(LSMError) -> Void) throws(LSMError) {
    var failure: LSMError?
    unowned._withUnsafeGuaranteedRef { core in
      (keyspace ?? core.unownedDefault)._withUnsafeGuaranteedRef { keyspace in
        do throws(LSMError) { try body(core, keyspace) } catch { failure = error }
      }
    }
    if let failure { throw failure }
  }

  /// The values of several keys as of one moment, in the order of the keys.
  public func multiGet(_ keys: [[UInt8]], in keyspace: Keyspace? = nil, at snapshot: Snapshot? = nil) throws(LSMError) -> [[UInt8]?] {
    let moment = snapshot ?? self.snapshot()
    var values: [[UInt8]?] = []
    values.reserveCapacity(keys.count)
    for key in keys { values.append(try get(key.span.bytes, in: keyspace, at: moment)) }
    return values
  }

  /// A position among the keys within `bounds`, standing on none yet. Where iterators keep much memory already it waits for a flush first; see
  /// ``LSMOptions/memoryLimit``.
  public func iterator(
    _ bounds: KeyBounds = .all, in keyspace: Keyspace? = nil, at snapshot: Snapshot? = nil, options: ReadOptions = ReadOptions()
  ) throws(LSMError) -> LSMIterator {
    let keyspace = keyspace ?? core.defaultKeyspace
    try core.checkReadable(keyspace, snapshot)
    return LSMIterator(core, keyspace, bounds, at: snapshot?.version, options)
  }

  /// Keys and values from `from` on up to, without, `to`, in order; all at once, so for short ranges.
  public func rangeScan(
    from: [UInt8]? = nil, to: [UInt8]? = nil, in keyspace: Keyspace? = nil, at snapshot: Snapshot? = nil
  ) throws(LSMError) -> [(key: [UInt8], value: [UInt8])] {
    var iterator = try iterator(KeyBounds(from: from, to: to), in: keyspace, at: snapshot)
    var rows: [(key: [UInt8], value: [UInt8])] = []
    try iterator.first()
    while iterator.isValid {
      rows.append((iterator.key.withUnsafeBytes { [UInt8]($0) }, iterator.value.withUnsafeBytes { [UInt8]($0) }))
      try iterator.next()
    }
    return rows
  }

  /// The present moment, kept readable until the object's end.
  public func snapshot() -> Snapshot { core.snapshots.make { core.ring.visible } }

  /// The last version that can be read.
  public var lastVersion: UInt64 { core.ring.visible }

  /// The keyspace that is meant where none is named.
  public var defaultKeyspace: Keyspace { core.defaultKeyspace }

  // MARK: Maintenance

  /// Seals the memtables; with `wait`, returns when their content is in tables, all of it durable.
  public func flush(wait: Bool = true) throws(LSMError) { try core.flush(wait: wait) }

  /// Merges everything within `bounds` into one run at the bottom, dropping what nobody can see; flushes first.
  public func compact(_ bounds: KeyBounds = .all, in keyspace: Keyspace? = nil, wait: Bool = true) throws(LSMError) {
    try core.compact(keyspace ?? core.defaultKeyspace, bounds, wait: wait)
  }

  /// Waits until there is nothing left that background work would do now.
  public func waitForBackgroundWork() throws(LSMError) { try core.waitUntilIdle() }

  /// Flushes (unless told otherwise), makes everything durable and gives the directory free. Afterwards everything throws `.closed`. Iterators
  /// still open go on reading what they have pinned.
  public func close() throws(LSMError) { try core.close() }

  /// Moves background work a step, for stores opened with `.manual`; `pick` chooses among jobs under way by number.
  /// - Returns: whether there was anything to do.
  @discardableResult
  public func stepBackground(budget: Int = 64 << 10, pick: (Int) -> Int = { _ in 0 }) -> Bool { core.scheduler.step(budget: budget, pick: pick) }

  /// How much writes are held back, so that servers can shed load before writes block.
  public var pressure: WritePressure { core.pressure }

  /// What happens from now on.
  public var events: AsyncStream<LSMEvent> { core.events.listen() }

  /// What the store has done and holds.
  public var statistics: LSMStatistics { core.statistics }
}
