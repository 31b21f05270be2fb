public import StrataWriteAheadLog
import Synchronization

/// One change of one key.
public struct Mutation: Sendable, Hashable {
  /// When a value ends.
  public enum Expiry: Sendable, Hashable {
    /// After the store's `ttl`.
    case standard
    /// Never.
    case never
    /// This long from now; must not be negative.
    case after(Duration)
    /// At this time, in Unix milliseconds.
    case at(UInt64)
  }

  /// The key.
  public var key: [UInt8]
  /// The new value; `nil` deletes.
  public var value: [UInt8]?
  /// When the value ends.
  public var expiry: Expiry

  /// A change of `key` to `value`, `nil` to delete it.
  public init(key: [UInt8], value: [UInt8]?, expiry: Expiry = .standard) {
    self.key = key
    self.value = value
    self.expiry = expiry
  }

  /// Sets `key` to `value`.
  public static func put(_ key: [UInt8], _ value: [UInt8], expiry: Expiry = .standard) -> Mutation {
    Mutation(key: key, value: value, expiry: expiry)
  }

  /// Removes `key`.
  public static func delete(_ key: [UInt8]) -> Mutation { Mutation(key: key, value: nil) }
}

/// Writes that have their place and are visible, and may not be durable yet.
public struct Submission: Sendable, Hashable {
  /// The sequences taken, one for each change that wrote a record (a delete of an absent key writes none).
  public var sequences: Range<SequenceNumber>
  /// For each change, whether its key existed before it.
  public var existed: [Bool]
  /// What to wait for: acknowledged means all that came before is, too.
  var last: SequenceNumber
  /// Whether acknowledged means durable.
  var mustBeDurable: Bool
}

extension Bitcask {
  // MARK: Single keys

  /// Sets `key` to `value` and returns, once that is acknowledged under the store's durability, its sequence.
  ///
  /// `ttl` nil gives the store's standard life. O(1); one append.
  /// - Throws: `.keyTooLarge`, `.valueTooLarge`, `.invalidArgument` (negative `ttl`): nothing was written. `.noSpace`: nothing was written.
  ///   `.durabilityLost`: the value may or may not survive. `.closed`.
  @discardableResult
  public func put(_ key: [UInt8], _ value: [UInt8], ttl: Duration? = nil) throws(BitcaskError) -> SequenceNumber {
    let expiry = try expiry(for: ttl.map { .after($0) } ?? .standard, options.clock())
    if index.keepsKeys {
      // The common case allocates nothing but what the log and the index keep.
      let ticket = try place(key.span.bytes, value.span.bytes, expiry: expiry, mayBlock: true).ticket
      try committed { () throws(CommitError) in try commit.wait(for: ticket) }
      return ticket.last
    }
    let submission = try submit(Mutation(key: key, value: value, expiry: expiry == 0 ? .never : .at(expiry)))
    try wait(for: submission)
    return submission.sequences.lowerBound
  }

  /// As the blocking form; suspends.
  @discardableResult
  public func put(_ key: [UInt8], _ value: [UInt8], ttl: Duration? = nil) async throws(BitcaskError) -> SequenceNumber {
    let submission = try await submitSuspending([Mutation(key: key, value: value, expiry: ttl.map { .after($0) } ?? .standard)])
    try await wait(for: submission)
    return submission.sequences.lowerBound
  }

  /// Removes `key`; `false` where it was absent or expired, and then nothing is written. Acknowledged on return.
  @discardableResult
  public func delete(_ key: [UInt8]) throws(BitcaskError) -> Bool {
    let submission = try submit(Mutation(key: key, value: nil))
    try wait(for: submission)
    return submission.existed[0]
  }

  /// As the blocking form; suspends.
  @discardableResult
  public func delete(_ key: [UInt8]) async throws(BitcaskError) -> Bool {
    let submission = try await submitSuspending([Mutation(key: key, value: nil)])
    try await wait(for: submission)
    return submission.existed[0]
  }

  // MARK: Batches

  /// Applies every change or, after a crash, none; returns the sequences taken once they are acknowledged. Changes of one key apply in order.
  ///
  /// An empty batch, or one of deletes of absent keys only, takes no sequence: the range is empty.
  @discardableResult
  public func write(_ batch: [Mutation]) throws(BitcaskError) -> Range<SequenceNumber> {
    let submission = try submit(batch)
    try wait(for: submission)
    return submission.sequences
  }

  /// As the blocking form; suspends.
  @discardableResult
  public func write(_ batch: [Mutation]) async throws(BitcaskError) -> Range<SequenceNumber> {
    let submission = try await submitSuspending(batch)
    try await wait(for: submission)
    return submission.sequences
  }

  // MARK: Compare and set

  /// Sets `key` to `value` (`nil` deletes) if the sequence of its present value is `expected` (`nil`: if it is absent). `true` when it was.
  public func compareAndSet(_ key: [UInt8], expected: SequenceNumber?, _ value: [UInt8]?, ttl: Duration? = nil) throws(BitcaskError) -> Bool {
    let mutation = Mutation(key: key, value: value, expiry: ttl.map { .after($0) } ?? .standard)
    while true {
      let resolution = try resolve(key)
      guard try resolution.liveSequence(self, key) == expected else { return false }
      if value == nil, expected == nil { return true }
      if let submission = try place([mutation], [resolution], durability: nil, mayBlock: true) {
        try wait(for: submission)
        return true
      }
    }
  }

  /// As the blocking form, on a thread that may wait; suspends.
  public func compareAndSet(
    _ key: [UInt8], expected: SequenceNumber?, _ value: [UInt8]?, ttl: Duration? = nil
  ) async throws(BitcaskError) -> Bool {
    try await offload { () throws(BitcaskError) in try self.compareAndSet(key, expected: expected, value, ttl: ttl) }
  }

  // MARK: Submitting

  /// Gives changes their sequences and makes them visible, all or nothing; they are acknowledged once ``wait(for:)-(Submission)`` returns.
  ///
  /// - Parameters:
  ///   - durability: what acknowledged means for this submission; `nil` for the store's.
  ///   - mayBlock: `false` for event loops: throws `.wouldBlock` instead of waiting for room or a disk. Fingerprint mode reads
  ///     records to tell keys apart and may block all the same.
  public func submit(_ batch: [Mutation], durability: Durability? = nil, mayBlock: Bool = true) throws(BitcaskError) -> Submission {
    try checkOpen()
    while true {
      var resolutions: [Resolution?] = []
      resolutions.reserveCapacity(batch.count)
      for mutation in batch {
        let needed = !index.keepsKeys || mutation.value == nil
        resolutions.append(needed ? try resolve(mutation.key) : nil)
      }
      if let submission = try place(batch, resolutions, durability: durability, mayBlock: mayBlock) { return submission }
    }
  }

  /// One change; see ``submit(_:durability:mayBlock:)-([Mutation],_,_)``.
  public func submit(_ mutation: Mutation, durability: Durability? = nil, mayBlock: Bool = true) throws(BitcaskError) -> Submission {
    try submit([mutation], durability: durability, mayBlock: mayBlock)
  }

  private func submitSuspending(_ batch: [Mutation]) async throws(BitcaskError) -> Submission {
    while true {
      do throws(BitcaskError) { return try submit(batch, mayBlock: false) } catch {
        guard error == .wouldBlock else { throw error }
      }
      let bytes = batch.reduce(0) { $0 + RecordHeader.recordBytes(key: $1.key.count, value: $1.value?.count ?? 0) }
      let failure = await withCheckedContinuation { continuation in whenRoom(forBytes: bytes) { continuation.resume(returning: $0) } }
      if let failure { throw failure }
    }
  }

  /// Blocks until a submission is acknowledged under its durability.
  public func wait(for submission: Submission) throws(BitcaskError) {
    try committed { () throws(CommitError) in try commit.wait(for: submission.last, durably: submission.mustBeDurable) }
  }

  /// Suspends until a submission is acknowledged under its durability.
  public func wait(for submission: Submission) async throws(BitcaskError) {
    do throws(CommitError) { try await commit.wait(for: submission.last, durably: submission.mustBeDurable) } catch { throw BitcaskError(error) }
  }

  /// Calls `body` once everything up to `sequence` is acknowledged, or with the error that keeps it from ever being. At once on the calling
  /// thread where that is decided, else on the thread that wrote it; `body` must be short.
  public func whenAcknowledged(_ sequence: SequenceNumber, _ body: @escaping @Sendable (BitcaskError?) -> Void) {
    commit.whenReached(sequence, durably: false) { body($0.map { BitcaskError($0) }) }
  }

  /// Calls `body` once everything up to `sequence` survives power loss, whatever the durability; asks for a sync where needed.
  public func whenDurable(_ sequence: SequenceNumber, _ body: @escaping @Sendable (BitcaskError?) -> Void) {
    commit.whenReached(sequence, durably: true) { body($0.map { BitcaskError($0) }) }
  }

  /// Whether a submission of modest size would be taken without waiting.
  public var hasRoom: Bool { commit.hasRoom }

  /// Makes room for `bytes` of records on a thread that may wait, then calls `body` there, with what kept it from succeeding if anything.
  public func whenRoom(forBytes bytes: Int, _ body: @escaping @Sendable (BitcaskError?) -> Void) {
    commit.whenRoom(forBytes: bytes) { body($0.map { BitcaskError($0) }) }
  }
}
