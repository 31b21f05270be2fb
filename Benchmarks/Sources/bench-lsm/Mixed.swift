import BenchmarkKit
import StrataJobs
import StrataLSMTree
import StrataSSTable

/// RocksDB's `uint64add`: operands and values are eight bytes, the least significant first.
struct Sum: MergeOperator {
  let name = "uint64add"

  func fullMerge(key: RawSpan, base: [UInt8]?, operands: [[UInt8]]) -> [UInt8]? { sum((base.map { [$0] } ?? []) + operands) }
  func partialMerge(key: RawSpan, operands: [[UInt8]]) -> [UInt8]? { sum(operands) }

  private func sum(_ numbers: [[UInt8]]) -> [UInt8]? {
    var total: UInt64 = 0
    for number in numbers {
      guard number.count == 8 else { return nil }
      total &+= number.withUnsafeBytes { UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self)) }
    }
    return withUnsafeBytes(of: total.littleEndian) { Array($0) }
  }
}

/// Loads of readers beside a writer, of many keys at once, and of merges.
extension Driver {
  func readTimed(_ store: LSMTree, _ keyBytes: UnsafeMutableRawBufferPointer, _ random: inout SplitMix, _ times: inout LatencyRecord) throws {
    let key = UnsafeRawBufferPointer(keyBytes)
    for _ in 0..<reads {
      writeKey(Int(random.next() % UInt64(num)), keyBytes)
      let began = MonotonicClock.now()
      _ = try store.withValue(of: key.bytes, in: nil, at: nil) { $0.byteCount }
      times.record(MonotonicClock.now() &- began)
    }
  }

  /// db_bench's: an iterator that is made anew for every seek, and as many moves as its `--seek_nexts`.
  func seekTimed(_ store: LSMTree, _ keyBytes: UnsafeMutableRawBufferPointer, _ random: inout SplitMix, _ times: inout LatencyRecord) throws {
    let key = UnsafeRawBufferPointer(keyBytes)
    var bytes = 0
    for _ in 0..<reads {
      writeKey(Int(random.next() % UInt64(num)), keyBytes)
      let began = MonotonicClock.now()
      var iterator = try store.iterator()
      try iterator.seek(key.bytes)
      for _ in 0..<10 where iterator.isValid {
        bytes += iterator.key.byteCount + iterator.value.byteCount
        try iterator.next()
      }
      times.record(MonotonicClock.now() &- began)
    }
    if bytes == 0 { throw BenchFailure(what: "nothing was read") }
  }

  /// Overwrites at 10 MiB a second until told to end.
  func write(_ store: LSMTree, until isOver: Monitor<Bool>) throws {
    var random = SplitMix(state: seed ^ 0xABCD)
    let key = UnsafeMutableRawBufferPointer.allocate(byteCount: 16, alignment: 8)
    defer { key.deallocate() }
    let value = (0..<valueBytes).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    let perMillisecond = 10_485_760 / 1000 / (16 + valueBytes)
    let began = MonotonicClock.now()
    var round: UInt64 = 0
    while !isOver.withLock({ $0 }) {
      for _ in 0..<perMillisecond {
        writeKey(Int(random.next() % UInt64(num)), key)
        try store.put(UnsafeRawBufferPointer(key).bytes, value.span.bytes)
      }
      round += 1
      let next = began &+ round &* 1_000_000
      _ = isOver.wait(timeout: .nanoseconds(Int64(clamping: next) - Int64(clamping: min(next, MonotonicClock.now())))) { $0 ? () : nil }
    }
  }

  func readMany(_ store: LSMTree, _ keyBytes: UnsafeMutableRawBufferPointer, _ random: inout SplitMix) throws {
    var found = 0
    for _ in 0..<reads / batch {
      let keys = (0..<batch).map { _ in
        writeKey(Int(random.next() % UInt64(num)), keyBytes)
        return Array(keyBytes)
      }
      found += try store.multiGet(keys).count { $0 != nil }
    }
    if found == 0 { throw BenchFailure(what: "nothing was found") }
  }

  func merge(_ store: LSMTree, _ keyBytes: UnsafeMutableRawBufferPointer, _ random: inout SplitMix) throws {
    let key = UnsafeRawBufferPointer(keyBytes)
    for _ in 0..<num {
      writeKey(Int(random.next() % UInt64(num)), keyBytes)
      var operand = random.next().littleEndian
      _ = try withUnsafeBytes(of: &operand) { try store.merge(key.bytes, operand: $0.bytes) }
    }
  }
}
