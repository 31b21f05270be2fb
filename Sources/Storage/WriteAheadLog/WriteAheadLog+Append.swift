import StrataBytes
import StrataDisk

extension WriteAheadLog {
  // MARK: Submitting

  /// Orders a record without waiting: it has its sequence and is visible to replay once written, and becomes durable with the next group
  /// anybody waits for. Wait with ``waitDurable(_:)``, or for what `durability` asks with ``append(_:durability:)``.
  /// Blocks only while more than `maxPendingBytes` are unwritten or a new segment has to be made.
  /// - Throws: `.recordTooLarge`, `.invalidKind`, `.noSpace`: nothing was taken. `.durabilityLost`, `.closed`.
  @discardableResult
  public func submit(_ record: WALRecord) throws(WALError) -> SequenceNumber { try place(record, options.durability).last }

  /// As ``submit(_:)`` for an application record whose payload is borrowed; the fastest form.
  @discardableResult
  public func submit(kind: UInt8, _ payload: RawSpan) throws(WALError) -> SequenceNumber { try place(kind, payload, options.durability).last }

  /// Orders several records as one unit, which after a crash is there wholly or not at all. An empty batch takes nothing.
  @discardableResult
  public func submit(batch: [WALRecord]) throws(WALError) -> ClosedRange<SequenceNumber>? {
    let ticket = try place(batch, options.durability)
    return ticket.map { $0.first...$0.last }
  }

  /// Blocks until everything up to `sequence` survives power loss, whatever the mode.
  public func waitDurable(_ sequence: SequenceNumber) throws(WALError) {
    let commit = try writer()
    guard sequence <= commit.submittedSequence else { throw .truncateBeyondEnd(requested: sequence, last: commit.submittedSequence) }
    do { try commit.wait(for: sequence, durably: true) } catch { throw WALError(error, directory) }
  }

  /// Suspends until everything up to `sequence` survives power loss; blocks no thread.
  public func waitDurable(_ sequence: SequenceNumber) async throws(WALError) {
    let commit = try writer()
    guard sequence <= commit.submittedSequence else { throw .truncateBeyondEnd(requested: sequence, last: commit.submittedSequence) }
    do { try await commit.wait(for: sequence, durably: true) } catch { throw WALError(error, directory) }
  }

  /// Calls `body` once everything up to `sequence` survives power loss, or with the error that prevents it. `body` runs on the calling or the
  /// committing thread and must be short.
  public func whenDurable(_ sequence: SequenceNumber, _ body: @escaping @Sendable (WALError?) -> Void) {
    guard let commit else { return body(.readOnly) }
    let last = commit.submittedSequence
    guard sequence <= last else { return body(.truncateBeyondEnd(requested: sequence, last: last)) }
    let directory = directory
    commit.whenReached(sequence, durably: true) { error in body(error.map { WALError($0, directory) }) }
  }

  // MARK: Appending

  /// Appends a record and blocks until it is acknowledged under `durability` (the log's own where `nil`).
  /// - Throws: as ``submit(_:)``.
  @discardableResult
  public func append(_ record: WALRecord, durability: Durability? = nil) throws(WALError) -> SequenceNumber {
    try wait(try place(record, durability ?? options.durability))
  }

  /// Appends a record and suspends until it is acknowledged.
  @discardableResult
  public func append(_ record: WALRecord, durability: Durability? = nil) async throws(WALError) -> SequenceNumber {
    try await wait(try place(record, durability ?? options.durability))
  }

  /// Appends an application record with a borrowed payload; otherwise as ``append(_:durability:)``.
  @discardableResult
  public func append(kind: UInt8, _ payload: RawSpan, durability: Durability? = nil) throws(WALError) -> SequenceNumber {
    try wait(try place(kind, payload, durability ?? options.durability))
  }

  /// Appends records as one unit: consecutive sequences, one frame, one sync whatever the mode unless `durability` weakens it.
  /// - Returns: the sequences, `nil` for an empty batch, which takes nothing.
  @discardableResult
  public func append(batch: [WALRecord], durability: Durability = .everyWrite) throws(WALError) -> ClosedRange<SequenceNumber>? {
    guard let ticket = try place(batch, durability) else { return nil }
    try wait(ticket)
    return ticket.first...ticket.last
  }

  /// Appends records as one unit and suspends until they are acknowledged.
  @discardableResult
  public func append(batch: [WALRecord], durability: Durability = .everyWrite) async throws(WALError) -> ClosedRange<SequenceNumber>? {
    guard let ticket = try place(batch, durability) else { return nil }
    try await wait(ticket)
    return ticket.first...ticket.last
  }

  /// Writes a checkpoint with a payload of the application's; durable on return in every mode. It takes a sequence of its own, replay passes
  /// over it, ``lastCheckpoint`` finds it after a restart.
  @discardableResult
  public func checkpoint(_ payload: [UInt8] = []) throws(WALError) -> SequenceNumber {
    let sequence = try wait(try place(checkpoint: payload))
    remember(sequence, payload)
    return sequence
  }

  /// Writes a checkpoint; durable when it returns. Blocks no thread.
  @discardableResult
  public func checkpoint(_ payload: [UInt8] = []) async throws(WALError) -> SequenceNumber {
    let sequence = try await wait(try place(checkpoint: payload))
    remember(sequence, payload)
    return sequence
  }

  private func remember(_ sequence: SequenceNumber, _ payload: [UInt8]) {
    lastCheckpointMemory.withLock { present in
      if sequence > present?.sequence ?? 0 { present = Checkpoint(sequence: sequence, payload: payload) }
    }
  }

  @discardableResult
  private func wait(_ ticket: CommitTicket) throws(WALError) -> SequenceNumber {
    let commit = try writer()
    do { try commit.wait(for: ticket) } catch { throw WALError(error, directory) }
    return ticket.last
  }

  @discardableResult
  private func wait(_ ticket: CommitTicket) async throws(WALError) -> SequenceNumber {
    let commit = try writer()
    do { try await commit.wait(for: ticket) } catch { throw WALError(error, directory) }
    return ticket.last
  }

  // MARK: For engines with an order of their own

  /// Orders an application record and returns what ``acknowledge(_:)-(CommitTicket)`` waits for, so that an engine can apply the record before
  /// it is acknowledged. Never waits: `nil` where room has to be made first, with ``makeRoom(forPayload:)``. `kind` is one the log takes.
  /// - Parameter mark: the record's place in the engine's order, which only grows; see ``acknowledgedMark``.
  @inline(__always)
  package func order(
    kind: UInt8, _ payload: UnsafeRawBufferPointer, durability: Durability, mark: UInt64
  ) throws(WALError) -> CommitTicket? {
    let commit = try writer()
    let bytes = try checked(LogicalRecord.bytes(payload.count))
    do throws(CommitError) {
      return try submit(to: commit, .operation, count: 1, bytes, durability, mark: mark, mayBlock: false) { frames, _ in
        LogicalRecord.write(kind, payload, nil, to: &frames)
      }
    } catch {
      if case .wouldBlock = error { return nil }
      throw WALError(error, directory)
    }
  }

  /// Makes room for what ``order(kind:_:durability:mark:)`` did not take. Blocks; the room may be taken again by then.
  package func makeRoom(forPayload bytes: Int) throws(WALError) {
    let commit = try writer()
    let bound = Frame.bound(payload: LogicalRecord.bytes(bytes) + LogicalRecord.prefixBound)
    if let error = commit.makeRoom(forBytes: bound) { throw WALError(error, directory) }
  }

  /// Whether a record of modest size would be taken without waiting.
  package var hasRoom: Bool { commit?.hasRoom ?? false }

  /// Says which mark the records so far have together.
  package func begin(mark: UInt64) { commit?.begin(mark: mark) }

  /// Everything up to this mark is acknowledged under its durability. One atomic load.
  package var acknowledgedMark: UInt64 { commit?.acknowledgedMark ?? 0 }

  /// Blocks until everything up to a mark is acknowledged or, with `durably`, survives power loss.
  package func wait(forMark mark: UInt64, durably: Bool) throws(WALError) {
    let commit = try writer()
    do { try commit.wait(forMark: mark, durably: durably) } catch { throw WALError(error, directory) }
  }

  /// Calls `body` once everything up to a mark is acknowledged or, with `durably`, survives power loss, or with what prevents it. On the calling or
  /// the committing thread; short.
  package func whenReached(mark: UInt64, durably: Bool, _ body: @escaping @Sendable (WALError?) -> Void) {
    guard let commit else { return body(.readOnly) }
    let directory = directory
    commit.whenReached(mark: mark, durably: durably) { error in body(error.map { WALError($0, directory) }) }
  }

  /// Blocks until what ``order(kind:_:durability:)`` took is acknowledged.
  package func acknowledge(_ ticket: CommitTicket) throws(WALError) { try wait(ticket) }

  /// Suspends until what ``order(kind:_:durability:)`` took is acknowledged.
  package func acknowledge(_ ticket: CommitTicket) async throws(WALError) { try await wait(ticket) }

  // MARK: Placing

  private func place(_ record: WALRecord, _ durability: Durability) throws(WALError) -> CommitTicket {
    if case .application(let kind, _) = record { try check(kind) }
    return try place(.operation, count: 1, bytes: LogicalRecord.bytes(of: record), durability) { frames, _ in
      LogicalRecord.write(record, to: &frames)
    }
  }

  private func place(_ kind: UInt8, _ payload: RawSpan, _ durability: Durability) throws(WALError) -> CommitTicket {
    try check(kind)
    return try payload.withUnsafeBytes { (bytes) throws(WALError) in
      try place(.operation, count: 1, bytes: LogicalRecord.bytes(bytes.count), durability) { frames, _ in
        LogicalRecord.write(kind, bytes, nil, to: &frames)
      }
    }
  }

  private func place(_ batch: [WALRecord], _ durability: Durability) throws(WALError) -> CommitTicket? {
    guard !batch.isEmpty else {
      _ = try writer()
      return nil
    }
    var bytes = 0
    for record in batch {
      if case .application(let kind, _) = record { try check(kind) }
      bytes += LogicalRecord.bytes(of: record)
    }
    return try place(.batch, count: batch.count, bytes: bytes, durability) { frames, _ in
      for record in batch { LogicalRecord.write(record, to: &frames) }
    }
  }

  private func place(checkpoint payload: [UInt8]) throws(WALError) -> CommitTicket {
    try payload.span.bytes.withUnsafeBytes { (bytes) throws(WALError) in
      try place(.checkpoint, count: 1, bytes: LogicalRecord.bytes(bytes.count), .everyWrite) { frames, placement in
        LogicalRecord.write(LogicalRecord.Operation.checkpoint, bytes, nil, to: &frames)
        segments.note(
          checkpoint: CheckpointPlace(sequence: placement.sequence, segment: placement.segment, offset: frames.start))
      }
    }
  }

  /// Writes the record that raises the low-water mark; takes no sequence.
  func place(truncation sequence: SequenceNumber) throws(WALError) {
    _ = try place(.truncate, count: 0, bytes: LogicalRecord.bytes(0) + 10, .everyWrite) { frames, _ in
      frames.write(LogicalRecord.Operation.truncate)
      frames.write(varint: sequence)
      segments.raise(lowWater: sequence)
    }
  }

  private func check(_ kind: UInt8) throws(WALError) {
    if kind < LogicalRecord.Operation.firstApplicationKind { throw .invalidKind(kind) }
  }

  @inline(__always)
  private func place(
    _ kind: LogicalRecord.Kind, count: Int, bytes: Int, _ durability: Durability, _ write: (inout FrameWriter, Placement) -> Void
  ) throws(WALError) -> CommitTicket {
    let commit = try writer()
    let bytes = try checked(bytes)
    do throws(CommitError) {
      return try submit(to: commit, kind, count: count, bytes, durability, mark: nil, mayBlock: true, write)
    } catch { throw WALError(error, directory) }
  }

  /// The most bytes of a record's payload of `bytes`, where the log takes that many.
  private func checked(_ bytes: Int) throws(WALError) -> Int {
    let bound = bytes + LogicalRecord.prefixBound
    guard bound <= options.maxRecordBytes else { throw .recordTooLarge(size: bound, limit: options.maxRecordBytes) }
    return bound
  }

  @inline(__always)
  private func submit(
    to commit: GroupCommit, _ kind: LogicalRecord.Kind, count: Int, _ bytes: Int, _ durability: Durability, mark: UInt64?, mayBlock: Bool,
    _ write: (inout FrameWriter, Placement) -> Void
  ) throws(CommitError) -> CommitTicket {
    let frameState = segments.frames
    return try commit.submit(
      atMost: Frame.bound(payload: bytes), operations: count, durability: durability, mark: mark, mayBlock: mayBlock, mayExceed: mayBlock
    ) { buffer, placement in
      let seed = frameState.seed(for: placement)
      var frames = FrameWriter(buffer, at: placement.offset, sequence: placement.sequence, seed: seed, digest: frameState.digest)
      LogicalRecord.writePrefix(kind, count: count, watermark: placement.durableSequence, to: &frames)
      write(&frames, placement)
      let used = frames.finish()
      frameState.digest = frames.digest
      return used
    }
  }
}
