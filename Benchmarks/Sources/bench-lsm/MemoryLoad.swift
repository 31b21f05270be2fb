import BenchmarkKit
import Foundation
import StrataJobs
import StrataLSMTree
import SystemPackage

/// One load on a store several times as large as its memory limit, in a process of its own that looks at its memory meanwhile.
///
/// What counts is `RssAnon` of /proc/self/status, looked at every millisecond: memory of the process that is not a file's. Mapped windows of the log
/// and the program itself (`RssFile`) are pages of the kernel's cache, which it takes back as it likes. What the process held before the store was
/// opened, and what the load itself holds beside the store (a batch), is taken off.
struct MemoryLoad: Sendable {
  static let flag = "--memory"
  static let names = [
    "fillrandom", "overwrite", "readrandom", "seekrandom", "readwhilewriting", "compact", "iterators", "keyspaces", "batches", "lz4",
  ]

  var name: String
  var limit: Int
  var seed: UInt64
  /// Where the store lies.
  var directory = ""
  private let valueBytes = 400

  init(name: String, limit: Int, seed: UInt64) {
    self.name = name
    self.limit = limit
    self.seed = seed
  }

  /// The process of its own: name, limit and seed, then `--dir` and the directory.
  init(arguments: [String]) throws {
    guard arguments.count == 5, let limit = Int(arguments[1]), let seed = UInt64(arguments[2]) else {
      throw BenchFailure(what: "\(Self.flag) takes a load, a limit, a seed and --dir DIRECTORY")
    }
    self.init(name: arguments[0], limit: limit, seed: seed)
    directory = arguments[4]
  }

  var contender: Contender {
    .program("strata", URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath(), [Self.flag, name, "\(limit)", "\(seed)"])
  }

  /// Keys of a store of four times the limit.
  private var count: Int { 4 * limit / (16 + valueBytes) }

  private func driver(_ workload: String, reads: Int) -> Driver {
    var driver = Driver(workload: workload, num: count, reads: reads, valueBytes: valueBytes, seed: seed)
    // As much as a server lets its memtables have.
    driver.memtableBytes = min(64 << 20, limit / 4)
    driver.memoryLimit = limit
    if name == "lz4" { driver.compression = .lz4 }
    return driver
  }

  /// Runs the load and prints what it came to as one line.
  func measure() throws {
    let watch = ResidentWatch()
    let began = MonotonicClock.now()
    let (operations, held) = try run()
    let seconds = Double(MonotonicClock.now() &- began) / 1e9
    let figures = watch.stop()
    let peak = figures.peak - figures.atFirst - held
    let mebibyte = 1_048_576.0
    print(
      "{\"operations\": \(operations), \"seconds\": \(seconds), \"limit MiB\": \(Double(limit) / mebibyte), "
        + "\"peak MiB\": \(Double(peak) / mebibyte), \"empty MiB\": \(Double(figures.atFirst) / mebibyte), "
        + "\"high water MiB\": \(Double(figures.highWater) / mebibyte), \"resident / limit\": \(Double(peak) / Double(limit))}")
  }

  /// Operations done, and bytes that the load itself held meanwhile.
  private func run() throws -> (operations: Int, held: Int) {
    let path = FilePath(directory).appending("strata")
    switch name {
    case "fillrandom", "overwrite", "readrandom", "seekrandom", "readwhilewriting", "lz4":
      return (try runDriver(name == "lz4" ? "readrandom" : name, path), 0)
    case "compact": return (try compact(path), 0)
    case "iterators": return (try holdIterators(path), 0)
    case "keyspaces": return (try fillKeyspaces(path), 0)
    case "batches": return try writeBatches(path)
    default: throw BenchFailure(what: "unknown load \(name)")
    }
  }

  private func runDriver(_ workload: String, _ path: FilePath) throws -> Int {
    var driver = driver(workload, reads: count / 4)
    if driver.isBesideWriter { driver.threads = 2 }
    _ = try driver.run(in: directory)
    return driver.isRead ? driver.reads : driver.num
  }

  private func filled(_ path: FilePath, _ each: (Int, LSMTree) throws -> Void) throws -> LSMTree {
    let driver = driver("fillrandom", reads: 0)
    let store = try LSMTree.open(path, options: driver.options())
    // In sixty-four parts of their own keys, after each of which something is done.
    for part in 0..<64 {
      var share = driver
      share.num = count / 64
      share.seed = seed &+ UInt64(part)
      _ = try share.work(store, thread: 0)
      try each(part, store)
    }
    return store
  }

  private func compact(_ path: FilePath) throws -> Int {
    let store = try filled(path) { part, store in if part % 32 == 31 { try store.compact() } }
    try store.close()
    return count
  }

  /// Sixty-four iterators over everything, each opened after another part was written, all held open and moved at the end.
  private func holdIterators(_ path: FilePath) throws -> Int {
    let positions = Positions()
    let store = try filled(path) { _, store in positions.add(try store.iterator()) }
    let moves = try positions.move(100)
    try store.close()
    return count + moves
  }

  private func fillKeyspaces(_ path: FilePath) throws -> Int {
    let driver = driver("fillrandom", reads: 0)
    let store = try LSMTree.open(path, options: driver.options())
    var options = KeyspaceOptions()
    options.table = driver.options().defaultKeyspace.table
    let keyspaces = try (0..<64).map { try store.keyspace("k\($0)", create: options) }
    var random = SplitMix(state: seed)
    let key = UnsafeMutableRawBufferPointer.allocate(byteCount: 16, alignment: 8)
    defer { key.deallocate() }
    let value = (0..<valueBytes).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    for _ in 0..<count {
      driver.writeKey(Int(random.next() % UInt64(count)), key)
      try store.put(UnsafeRawBufferPointer(key).bytes, value.span.bytes, in: keyspaces[Int(random.next() % 64)])
    }
    try store.close()
    return count
  }

  /// Batches of a quarter of the limit each.
  private func writeBatches(_ path: FilePath) throws -> (operations: Int, held: Int) {
    let driver = driver("fillrandom", reads: 0)
    let store = try LSMTree.open(path, options: driver.options())
    var random = SplitMix(state: seed)
    let key = UnsafeMutableRawBufferPointer.allocate(byteCount: 16, alignment: 8)
    defer { key.deallocate() }
    let value = (0..<valueBytes).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    let share = count / 16
    for _ in 0..<16 {
      var batch = WriteBatch(capacity: limit / 4 + share * 24)
      for _ in 0..<share {
        driver.writeKey(Int(random.next() % UInt64(count)), key)
        try batch.put(UnsafeRawBufferPointer(key).bytes, value.span.bytes)
      }
      try store.write(batch)
    }
    try store.close()
    return (share * 16, limit / 4)
  }
}

/// Iterators that are kept; a class since they are no values that arrays take.
private final class Positions {
  private final class Position {
    var iterator: LSMIterator
    init(_ iterator: consuming LSMIterator) { self.iterator = iterator }
  }

  private var all: [Position] = []

  func add(_ iterator: consuming LSMIterator) { all.append(Position(iterator)) }

  /// Moves each of them; how many moves there were.
  func move(_ count: Int) throws -> Int {
    var moves = 0
    for position in all {
      try position.iterator.first()
      while position.iterator.isValid, moves % count != count - 1 {
        moves += 1
        try position.iterator.next()
      }
      moves += 1
    }
    return moves
  }
}

/// Looks at this process's memory until told to stop.
final class ResidentWatch: Sendable {
  private let isOver = Monitor(false)
  private let peak = Monitor(0)
  private let atFirst: Int
  private let worker = Monitor<Worker?>(nil)

  init() {
    atFirst = Self.bytes("RssAnon") + Self.bytes("RssShmem")
    let made = Worker(name: "resident") { [self] in
      repeat {
        let now = Self.bytes("RssAnon") + Self.bytes("RssShmem")
        peak.withLock { $0 = max($0, now) }
      } while isOver.wait(timeout: .milliseconds(1)) { $0 ? () : nil } == nil
    }
    worker.withLock { $0 = made }
  }

  func stop() -> (atFirst: Int, peak: Int, highWater: Int) {
    isOver.withLock { $0 = true }
    isOver.broadcast()
    worker.withLock { $0 }?.join()
    return (atFirst, peak.withLock { $0 }, Self.bytes("VmHWM"))
  }

  /// A line of /proc/self/status in bytes.
  private static func bytes(_ name: String) -> Int {
    guard let file = fopen("/proc/self/status", "r") else { return 0 }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 256)
    while fgets(&line, 256, file) != nil {
      let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      guard text.hasPrefix(name + ":") else { continue }
      return (text.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap { Int($0) } ?? 0) << 10
    }
    return 0
  }
}

/// The rows of memory: each load's most against the limit.
func memoryRows(_ options: BenchmarkOptions) -> [Comparison] {
  // Below, the buffers of one compaction are more than a quarter.
  let limit = max(128 << 20, options.scaled(256 << 20))
  return MemoryLoad.names.map { name in
    Comparison(
      "resident memory, \(name)", unit: "operations", parameters: [("memory limit", "\(limit)"), ("bytes stored", "\(4 * limit)")],
      subject: MemoryLoad(name: name, limit: limit, seed: options.seed).contender, peers: [], goals: [.extra("resident / limit", atMost: 1.05)])
  }
}
