import StrataBytes
import StrataDisk
import StrataNodes
import StrataSSTable
import StrataSimulation
import SystemPackage

/// Tables of the ordered engine.
enum TableTargets {
  static var all: [FuzzTarget] { [table] }

  private static let path: FilePath = "/t/1.sst"
  private static let target: FilePath = "/t/2.sst"

  private static let lengths = IntervalCollector("lengths") { _, _, value in UInt64(value.byteCount) }
  private static let short = BlockFilter("lengths", within: 0...3)

  private static let corpus: [[UInt8]] = (0..<6).map { round in
    made {
      let disk = SimulatedFileSystem()
      try disk.makeDirectories("/t")
      var random = Random(seed: UInt64(round))
      var options = TableOptions()
      options.blockSize = round % 2 == 0 ? 64 : 256
      options.restartInterval = 3
      options.indexPartitionSize = round % 3 == 0 ? 4096 : 64
      options.compression = [.none, .lz4, .zstd][round % 3]
      options.filterBitsPerKey = round == 4 ? nil : 10
      options.hashIndexRatio = round > 2 ? [0.75, 3, 0.1][round % 3] : nil
      options.propertyCollectors = round % 2 == 1 ? [lengths] : []
      var writer = try TableWriter(path, fileID: 1, options: options, on: disk)
      for number in 0..<[0, 10, 60, 60, 25, 200][round] {
        let digits = String(1000 + number)
        let kind: EntryKind = random.chance(1, in: 5) ? .deletion : random.chance(1, in: 5) ? .merge : .value
        let value = kind == .deletion ? [] : [UInt8](repeating: UInt8(number % 256), count: random.below(24))
        try writer.add(key: Array("key/\(digits)".utf8).span.bytes, sequence: UInt64(number % 7), kind: kind, value: value.span.bytes)
      }
      if round > 1 { try writer.addRangeDeletion(from: Array("key/1010".utf8), to: Array("key/1020".utf8), sequence: 9) }
      _ = try writer.finish()
      return disk.bytes(of: path) ?? []
    }
  }

  /// Checksums of head, footer and of every block that can be found by walking from one to the next.
  private static func mend(_ bytes: inout [UInt8]) {
    guard bytes.count >= 160 else { return }
    Sealing.store(Sealing.crc(bytes, 0..<60), at: 60, in: &bytes)
    let footer = bytes.count - 96
    var place = 64
    while place + 16 <= footer {
      let length = Int(Sealing.load(UInt32.self, at: place + 4, in: bytes))
      guard length <= footer - place - 16 else { break }
      var context = ByteWriter()
      context.writeUInt64(Sealing.load(UInt64.self, at: 16, in: bytes))
      context.writeUInt64(UInt64(place))
      let sum = crc32c(context.bytes, continuing: Sealing.crc(bytes, place + 4..<place + 16 + length))
      Sealing.store(sum, at: place, in: &bytes)
      place += 16 + length
    }
    if bytes.count % 8 != 0 { Sealing.store(UInt64(bytes.count), at: footer + 48, in: &bytes) }
    Sealing.store(Sealing.crc(bytes, footer..<footer + 84, continuing: Sealing.crc(bytes, 0..<64)), at: footer + 84, in: &bytes)
  }

  static let table = FuzzTarget("sstable.table", weight: 4, corpus: corpus, mend: { mend(&$0) }) { bytes in
    if bytes.count % 16 == 3 { salvage(bytes) }
    guard let table = try? TableReader.open(path, on: FrozenFiles([path: bytes])) else { return false }
    _ = try? table.verify()
    for key in ["", "key/1010", "key/1033", "zzz"] {
      Array(key.utf8).withUnsafeBytes { key in _ = try? table.get(key) { trailer, value in value.reduce(0, &+) } }
    }
    let limit = bytes.count + 1
    for (isCached, filter) in [(true, nil), (false, nil), (false, short)] {
      let cursor = table.cursor(fillCache: isCached, passing: filter)
      _ = try? walk(cursor, limit, from: { try cursor.first() }, by: { try cursor.next() })
      _ = try? walk(cursor, limit, from: { try cursor.last() }, by: { try cursor.previous() })
      Array("key/1030".utf8).withUnsafeBytes { key in
        _ = try? walk(cursor, limit, from: { try cursor.seek(key, Trailer.newest(atOrBelow: 5)) }, by: { try cursor.next() })
        _ = try? walk(cursor, limit, from: { try cursor.seekBefore(key, Trailer.newest(atOrBelow: 5)) }, by: { try cursor.previous() })
      }
    }
    return true
  }

  /// Every entry of a table takes at least a byte, so more than `limit` steps are a circle.
  private static func walk(_ cursor: TableCursor, _ limit: Int, from start: () throws -> Void, by step: () throws -> Void) throws {
    try start()
    var (steps, sum) = (0, UInt8(0))
    while cursor.isValid {
      steps += 1
      demand(steps <= 64 * limit, "a cursor that does not end")
      sum = cursor.entry.key.reduce(cursor.entry.value.reduce(sum, &+), &+)
      try step()
    }
  }

  private static func salvage(_ bytes: [UInt8]) {
    let disk = SimulatedFileSystem()
    made { try disk.install(path, bytes) }
    guard let (metadata, _) = try? salvageTable(path, to: target, fileID: 2, on: disk) else { return }
    guard let saved = try? TableReader.open(target, on: disk), let result = try? saved.verify() else { broken("a salvaged table is none") }
    demand(result.isClean && result.entries == metadata.entryCount, "a salvaged table is damaged")
  }
}
