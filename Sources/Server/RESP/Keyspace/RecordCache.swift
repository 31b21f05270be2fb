import StrataBytes
import Synchronization

import struct NIOConcurrencyHelpers.NIOLock

/// Recently read small records, so that a hot key costs no system call. Bounded; correct whatever is evicted.
///
/// Two places per hash, in stripes with a lock each. A writer changes the engine first and then calls ``forget(_:)``, which also raises the
/// stripe's version; a reader takes the version before it asks the engine and keeps what it read only if no write has come between. So a
/// cached record is never older than what the engine shows, and a write that the cache has not heard of yet is not yet answered.
final class RecordCache: Sendable {
  /// Records whose key and value are longer together are not kept.
  static let maxRecordBytes = 1024
  private static let stripes = 64

  private struct Entry {
    var hash: UInt64 = 0
    var bytes: UnsafeMutableRawPointer?
    var keyBytes = 0
    var valueBytes = 0
    var expiry: UInt64 = 0
    var sequence: UInt64 = 0
  }

  private final class Stripe: Sendable {
    let lock = NIOLock()
    // Guarded by `lock`.
    nonisolated(unsafe) var version: UInt64 = 0
    // Guarded by `lock`.
    nonisolated(unsafe) var used = 0
    // Guarded by `lock`.
    nonisolated(unsafe) var hand = 0
    // Guarded by `lock`; never reassigned.
    nonisolated(unsafe) let entries: UnsafeMutablePointer<Entry>
    let count: Int

    init(count: Int) {
      self.count = count
      entries = .allocate(capacity: count)
      entries.initialize(repeating: Entry(), count: count)
    }

    deinit {
      for index in 0..<count { entries[index].bytes?.deallocate() }
      entries.deallocate()
    }

    func drop(_ index: Int) {
      guard let bytes = entries[index].bytes else { return }
      used -= entries[index].keyBytes + entries[index].valueBytes
      bytes.deallocate()
      entries[index].bytes = nil
    }

    /// The place of a key, with the lock held.
    @inline(__always)
    func find(_ hash: UInt64, _ key: UnsafeRawBufferPointer) -> Int? {
      let home = Int(truncatingIfNeeded: hash >> 8) & (count - 2)
      for index in home...(home + 1) where entries[index].hash == hash && entries[index].keyBytes == key.count {
        if let bytes = entries[index].bytes, UnsafeRawBufferPointer(start: bytes, count: key.count).elementsEqual(key) { return index }
      }
      return nil
    }
  }

  private let shards: [Stripe]
  private let stripeBytes: Int

  /// Keeps at most `bytes` of keys and values, and 48 bytes for each 128 of them; 0 keeps nothing.
  init(bytes: Int) {
    stripeBytes = bytes / Self.stripes
    var count = 2
    while count < stripeBytes / 128 { count *= 2 }
    let places = count
    shards = bytes == 0 ? [] : (0..<Self.stripes).map { _ in Stripe(count: places) }
  }

  static func hash(_ key: UnsafeRawBufferPointer) -> UInt64 { xxh64(key.bytes, seed: 0x5EED) }

  @inline(__always)
  private func stripe(_ hash: UInt64) -> Stripe { shards[Int(truncatingIfNeeded: hash) & (Self.stripes - 1)] }

  var isOn: Bool { !shards.isEmpty }

  /// Passes a kept record to `body` (value, expiry) and answers its expiry and sequence; else the version to hand to ``keep``.
  @inline(__always)
  func read(
    _ hash: UInt64, _ key: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer, UInt64) -> Void
  ) -> (outcome: ReadOutcome?, version: UInt64) {
    let stripe = stripe(hash)
    stripe.lock.lock()
    defer { stripe.lock.unlock() }
    guard let index = stripe.find(hash, key), let bytes = stripe.entries[index].bytes else { return (nil, stripe.version) }
    let entry = stripe.entries[index]
    body(UnsafeRawBufferPointer(start: bytes + entry.keyBytes, count: entry.valueBytes), entry.expiry)
    return (.found(expiry: entry.expiry, sequence: entry.sequence), 0)
  }

  /// Keeps a record that was read since `version`, unless a write to its stripe came between.
  func keep(
    _ hash: UInt64, _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, expiry: UInt64, sequence: UInt64, version: UInt64
  ) {
    let size = key.count + value.count
    guard size > 0, size <= Self.maxRecordBytes, size <= stripeBytes else { return }
    let stripe = stripe(hash)
    stripe.lock.lock()
    defer { stripe.lock.unlock() }
    guard stripe.version == version, stripe.find(hash, key) == nil else { return }
    let home = Int(truncatingIfNeeded: hash >> 8) & (stripe.count - 2)
    let index = stripe.entries[home].bytes == nil ? home : home + 1
    stripe.drop(index)
    while stripe.used + size > stripeBytes {
      stripe.drop(stripe.hand)
      stripe.hand = (stripe.hand + 1) & (stripe.count - 1)
    }
    let bytes = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 8)
    UnsafeMutableRawBufferPointer(start: bytes, count: key.count).copyMemory(from: key)
    UnsafeMutableRawBufferPointer(start: bytes + key.count, count: value.count).copyMemory(from: value)
    stripe.entries[index] = Entry(
      hash: hash, bytes: bytes, keyBytes: key.count, valueBytes: value.count, expiry: expiry, sequence: sequence)
    stripe.used += size
  }

  /// Many keys were removed in the engine.
  func forgetAll() {
    for stripe in shards {
      stripe.lock.lock()
      defer { stripe.lock.unlock() }
      stripe.version &+= 1
      for index in 0..<stripe.count { stripe.drop(index) }
    }
  }

  /// A key was written or removed in the engine.
  @inline(__always)
  func forget(_ key: UnsafeRawBufferPointer) {
    guard isOn else { return }
    let hash = Self.hash(key)
    let stripe = stripe(hash)
    stripe.lock.lock()
    defer { stripe.lock.unlock() }
    stripe.version &+= 1
    if let index = stripe.find(hash, key) { stripe.drop(index) }
  }
}
