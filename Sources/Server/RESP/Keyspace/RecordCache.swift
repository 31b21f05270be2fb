import StrataBytes

import struct NIOConcurrencyHelpers.NIOLock

/// What the server knows of recently used keys without asking the engine: small records, and that there is none. Bounded; correct whatever
/// is evicted.
///
/// Stripes with a lock each hold sets of four places, one cache line a set. A write runs with its key's stripe locked (``write(_:_:expiry:_:)``), or
/// with keeping suspended there (``suspend(_:)``); a reader that asked the engine keeps the answer only if no write has come between. So nobody
/// reads something older here than anybody has read from the engine before.
final class RecordCache: Sendable {
  /// Records whose key and value are longer together are not kept.
  static let maxRecordBytes = 1024
  /// As ``maxRecordBytes`` for parts of structures, which are read and written again and again.
  static let maxPartBytes = 4352
  private static let stripes = 64
  private static let ways = 4

  private struct Entry {
    var hash: UInt64 = 0
    var record: UnsafeMutablePointer<Record>?
  }

  /// The head of a block; the key follows, then the value.
  private struct Record {
    var expiry: UInt64
    var sequence: UInt64
    var keyBytes: UInt32
    var valueBytes: UInt32
    /// Bytes of the block.
    var size: UInt32
    /// There is no such key.
    var isAbsent: Bool
  }

  private final class Stripe: Sendable {
    let lock = NIOLock()
    // Guarded by `lock`, like all below.
    nonisolated(unsafe) var version: UInt64 = 0
    // As above. Writes under way that do not hold the lock.
    nonisolated(unsafe) var writing = 0
    // As above. Bytes of all blocks.
    nonisolated(unsafe) var used = 0
    // As above. Where eviction goes on.
    nonisolated(unsafe) var hand = 0
    // As above; never reassigned.
    nonisolated(unsafe) let entries: UnsafeMutablePointer<Entry>
    let count: Int
    let maxBytes: Int

    init(count: Int, maxBytes: Int) {
      self.count = count
      self.maxBytes = maxBytes
      let memory = UnsafeMutableRawPointer.allocate(byteCount: count * MemoryLayout<Entry>.stride, alignment: 64)
      entries = memory.bindMemory(to: Entry.self, capacity: count)
      entries.initialize(repeating: Entry(), count: count)
    }

    deinit {
      for index in 0..<count { entries[index].record?.deallocate() }
      entries.deallocate()
    }

    @inline(__always)
    func home(_ hash: UInt64) -> Int { Int(truncatingIfNeeded: hash >> 8) & (count - RecordCache.ways) }

    func drop(_ index: Int) {
      guard let record = entries[index].record else { return }
      used -= Int(record.pointee.size)
      UnsafeMutableRawPointer(record).deallocate()
      entries[index] = Entry()
    }

    /// The place of a key, with the lock held.
    @inline(__always)
    func find(_ hash: UInt64, _ key: UnsafeRawBufferPointer) -> Int? {
      let home = home(hash)
      for index in home..<(home + RecordCache.ways) where entries[index].hash == hash {
        guard let record = entries[index].record, Int(record.pointee.keyBytes) == key.count else { continue }
        if compare(UnsafeRawBufferPointer(start: RecordCache.bytes(record), count: key.count), key) == 0 { return index }
      }
      return nil
    }

    /// Puts a record into a place of its set, with the lock held; `value` `nil` for none.
    func store(_ hash: UInt64, _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer?, expiry: UInt64, sequence: UInt64) {
      let valueBytes = value?.count ?? 0
      let size = MemoryLayout<Record>.stride + key.count + valueBytes
      guard key.count + valueBytes <= RecordCache.limit(key), size <= maxBytes else { return }
      let home = home(hash)
      let free = (home..<(home + RecordCache.ways)).first { entries[$0].record == nil }
      let index = free ?? home + Int(truncatingIfNeeded: version) & (RecordCache.ways - 1)
      drop(index)
      while used + size > maxBytes {
        drop(hand)
        hand = (hand + 1) & (count - 1)
      }
      let record = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 8).bindMemory(to: Record.self, capacity: 1)
      record.initialize(
        to: Record(
          expiry: expiry, sequence: sequence, keyBytes: UInt32(key.count), valueBytes: UInt32(valueBytes), size: UInt32(size),
          isAbsent: value == nil))
      UnsafeMutableRawBufferPointer(start: RecordCache.bytes(record), count: key.count).copyMemory(from: key)
      if let value { UnsafeMutableRawBufferPointer(start: RecordCache.bytes(record) + key.count, count: valueBytes).copyMemory(from: value) }
      entries[index] = Entry(hash: hash, record: record)
      used += size
      // Another place of a full set is taken next time.
      version &+= 1
    }

    /// Brings a record that is here up to date, with the lock held; `value` `nil` for none.
    @inline(__always)
    func replace(_ index: Int, _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer?, expiry: UInt64, sequence: UInt64) {
      guard let record = entries[index].record else { return }
      let valueBytes = value?.count ?? 0
      guard MemoryLayout<Record>.stride + key.count + valueBytes <= Int(record.pointee.size) else {
        let hash = entries[index].hash
        drop(index)
        return store(hash, key, value, expiry: expiry, sequence: sequence)
      }
      record.pointee.expiry = expiry
      record.pointee.sequence = sequence
      record.pointee.valueBytes = UInt32(valueBytes)
      record.pointee.isAbsent = value == nil
      if let value { UnsafeMutableRawBufferPointer(start: RecordCache.bytes(record) + key.count, count: valueBytes).copyMemory(from: value) }
    }
  }

  @inline(__always)
  private static func bytes(_ record: UnsafeMutablePointer<Record>) -> UnsafeMutableRawPointer {
    UnsafeMutableRawPointer(record) + MemoryLayout<Record>.stride
  }

  private let shards: [Stripe]
  private let unowned: [Unmanaged<Stripe>]

  /// Keeps at most `bytes` of records, and 16 bytes for each 128 of them; 0 keeps nothing.
  init(bytes: Int) {
    let stripeBytes = bytes / Self.stripes
    var count = Self.ways
    while count < stripeBytes / 128 { count *= 2 }
    let places = count
    shards = bytes == 0 ? [] : (0..<Self.stripes).map { _ in Stripe(count: places, maxBytes: stripeBytes) }
    unowned = shards.map { Unmanaged.passUnretained($0) }
  }

  /// Bytes of key and value beyond which a record of this key is not kept.
  static func limit(_ key: UnsafeRawBufferPointer) -> Int { key.first == StructureKeys.parts ? maxPartBytes : maxRecordBytes }

  static func hash(_ key: UnsafeRawBufferPointer) -> UInt64 { xxh64(key.bytes, seed: 0x5EED) }

  // The cache holds its stripes, so they need not be counted at every use.
  @inline(__always)
  private func stripe(_ hash: UInt64) -> Unmanaged<Stripe> { unowned[Int(truncatingIfNeeded: hash) & (Self.stripes - 1)] }

  /// Calls `body` with the stripe of a hash, locked.
  @inline(__always)
  private func withStripe<Result>(_ hash: UInt64, _ body: (Stripe) -> Result) -> Result {
    stripe(hash)._withUnsafeGuaranteedRef { stripe in
      stripe.lock.lock()
      defer { stripe.lock.unlock() }
      return body(stripe)
    }
  }

  var isOn: Bool { !shards.isEmpty }

  /// Passes a kept record to `body` (value, expiry) and answers what is known; else the version to hand to ``keep``.
  @inline(__always)
  func read(
    _ hash: UInt64, _ key: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer, UInt64) -> Void
  ) -> (outcome: ReadOutcome?, version: UInt64) {
    withStripe(hash) { stripe in
      guard let index = stripe.find(hash, key), let record = stripe.entries[index].record else { return (nil, stripe.version) }
      let head = record.pointee
      if head.isAbsent { return (.absent(asOf: head.sequence), 0) }
      body(UnsafeRawBufferPointer(start: Self.bytes(record) + key.count, count: Int(head.valueBytes)), head.expiry)
      return (.found(expiry: head.expiry, sequence: head.sequence), 0)
    }
  }

  /// Keeps what was read since `version`, unless a write to its stripe came between; `value` `nil` for no record.
  func keep(
    _ hash: UInt64, _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer?, expiry: UInt64, sequence: UInt64, version: UInt64
  ) {
    withStripe(hash) { stripe in
      guard stripe.version == version, stripe.writing == 0, stripe.find(hash, key) == nil else { return }
      stripe.store(hash, key, value, expiry: expiry, sequence: sequence)
    }
  }

  /// Writes one key through: `change` writes to the engine, told what is known of the key; what is kept follows. `value` `nil` for a removal.
  @inline(__always)
  func write(
    _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer?, expiry: UInt64, _ change: (ReadOutcome?) throws(EngineError) -> WriteOutcome
  ) throws(EngineError) -> WriteOutcome {
    guard isOn else { return try change(nil) }
    let hash = Self.hash(key)
    let stripe = stripe(hash).takeUnretainedValue()
    stripe.lock.lock()
    defer { stripe.lock.unlock() }
    stripe.version &+= 1
    guard let index = stripe.find(hash, key), let record = stripe.entries[index].record else { return try change(nil) }
    let sequence = record.pointee.sequence
    let known: ReadOutcome = record.pointee.isAbsent ? .absent(asOf: sequence) : .found(expiry: record.pointee.expiry, sequence: sequence)
    do throws(EngineError) {
      let outcome = try change(known)
      stripe.replace(index, key, value, expiry: expiry, sequence: outcome.sequence)
      return outcome
    } catch {
      // How much of a failed write the engine shows is the engine's to say.
      stripe.drop(index)
      throw error
    }
  }

  /// Forgets a key that is about to be written, and keeps nothing of its stripe until ``resume(_:)``.
  func suspend(_ key: UnsafeRawBufferPointer) {
    guard isOn else { return }
    let hash = Self.hash(key)
    withStripe(hash) { stripe in
      stripe.writing += 1
      if let index = stripe.find(hash, key) { stripe.drop(index) }
    }
  }

  /// Ends what ``suspend(_:)`` began, when the write is over.
  func resume(_ key: UnsafeRawBufferPointer) {
    guard isOn else { return }
    withStripe(Self.hash(key)) { stripe in
      stripe.writing -= 1
      stripe.version &+= 1
    }
  }

  /// Ends what ``suspend(_:)`` began, when a change has been made with this sequence, and keeps what it left. Writers are serialized, so nothing
  /// newer is there; of several changes of one key the last comes last.
  func resume(_ mutation: Mutation, _ sequence: UInt64) {
    guard isOn else { return }
    mutation.key.withUnsafeBytes { key in
      let hash = Self.hash(key)
      withStripe(hash) { stripe in
        stripe.writing -= 1
        stripe.version &+= 1
        if let index = stripe.find(hash, key) { stripe.drop(index) }
        // Strings come back when they are read; parts of structures are the next write's business too.
        guard case .put(_, let value, let stamp) = mutation, key.first == StructureKeys.parts || !RecordStamp(stamp).isString else { return }
        value.withUnsafeBytes { stripe.store(hash, key, $0, expiry: stamp, sequence: sequence) }
      }
    }
  }

  /// Runs `change`, which may remove or replace any key, while nothing is kept.
  func writeAll<Result, Failure>(_ change: () throws(Failure) -> Result) throws(Failure) -> Result {
    for stripe in shards {
      stripe.lock.lock()
      defer { stripe.lock.unlock() }
      stripe.writing += 1
      for index in 0..<stripe.count { stripe.drop(index) }
    }
    defer {
      for stripe in shards {
        stripe.lock.lock()
        defer { stripe.lock.unlock() }
        stripe.writing -= 1
        stripe.version &+= 1
      }
    }
    return try change()
  }
}
