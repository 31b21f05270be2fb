import BenchmarkKit
import Foundation
import StrataJobs
import StrataLSMTree
import SystemPackage

/// What a store does that is overwritten for a long time.
struct SteadyState {
  /// Operations of each whole second.
  var rates: [Double]
  /// The longest write in milliseconds.
  var longest: Double
  /// Bytes written to tables for a byte flushed from memory.
  var writeAmplification: Double
  var storedBytes: Int
  /// Bytes of the newest version of every key.
  var liveBytes: Int

  func figures(_ seconds: Double) throws -> Figures {
    guard rates.count > 1 else { throw BenchFailure(what: "a steady state needs more than \(rates.count) s") }
    let mean = rates.reduce(0, +) / Double(rates.count)
    let deviation = (rates.map { ($0 - mean) * ($0 - mean) }.reduce(0, +) / Double(rates.count)).squareRoot()
    return Figures(
      operations: rates.reduce(0, +), seconds: Double(rates.count),
      extras: [
        "longest write ms": longest, "write amplification": writeAmplification, "space amplification": Double(storedBytes) / Double(liveBytes),
        "variation %": 100 * deviation / mean,
      ])
  }
}

/// Bytes of the files in a directory whose names end so.
func bytes(below directory: URL, ending suffix: String) throws -> Int {
  try FileManager.default.contentsOfDirectory(at: directory, includingPropertiesForKeys: [.fileSizeKey])
    .filter { $0.lastPathComponent.hasSuffix(suffix) }
    .reduce(0) { $0 + (try $1.resourceValues(forKeys: [.fileSizeKey]).fileSize ?? 0) }
}

extension Driver {
  /// The engine's part of ``DBBench/steady(in:seconds:)``.
  func steady(in directory: URL, seconds: Double) throws -> Figures {
    let path = FilePath(directory.path).appending("strata")
    let store = try opened(path)
    let before = store.statistics
    var random = SplitMix(state: seed)
    let key = UnsafeMutableRawBufferPointer.allocate(byteCount: 16, alignment: 8)
    defer { key.deallocate() }
    let values = (0..<(1 << 20)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    var rates: [Double] = []
    var longest: UInt64 = 0
    var count = 0.0
    var last = MonotonicClock.now()
    var second = last &+ 1_000_000_000
    let end = last &+ UInt64(seconds * 1e9)
    while last < end {
      writeKey(Int(random.next() % UInt64(num)), key)
      let place = Int(random.next() % UInt64(values.count - valueBytes))
      try store.put(UnsafeRawBufferPointer(key).bytes, values.span.bytes.extracting(place..<place + valueBytes))
      let now = MonotonicClock.now()
      longest = max(longest, now &- last)
      last = now
      count += 1
      if now >= second {
        rates.append(count)
        count = 0
        second &+= 1_000_000_000
      }
    }
    let after = store.statistics
    let flushed = Double(after.flushedBytes - before.flushedBytes)
    let compacted = Double(after.compactionWrittenBytes - before.compactionWrittenBytes)
    let stored = try bytes(below: URL(fileURLWithPath: path.string), ending: ".sst")
    try store.close()
    return try SteadyState(
      rates: rates, longest: Double(longest) / 1e6, writeAmplification: flushed > 0 ? (flushed + compacted) / flushed : 1, storedBytes: stored,
      liveBytes: num * (16 + valueBytes)
    ).figures(seconds)
  }

  /// The first seek to the front of `count` deleted neighbours among ``num`` keys, in microseconds: at once, and when the store has had up to five
  /// seconds to tidy up.
  func seekBehindDeletions(_ count: Int, in directory: URL) throws -> Figures {
    let store = try opened(FilePath(directory.path).appending("strata"))
    let key = UnsafeMutableRawBufferPointer.allocate(byteCount: 16, alignment: 8)
    defer { key.deallocate() }
    let first = num / 4
    for number in first..<first + count {
      writeKey(number, key)
      try store.delete(UnsafeRawBufferPointer(key).bytes)
    }
    writeKey(first, key)
    func seek() throws -> Double {
      let began = MonotonicClock.now()
      var iterator = try store.iterator()
      try iterator.seek(UnsafeRawBufferPointer(key).bytes)
      guard iterator.isValid else { throw BenchFailure(what: "nothing behind the deleted keys") }
      return Double(MonotonicClock.now() &- began) / 1000
    }
    let atOnce = try seek()
    let began = MonotonicClock.now()
    let over = Monitor(false)
    var later = try seek()
    // Readers pass by meanwhile, as they would.
    while later > 50, MonotonicClock.now() &- began < 5_000_000_000 {
      _ = over.wait(timeout: .milliseconds(50)) { $0 ? () : nil }
      later = try seek()
    }
    try store.close()
    return Figures(operations: 1, seconds: later / 1e6, extras: ["first seek us": atOnce, "seek within 5 s us": later])
  }
}
