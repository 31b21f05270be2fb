import BenchmarkKit
import Foundation
import StrataCompression
import StrataLSMTree
import StrataSSTable
import SystemPackage

struct Failure: Error, CustomStringConvertible {
  var description: String
}

/// RocksDB's `stringappend`: operands behind the value, with commas between.
struct Append: MergeOperator {
  let name = "stringappend"

  func fullMerge(key: RawSpan, base: [UInt8]?, operands: [[UInt8]]) -> [UInt8]? { joined((base.map { [$0] } ?? []) + operands) }
  func partialMerge(key: RawSpan, operands: [[UInt8]]) -> [UInt8]? { joined(operands) }

  private func joined(_ parts: [[UInt8]]) -> [UInt8] { Array(parts.joined(separator: [UInt8(ascii: ",")])) }
}

/// Plays a trace on an LSMTree with small random limits and collects what its reads see.
final class Replay {
  private let path: FilePath
  private let options: LSMOptions
  private var store: LSMTree
  private var snapshots: [Int: Snapshot] = [:]
  /// What stands since `begin`.
  private var batch: [[String]]?
  private(set) var answers: [String] = []

  init(in directory: URL, seed: UInt64) throws {
    path = FilePath(directory.path).appending("strata")
    options = Self.options(seed)
    store = try LSMTree.open(path, options: options)
  }

  /// A different shape of store for every seed; what it answers must not depend on it.
  static func options(_ seed: UInt64) -> LSMOptions {
    var random = WorkloadRandom(seed: ~seed)
    func of<Choice>(_ choices: [Choice]) -> Choice { choices[Int(random.below(UInt64(choices.count)))] }
    var options = LSMOptions()
    options.durability = .none
    options.memtableBytes = of([16, 64, 256]) << 10
    options.logSegmentBytes = of([64, 256]) << 10
    options.blockCacheBytes = of([0, 64 << 10, 8 << 20])
    options.levelZeroTrigger = of([2, 4])
    options.maxSubCompactions = of([1, 3])
    options.readTriggeredEntries = of([nil, 50])
    options.flushesOnClose = of([true, false])
    options.background = .threads(compactions: of([1, 2]))
    options.mergeOperators = [Append()]
    options.defaultKeyspace.mergeOperator = Append()
    options.defaultKeyspace.style = of([.leveled, .leveled, .sizeTiered])
    options.defaultKeyspace.targetTableBytes = of([16, 64]) << 10
    options.defaultKeyspace.baseLevelBytes = of([32, 256]) << 10
    options.defaultKeyspace.fanOut = of([2, 10])
    options.defaultKeyspace.table.blockSize = of([64, 1024, 4096])
    options.defaultKeyspace.table.restartInterval = of([1, 4, 16])
    options.defaultKeyspace.table.indexPartitionSize = of([128, 4096])
    options.defaultKeyspace.table.filterBitsPerKey = of([nil, 10])
    options.defaultKeyspace.table.wholeFilterBytes = of([0, 32 << 20])
    options.defaultKeyspace.table.prefixExtractor = of([nil, .delimiter(UInt8(ascii: "/"))])
    options.defaultKeyspace.table.compression = of([.none, .lz4, .zstd])
    return options
  }

  func play(_ line: String) throws {
    let words = line.split(separator: " ").map(String.init)
    switch words[0] {
    case "put", "delete", "merge", "range": if batch == nil { try write(words) } else { batch?.append(words) }
    case "begin": batch = []
    case "end":
      try write(batch: batch ?? [])
      batch = nil
    case "snapshot": snapshots[try Self.number(words[1])] = store.snapshot()
    case "release": snapshots[try Self.number(words[1])] = nil
    case "flush": try store.flush()
    case "compact": try store.compact()
    case "reopen": try reopen()
    case "get":
      let key = try Self.bytes(words[2])
      let value = try store.get(key.span.bytes, at: snapshots[try Self.number(words[1])])
      answers.append(value.map(hex) ?? "none")
    case "scan", "back":
      let bounds = KeyBounds(from: try Self.bytes(words[2]), to: try Self.bytes(words[3]))
      answers.append(try scan(bounds, at: snapshots[try Self.number(words[1])], forward: words[0] == "scan"))
    default: throw Failure(description: "no operation is called \(words[0])")
    }
  }

  func close() throws {
    snapshots = [:]
    try store.close()
  }

  private func reopen() throws {
    try close()
    store = try LSMTree.open(path, options: options)
  }

  private func write(_ words: [String]) throws {
    let key = try Self.bytes(words[1])
    let other = words.count > 2 ? try Self.bytes(words[2]) : []
    switch words[0] {
    case "put": try store.put(key.span.bytes, other.span.bytes)
    case "delete": try store.delete(key.span.bytes)
    case "merge": try store.merge(key.span.bytes, operand: other.span.bytes)
    default: try store.deleteRange(from: key.span.bytes, to: other.span.bytes)
    }
  }

  private func write(batch changes: [[String]]) throws {
    var batch = WriteBatch()
    for words in changes {
      let key = try Self.bytes(words[1])
      let other = words.count > 2 ? try Self.bytes(words[2]) : []
      switch words[0] {
      case "put": try batch.put(key.span.bytes, other.span.bytes)
      case "delete": try batch.delete(key.span.bytes)
      case "merge": try batch.merge(key.span.bytes, operand: other.span.bytes, in: store.defaultKeyspace)
      default: try batch.deleteRange(from: key.span.bytes, to: other.span.bytes)
      }
    }
    try store.write(batch)
  }

  private func scan(_ bounds: KeyBounds, at snapshot: Snapshot?, forward: Bool) throws -> String {
    var iterator = try store.iterator(bounds, at: snapshot)
    var row = ""
    if forward { try iterator.first() } else { try iterator.last() }
    while iterator.isValid {
      row += hex(iterator.key.withUnsafeBytes { Array($0) }) + "=" + hex(iterator.value.withUnsafeBytes { Array($0) }) + " "
      if forward { try iterator.next() } else { try iterator.previous() }
    }
    return row
  }

  private static func number(_ word: String) throws -> Int {
    guard let number = Int(word) else { throw Failure(description: "\(word) is no number") }
    return number
  }

  private static func bytes(_ word: String) throws -> [UInt8] {
    if word == "-" { return [] }
    let digits = Array(word.utf8)
    return try stride(from: 0, to: digits.count - 1, by: 2).map {
      let pair = String(decoding: digits[$0...$0 + 1], as: UTF8.self)
      guard let byte = UInt8(pair, radix: 16) else { throw Failure(description: "\(pair) is not hexadecimal") }
      return byte
    }
  }
}
