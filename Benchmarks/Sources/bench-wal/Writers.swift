import BenchmarkKit
import Foundation
import StrataJobs
import StrataWriteAheadLog
import SystemPackage

/// What appends of several threads do to a fresh log.
struct WriterLoad: Sendable {
  var writers = 1
  var records: Int
  var valueBytes: Int
  var durability: Durability
  /// Whether each append waits for its acknowledgement, or only the last for all.
  var waits = true
  /// One operation in this many is timed.
  var sampling = 1

  func run(in directory: URL, seed: UInt64) throws -> Figures {
    var options = WALOptions()
    options.durability = durability
    let log = try WriteAheadLog.open(FilePath(directory.path), options: options).log
    let values = Values(seed: seed, size: valueBytes)
    let share = records / writers
    let histograms = Monitor([LatencyRecord]())
    let began = nanoseconds()
    let threads = (0..<writers).map { writer in
      Worker(name: "writer") { [self] in
        var histogram = LatencyRecord()
        do { try append(share, from: writer * share, values, to: log, &histogram) } catch { fatal("append: \(error)") }
        histograms.withLock { $0.append(histogram) }
      }
    }
    for thread in threads { thread.join() }
    try log.waitDurableIfNeeded(durability)
    let seconds = Double(nanoseconds() - began) * 1e-9
    var all = LatencyRecord()
    for histogram in histograms.withLock({ $0 }) { all.add(histogram) }
    let statistics = log.statistics
    try log.close()
    return Figures(
      operations: Double(share * writers), seconds: seconds, latency: all.latency,
      extras: ["syncs": Double(statistics.syncs), "groups": Double(statistics.groups)])
  }

  private func append(
    _ count: Int, from first: Int, _ values: Values, to log: WriteAheadLog, _ histogram: inout LatencyRecord
  ) throws(WALError) {
    for index in first..<first + count {
      let value = values.of(UInt64(index))
      let isTimed = waits && index % sampling == 0
      let began = isTimed ? nanoseconds() : 0
      if waits {
        try log.append(kind: 64, value.span.bytes)
      } else {
        try log.submit(kind: 64, value.span.bytes)
      }
      if isTimed { histogram.record(nanoseconds() - began) }
    }
  }
}

extension WriteAheadLog {
  /// Under `.none` the run ends when the kernel has everything, which `close` makes sure of outside the measured time otherwise.
  func waitDurableIfNeeded(_ durability: Durability) throws {
    if durability != .none { try sync() }
  }
}

/// A log of a given size in `directory`, made once.
func fill(_ directory: URL, records: Int, valueBytes: Int, seed: UInt64, checkpoint: Bool = false) throws {
  let marker = directory.appendingPathComponent("FILLED")
  if FileManager.default.fileExists(atPath: marker.path) { return }
  var options = WALOptions()
  options.durability = .none
  let log = try WriteAheadLog.open(FilePath(directory.path), options: options).log
  let values = Values(seed: seed, size: valueBytes)
  for index in 0..<records { try log.submit(kind: 64, values.of(UInt64(index)).span.bytes) }
  if checkpoint { try log.checkpoint([1, 2, 3]) }
  try log.close()
  try Data().write(to: marker)
}

func fatal(_ text: String) -> Never {
  FileHandle.standardError.write(Data((text + "\n").utf8))
  exit(1)
}
