import BenchmarkKit

/// A random trace of operations, in the text form that Peers/rocksdb_replay.cc describes.
struct Trace {
  private var random: WorkloadRandom
  private(set) var lines: [String] = []
  private var snapshots: [Int] = []
  private var nextSnapshot = 1
  private let keys: UInt64

  init(seed: UInt64, operations: Int) {
    random = WorkloadRandom(seed: seed)
    keys = 50 << random.below(6)
    while lines.count < operations { addOperation() }
    lines += ["scan 0 - ff", "back 0 - ff", "compact", "scan 0 - ff", "back 0 - ff", "reopen", "scan 0 - ff", "back 0 - ff"]
  }

  private mutating func chance(_ part: UInt64, in whole: UInt64) -> Bool { random.below(whole) < part }

  /// One of few keys, of different lengths, many with beginnings in common; none is above "ff".
  private mutating func key() -> String {
    let number = random.below(keys)
    let text = "\(number % 7)/\(number)" + String(repeating: "x", count: Int(number % 11))
    return hex(Array(text.utf8))
  }

  private mutating func value() -> String {
    let count = chance(1, in: 60) ? random.below(5000) : random.below(60)
    return hex((0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) })
  }

  private mutating func bounds() -> String {
    while true {
      let (one, other) = (key(), key())
      if one != other { return one < other ? "\(one) \(other)" : "\(other) \(one)" }
    }
  }

  private mutating func moment() -> Int { chance(1, in: 2) ? 0 : snapshots.isEmpty ? 0 : snapshots[Int(random.below(UInt64(snapshots.count)))] }

  private mutating func addWrite() {
    switch random.below(100) {
    case 0..<60: lines.append("put \(key()) \(value())")
    case 60..<80: lines.append("delete \(key())")
    case 80..<95: lines.append("merge \(key()) \(value())")
    default: lines.append("range \(bounds())")
    }
  }

  private mutating func addOperation() {
    switch random.below(1000) {
    case 0..<560: addWrite()
    case 560..<620:
      lines.append("begin")
      for _ in 0..<1 + random.below(40) { addWrite() }
      lines.append("end")
    case 620..<880: lines.append("get \(moment()) \(key())")
    case 880..<930: lines.append("scan \(moment()) \(bounds())")
    case 930..<975: lines.append("back \(moment()) \(bounds())")
    case 975..<984 where snapshots.count < 8:
      lines.append("snapshot \(nextSnapshot)")
      snapshots.append(nextSnapshot)
      nextSnapshot += 1
    case 984..<990 where !snapshots.isEmpty: lines.append("release \(snapshots.remove(at: Int(random.below(UInt64(snapshots.count)))))")
    case 990..<996: lines.append("flush")
    case 996..<998: lines.append("compact")
    case 998:
      lines.append("reopen")
      snapshots = []
    default: addWrite()
    }
  }
}

/// Bytes as a trace writes them.
func hex(_ bytes: [UInt8]) -> String {
  if bytes.isEmpty { return "-" }
  let digits = Array("0123456789ABCDEF".utf8)
  return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
}
