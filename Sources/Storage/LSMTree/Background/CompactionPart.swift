import StrataBytes
import StrataJobs
import StrataSSTable

/// A range of the keys of a compaction. The parts of one may be merged beside each other; their outputs in order are the compaction's.
/// Safe to share between threads because one thread merges it, and others look at its end only after they have joined that.
final class CompactionPart: @unchecked Sendable {
  private let merge: TableMerge
  private(set) var isDone = false
  private(set) var failure: TableError?
  /// The new tables, once it is done.
  private(set) var outputs: [TableMetadata] = []

  init(_ merge: TableMerge) { self.merge = merge }

  var hasEnded: Bool { isDone || failure != nil }
  var report: MergeReport { merge.report }

  /// Merges about `budget` bytes and returns how many it were.
  func step(_ budget: Int) -> Int {
    do throws(TableError) {
      if case .progress(let bytes) = try merge.step(budget: budget) { return bytes }
      outputs = try merge.finish()
      isDone = true
    } catch { failure = error }
    return 0
  }

  /// Removes what it wrote; for one that is not done.
  func abandon() { merge.abandon() }
}

/// Where a compaction's keys are cut into parts.
struct CompactionCuts {
  /// So many keys are looked at over all inputs.
  private static let samples: UInt64 = 256

  /// At most `count - 1` keys, ascending, between which the inputs hold about equally many bytes, and no fewer than `leastBytes`.
  static func keys(_ inputs: [TableHandle], parts count: Int, leastBytes: UInt64) throws(TableError) -> [[UInt8]] {
    let total = inputs.reduce(0) { $0 + $1.metadata.fileSize }
    let count = min(UInt64(max(1, count)), total / max(1, leastBytes))
    guard count > 1 else { return [] }
    var samples: [(key: [UInt8], bytes: UInt64)] = []
    for input in inputs {
      let bytes = input.metadata.fileSize
      let wanted = max(1, Int(Double(Self.samples) * Double(bytes) / Double(total)))
      // A piece of the table ends at each sample; what lies behind the last one counts with the first.
      let keys = try input.reader.sampledKeys(wanted)
      samples += keys.map { (key: $0, bytes: bytes / UInt64(keys.count + 1)) }
      samples.append((key: input.metadata.smallest.userKey, bytes: bytes / UInt64(keys.count + 1)))
    }
    samples.sort { order($0.key, $1.key) < 0 }
    let weight = samples.reduce(0) { $0 + $1.bytes }
    var cuts: [[UInt8]] = []
    var passed: UInt64 = 0
    for sample in samples where UInt64(cuts.count) + 1 < count {
      passed += sample.bytes
      // The first sample of all cuts nothing off.
      let isFurther = order(sample.key, cuts.last ?? samples[0].key) > 0
      if isFurther, passed * count >= weight * (UInt64(cuts.count) + 1) { cuts.append(sample.key) }
    }
    return cuts
  }
}

/// The entries of a source from a key on up to, without, another; forward only, which is how merges read.
final class BoundedCursor: Cursor {
  private let source: Cursor
  private let from: [UInt8]?
  private let to: [UInt8]?

  init(_ source: Cursor, from: [UInt8]?, to: [UInt8]?) {
    self.source = source
    self.from = from
    self.to = to
  }

  override func first() throws(TableError) {
    isValid = false
    if let from {
      try from.span.bytes.withUnsafeBytes { (from) throws(TableError) in try source.seek(from, Trailer(word: .max)) }
    } else {
      try source.first()
    }
    show()
  }

  override func next() throws(TableError) {
    isValid = false
    try source.next()
    show()
  }

  private func show() {
    entry = source.entry
    isValid = source.isValid && (to.map { to in to.withUnsafeBytes { compare(source.entry.key, $0) < 0 } } ?? true)
  }
}
