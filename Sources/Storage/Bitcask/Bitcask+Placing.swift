import StrataDisk
import StrataJobs
import StrataWriteAheadLog
import Synchronization

/// What the directory said of a key when a conditional write was prepared. The write is made only if it still says so.
struct Resolution: Sendable {
  var hash: KeyHash
  /// Where the key's record is, expired or not.
  var location: Location?
  var expiry: UInt64
  /// Fingerprint mode: every location with the key's hash.
  var candidates: [Location]
  var isLive: Bool

  /// The sequence of the key's value; `nil` where it is absent or expired.
  func liveSequence(_ store: Bitcask, _ key: [UInt8]) throws(BitcaskError) -> SequenceNumber? {
    guard isLive else { return nil }
    guard case .found(let sequence) = try store.read(key, onlyIfCached: false, { $0.sequence }) else { return nil }
    return sequence
  }
}

/// A change on its way into the log.
private struct PlannedChange {
  var mutation: Int
  var hash: KeyHash
  var expiry: UInt64
  /// What has to be as it was; `nil` for a change that needs nothing to be.
  var resolution: Resolution?
  /// The earlier change of the same key in this batch, by its place in the plan.
  var previous: Int?
}

extension Bitcask {
  private static let maxBatchBytes = 1 << 30

  /// What the directory knows of `key` now.
  func resolve(_ key: [UInt8]) throws(BitcaskError) -> Resolution {
    let hash = key.withUnsafeBytes { KeyHash(of: $0) }
    let now = options.clock()
    if index.keepsKeys {
      let entry = key.withUnsafeBytes { index.lookup(hash, $0) }
      let isLive = entry.map { $0.expiry == 0 || $0.expiry > now } ?? false
      return Resolution(hash: hash, location: entry?.location, expiry: entry?.expiry ?? 0, candidates: [], isLive: isLive)
    }
    while true {
      let candidates = index.candidates(hash)
      var isStale = false
      for location in candidates {
        switch try readRecord(at: location, key: key, { $0.expiry }) {
        case .value(let expiry):
          let isLive = expiry == 0 || expiry > now
          return Resolution(hash: hash, location: location, expiry: expiry, candidates: candidates, isLive: isLive)
        case .otherKey: continue
        case .gone: isStale = true
        case .unsound(let keyMatches):
          if keyMatches { return Resolution(hash: hash, location: location, expiry: 0, candidates: candidates, isLive: true) }
        case .notCached: continue
        }
      }
      if !isStale || index.candidates(hash) == candidates {
        return Resolution(hash: hash, location: nil, expiry: 0, candidates: candidates, isLive: false)
      }
    }
  }

  /// Submits changes under the conditions of their resolutions; `nil` where one no longer holds, and then nothing happened.
  func place(
    _ batch: [Mutation], _ resolutions: [Resolution?], durability: Durability?, mayBlock: Bool
  ) throws(BitcaskError) -> Submission? {
    try checkOpen()
    let now = options.clock()
    let (plan, bytes) = try plan(batch, resolutions, now)
    var existed = [Bool](repeating: false, count: batch.count)
    guard !plan.isEmpty else {
      // The absence of the keys may rest on removals that are still under way.
      let last = lastRemoval.load(ordering: .acquiring)
      let mustBeDurable = (durability ?? options.durability) == .everyWrite
      return Submission(sequences: last + 1..<last + 1, existed: existed, last: last, mustBeDurable: mustBeDurable)
    }
    var isRefused = false
    let ticket = try committed { () throws(CommitError) in
      try commit.submit(atMost: bytes, operations: plan.count, durability: durability, mayBlock: mayBlock) { buffer, placement in
        for change in plan where change.previous == nil {
          if let resolution = change.resolution, !stillHolds(resolution, batch[change.mutation].key) {
            isRefused = true
            return -1
          }
        }
        return encode(plan, batch, buffer, placement, now, &existed)
      }
    }
    if isRefused { return nil }
    return Submission(
      sequences: ticket.first..<ticket.last + 1, existed: existed, last: ticket.last, mustBeDurable: ticket.mustBeDurable)
  }

  /// Checks limits, gives each change its expiry and leaves out the deletes of absent keys.
  private func plan(_ batch: [Mutation], _ resolutions: [Resolution?], _ now: UInt64) throws(BitcaskError) -> ([PlannedChange], bytes: Int) {
    var plan: [PlannedChange] = []
    plan.reserveCapacity(batch.count)
    var bytes = 0
    var latest: [[UInt8]: Int] = [:]
    for (number, mutation) in batch.enumerated() {
      guard mutation.key.count <= options.maxKeyBytes else { throw .keyTooLarge(size: mutation.key.count, limit: options.maxKeyBytes) }
      let valueBytes = mutation.value?.count ?? 0
      guard valueBytes <= options.maxValueBytes else { throw .valueTooLarge(size: valueBytes, limit: options.maxValueBytes) }
      let expiry = try expiry(of: mutation, now)
      let previous = batch.count > 1 ? latest[mutation.key] : nil
      if mutation.value == nil {
        // Absent: neither an earlier change of the batch nor the directory has it.
        let exists = previous.map { batch[plan[$0].mutation].value != nil } ?? resolutions[number]?.isLive ?? false
        if !exists { continue }
      }
      let hash = resolutions[number]?.hash ?? mutation.key.withUnsafeBytes { KeyHash(of: $0) }
      if batch.count > 1 { latest[mutation.key] = plan.count }
      plan.append(PlannedChange(mutation: number, hash: hash, expiry: expiry, resolution: resolutions[number], previous: previous))
      bytes += RecordHeader.recordBytes(key: mutation.key.count, value: valueBytes)
      guard bytes <= Self.maxBatchBytes + options.maxValueBytes else {
        throw .invalidArgument("a batch of more than \(Self.maxBatchBytes) bytes; split it")
      }
    }
    return (plan, bytes)
  }

  /// Unix milliseconds, 0 for never.
  private func expiry(of mutation: Mutation, _ now: UInt64) throws(BitcaskError) -> UInt64 {
    mutation.value == nil ? 0 : try expiry(for: mutation.expiry, now)
  }

  /// Unix milliseconds, 0 for never.
  func expiry(for expiry: Mutation.Expiry, _ now: UInt64) throws(BitcaskError) -> UInt64 {
    switch expiry {
    case .standard: return standardLife == 0 ? 0 : now &+ standardLife
    case .never: return 0
    case .after(let life):
      guard life >= .zero else { throw .invalidArgument("a negative time to live: \(life)") }
      return max(1, now &+ UInt64(life.nanoseconds / 1_000_000))
    case .at(let time): return max(1, time)
    }
  }

  /// Whether the directory still says what it said; under the commit lock.
  private func stillHolds(_ resolution: Resolution, _ key: [UInt8]) -> Bool {
    if index.keepsKeys { return key.withUnsafeBytes { index.lookup(resolution.hash, $0) }?.location == resolution.location }
    let now = index.candidates(resolution.hash)
    return now.count == resolution.candidates.count && now.allSatisfy(resolution.candidates.contains)
  }

  /// Writes the records into `buffer` and points the directory at them; under the commit lock, so both are in sequence order.
  private func encode(
    _ plan: [PlannedChange], _ batch: [Mutation], _ buffer: UnsafeMutableRawBufferPointer, _ placement: Placement, _ now: UInt64,
    _ existed: inout [Bool]
  ) -> Int {
    let segment = UInt32(truncatingIfNeeded: placement.segment)
    let seal = RecordSeal(salt: placement.salt, segment: segment)
    var used = 0
    var locations: [Location] = []
    if plan.count > 1 { locations.reserveCapacity(plan.count) }
    for (number, change) in plan.enumerated() {
      let mutation = batch[change.mutation]
      let sequence = placement.sequence + UInt64(number)
      var flags: RecordHeader.Flags = mutation.value == nil ? .tombstone : []
      if change.expiry != 0 { flags.insert(.expiry) }
      if plan.count > 1 { flags.insert(number == plan.count - 1 ? .batchEnd : .batchMiddle) }
      let header = RecordHeader(
        flags: flags, keyLength: mutation.key.count, valueLength: mutation.value?.count ?? 0, sequence: sequence, expiry: change.expiry,
        durableLag: UInt16(clamping: sequence - min(sequence, placement.durableSequence)), writtenAt: UInt32(truncatingIfNeeded: now / 1000))
      let offset = placement.offset + UInt64(used)
      let location = Location(segment: segment, offset: offset, length: UInt32(header.recordBytes))
      let known = change.previous.map { locations[$0] } ?? change.resolution?.location
      let room = UnsafeMutableRawBufferPointer(rebasing: buffer[used...])
      mutation.key.withUnsafeBytes { key in
        let old = apply(change, key, mutation.value != nil, location, sequence, known)
        let oldExpiry = index.keepsKeys ? old?.expiry ?? 0 : (change.previous == nil ? change.resolution?.expiry ?? 0 : 0)
        existed[change.mutation] = old != nil && (oldExpiry == 0 || oldExpiry > now)
        if let value = mutation.value {
          value.withUnsafeBytes { seal.encode(header, key: key, value: $0, at: offset, into: room) }
        } else {
          seal.encode(header, key: key, value: UnsafeRawBufferPointer(start: nil, count: 0), at: offset, into: room)
        }
      }
      used += header.recordBytes
      if plan.count > 1 { locations.append(location) }
    }
    return used
  }

  /// Points the directory at a change and returns what it pointed to before.
  private func apply(
    _ change: PlannedChange, _ key: UnsafeRawBufferPointer, _ isPut: Bool, _ location: Location, _ sequence: UInt64, _ known: Location?
  ) -> DirectoryEntry? {
    // Before the key disappears, so that whoever misses it finds what to wait for.
    if !isPut { lastRemoval.store(sequence, ordering: .releasing) }
    let keepsHistory = snapshots.areActive
    let old = index.withShard(of: change.hash) { shard -> DirectoryEntry? in
      let slot = index.keepsKeys ? shard.table.find(change.hash, key) : known.flatMap { shard.table.find(change.hash, at: $0) }
      let old = slot.map { shard.table.entry($0) }
      if keepsHistory, snapshots.mayAddVersion() {
        let segment = old.flatMap { table.segment($0.location.segment) }
        shard.history.add(key, KeyHistory.Version(supersededAt: sequence, entry: old, segment: segment))
      }
      if isPut {
        index.set(&shard, slot, change.hash, key, DirectoryEntry(location: location, expiry: change.expiry))
      } else if let slot {
        index.remove(&shard, slot)
      }
      return old
    }
    table.account(
      added: location.segment, bytes: Int(location.length), isLive: isPut, expiry: change.expiry, lost: old?.location)
    return old
  }
}
