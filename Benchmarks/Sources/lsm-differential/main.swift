import BenchmarkKit
import Foundation

// The same random operations on an LSMTree and on RocksDB's C++ library; every read must see the same. No benchmark: nothing is timed.
// lsm-differential [--rounds N] [--operations N] [--seed N]: ends with 1 at the first difference, which a seed and a line name.

func argument(_ name: String, _ standard: UInt64) -> UInt64 {
  let arguments = CommandLine.arguments
  guard let place = arguments.firstIndex(of: "--\(name)"), place + 1 < arguments.count else { return standard }
  guard let number = UInt64(arguments[place + 1]) else {
    FileHandle.standardError.write(Data("lsm-differential: --\(name) takes a number\n".utf8))
    exit(64)
  }
  return number
}

/// What RocksDB sees, read by read.
func peer(_ trace: URL, in directory: URL) throws -> [String] {
  let text = try output(of: Peers.directory.appendingPathComponent("rocksdb_replay"), ["--trace", trace.path, "--dir", directory.path])
  return text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
}

/// One seed on both; how many reads agreed.
func compare(_ seed: UInt64, operations: Int, in directory: URL) throws -> Int {
  try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: directory) }
  let lines = Trace(seed: seed, operations: operations).lines
  let trace = directory.appendingPathComponent("trace.txt")
  try (lines.joined(separator: "\n") + "\n").write(to: trace, atomically: false, encoding: .utf8)
  let replay = try Replay(in: directory, seed: seed)
  for (index, line) in lines.enumerated() {
    do { try replay.play(line) } catch { throw Failure(description: "seed \(seed), line \(index + 1), \(line.prefix(80)): \(error)") }
  }
  try replay.close()
  let theirs = try peer(trace, in: directory)
  let reads = lines.enumerated().filter { ["get", "scan", "back"].contains($0.element.prefix(while: { $0 != " " })) }
  guard theirs.count == reads.count, replay.answers.count == reads.count else {
    throw Failure(description: "seed \(seed): \(reads.count) reads, \(replay.answers.count) answers and \(theirs.count) of RocksDB")
  }
  for ((index, line), (ours, their)) in zip(reads, zip(replay.answers, theirs)) where ours != their {
    throw Failure(description: "seed \(seed), line \(index + 1), \(line.prefix(80)):\n  strata  \(ours.prefix(400))\n  rocksdb \(their.prefix(400))")
  }
  return reads.count
}

let (rounds, operations, first) = (argument("rounds", 20), argument("operations", 20_000), argument("seed", 1))
let directory = FileManager.default.temporaryDirectory.appendingPathComponent("lsm-differential-\(ProcessInfo.processInfo.processIdentifier)")
do {
  var reads = 0
  for seed in first..<first + rounds { reads += try compare(seed, operations: Int(operations), in: directory) }
  print("\(rounds) seeds from \(first) on, \(operations) operations each: \(reads) reads, RocksDB sees the same in all of them")
} catch {
  FileHandle.standardError.write(Data("lsm-differential: \(error)\n".utf8))
  exit(1)
}
