import StrataBytes
import StrataSSTable
import StrataWriteAheadLog

/// What a read found, and which write made it so.
public enum ReadAnswer: Sendable, Hashable {
  /// A value, written by this version; 0 where a compaction has forgotten which one, which is then durable.
  case found(version: UInt64)
  /// No value since this version; 0 where no deletion is known.
  case absent(asOf: UInt64)
  /// The answer is not in memory; ask again with `onlyIfCached: false` on a thread that may wait.
  case notCached
}

/// For servers: writes that wait for nothing, acknowledgements by callback, reads that stay off the disk.
extension LSMTree {
  // MARK: Submitting

  /// Sets a key's value; ordered and visible on return, acknowledged later (``whenAcknowledged(_:_:)``). Never waits for the disk or for background
  /// work.
  /// - Returns: the write's version.
  /// - Throws: `.busy` where it would have had to wait: nothing was written, see ``whenRoom(forBytes:_:)``; `.noSpace`, and as
  ///   ``put(_:_:in:durability:)``.
  public func submit(
    put key: RawSpan, _ value: RawSpan, in keyspace: Keyspace? = nil, durability: Durability? = nil
  ) throws(LSMError) -> UInt64 {
    try submit(.value, key, value, keyspace, durability)
  }

  /// Removes a key; otherwise as ``submit(put:_:in:durability:)``.
  public func submit(delete key: RawSpan, in keyspace: Keyspace? = nil, durability: Durability? = nil) throws(LSMError) -> UInt64 {
    try submit(.deletion, key, RawSpan(), keyspace, durability)
  }

  @inline(__always)
  private func submit(
    _ kind: EntryKind, _ key: RawSpan, _ value: RawSpan, _ keyspace: Keyspace?, _ durability: Durability?
  ) throws(LSMError) -> UInt64 {
    let core = core
    let began = core.latencies.write.begin()
    defer { core.latencies.write.end(began) }
    return try key.withUnsafeBytes { (key) throws(LSMError) in
      try value.withUnsafeBytes { (value) throws(LSMError) in
        try core.writeOne(kind, key, value, keyspace ?? core.defaultKeyspace, Self.submission(durability)).version
      }
    }
  }

  /// Applies a batch as one; otherwise as ``submit(put:_:in:durability:)``. The batch stays as it is, for another attempt.
  /// - Parameter version: as in ``write(_:version:options:)-(_,_,WriteOptions)``.
  public func submit(_ batch: inout WriteBatch, version: UInt64? = nil, durability: Durability? = nil) throws(LSMError) -> UInt64 {
    let began = core.latencies.write.begin()
    defer { core.latencies.write.end(began) }
    return try core.writeBatch(&batch, version: version, Self.submission(durability)).version
  }

  private static func submission(_ durability: Durability?) -> WriteOptions {
    var options = WriteOptions(durability: durability, noStall: true)
    options.isSubmission = true
    return options
  }

  /// Whether a submission of modest size would be taken.
  public var hasRoom: Bool { core.hasRoom }

  /// Calls `body` once a submission of `bytes` would be taken, or with what keeps it from being: a full disk, say. The room is not reserved.
  /// `body` runs on a thread of the store's and must be short.
  public func whenRoom(forBytes bytes: Int, _ body: @escaping @Sendable (LSMError?) -> Void) { core.whenRoom(forBytes: bytes, body) }

  // MARK: Acknowledgement

  /// Every write up to this version is acknowledged: it holds under the durability it was made with. One atomic load. Writes that leave the log
  /// out count with the next one that does not.
  public var acknowledgedVersion: UInt64 { core.log.acknowledgedMark }

  /// Calls `body` once every write up to `version` is acknowledged, or with the error because of which it never will be. A version not given
  /// out yet counts as the last one that is. `body` runs on the calling or on the committing thread and must be short.
  public func whenAcknowledged(_ version: UInt64, _ body: @escaping @Sendable (LSMError?) -> Void) {
    when(version, durably: false, body)
  }

  private func when(_ version: UInt64, durably: Bool, _ body: @escaping @Sendable (LSMError?) -> Void) {
    let core = core
    // An answer that is there already says nothing of the disk.
    let isWait = durably || (core.options.durability == .everyWrite && version > core.log.acknowledgedMark)
    let began = isWait ? core.latencies.sync.begin() : 0
    core.log.whenReached(mark: version, durably: durably) { error in
      core.latencies.sync.end(began)
      body(error.map { core.refused($0) })
    }
  }

  /// Blocks until every write up to `version` survives power loss, whatever durability it was made with. A version not given out yet counts as
  /// the last one that is.
  public func waitUntilDurable(_ version: UInt64) throws(LSMError) {
    do throws(WALError) { try core.log.wait(forMark: version, durably: true) } catch { throw core.refused(error) }
  }

  /// Suspends until every write up to `version` survives power loss; blocks no thread.
  public func waitUntilDurable(_ version: UInt64) async throws(LSMError) {
    let failure = await withCheckedContinuation { continuation in
      when(version, durably: true) { continuation.resume(returning: $0) }
    }
    if let failure { throw failure }
  }

  /// Makes everything written durable, whatever the durability it was written with.
  public func sync() throws(LSMError) { try waitUntilDurable(core.ring.visible) }

  // MARK: Reading

  /// Passes the value of a key to `body` where it lies, if it has one, and says which version made what it found.
  ///
  /// With `onlyIfCached` it answers from memtables, filters and the block cache and never waits for the disk. `body` must be short, as for
  /// ``withValue(of:in:at:_:)``.
  public func read(
    _ key: RawSpan, in keyspace: Keyspace? = nil, at snapshot: Snapshot? = nil, onlyIfCached: Bool, _ body: (RawSpan) -> Void
  ) throws(LSMError) -> ReadAnswer {
    var answer = ReadAnswer.notCached
    try reading(keyspace.map { .passUnretained($0) }) { (core, keyspace) throws(LSMError) in
      answer = try core.read(key, keyspace, snapshot, onlyIfCached, body)
    }
    return answer
  }
}
