import BenchmarkKit
import Foundation
import StrataBytes
import StrataDisk
import StrataWriteAheadLog
import SystemPackage

extension StoreLoad {
  /// The same number of records into a write-ahead log, each synced: what a put may cost at least.
  func append(_ log: WriteAheadLog, _ value: [UInt8], threads: Int) throws -> Figures {
    try timed(records, threads) { _, count, histogram in
      for index in 0..<count {
        let began = index % 16 == 0 ? nanoseconds() : 0
        try log.append(kind: 64, value.span.bytes)
        if index % 16 == 0 { histogram.record(nanoseconds() - began) }
      }
    }
  }
}

/// Copies the files of a directory as `cp` does, with a checksum over every byte and a sync at the end: what a merge may cost at least.
func copyAndSum(_ source: URL, _ target: URL) throws {
  let files = POSIXFileSystem()
  try files.makeDirectories(FilePath(target.path))
  for name in try files.list(FilePath(source.path)) where name.hasSuffix(".data") {
    let input = try files.open(FilePath(source.appendingPathComponent(name).path), .read)
    let output = try files.open(FilePath(target.appendingPathComponent(name).path), .create)
    let size = try input.size()
    var offset: UInt64 = 0
    var sum: UInt32 = 0
    while offset < size {
      let part = try input.read(at: offset, count: Int(min(1 << 20, size - offset)))
      sum = crc32c(part.span.bytes, continuing: sum)
      try output.write(part, at: offset)
      offset += UInt64(part.count)
    }
    try output.sync(.full)
    try output.close()
  }
}
