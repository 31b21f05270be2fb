import StrataRequirements
import Foundation
import StrataBytes
import StrataCompression
import StrataDisk
import StrataFilters
import StrataNodes
import StrataSimulation
import SystemPackage

@testable import StrataSSTable

/// An entry as tests compare it.
struct TestEntry: Hashable, CustomStringConvertible {
  var key: [UInt8]
  var sequence: UInt64
  var kind: EntryKind = .value
  var value: [UInt8] = []

  var description: String { "\(String(decoding: key, as: UTF8.self))#\(sequence)\(kind)=\(value.count)" }
  var internalKey: InternalKey { InternalKey(userKey: key, trailer: Trailer(sequence, kind)) }

  init(_ key: [UInt8], _ sequence: UInt64, _ kind: EntryKind = .value, _ value: [UInt8] = []) {
    (self.key, self.sequence, self.kind, self.value) = (key, sequence, kind, value)
  }

  init(_ cursor: Cursor) {
    key = [UInt8](cursor.entry.key)
    sequence = cursor.entry.trailer.sequence
    kind = cursor.entry.trailer.kind ?? .rangeDeletion
    value = [UInt8](cursor.entry.value)
  }
}

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

/// Tiny blocks, so that every path between blocks is taken within a few entries.
func tinyOptions(_ change: (inout TableOptions) -> Void = { _ in }) -> TableOptions {
  var options = TableOptions()
  options.blockSize = 64
  options.restartInterval = 3
  options.indexPartitionSize = 256
  options.compression = .none
  change(&options)
  return options
}

/// Entries of random keys and versions in internal order.
func randomEntries(_ random: inout Random, count: Int, keySpace: Int, valueBytes: Int = 30) -> [TestEntry] {
  var entries: Set<InternalKey> = []
  var result: [TestEntry] = []
  for sequence in 1...max(1, count) {
    let number = random.below(keySpace)
    var key = bytes(random.chance(1, in: 3) ? "shared/prefix/of/keys/\(number)" : "\(number)")
    if random.chance(1, in: 40) { key = [] }
    if random.chance(1, in: 40) { key += [0xFF, 0xFF] }
    let kind: EntryKind = random.chance(1, in: 5) ? .deletion : random.chance(1, in: 8) ? .merge : .value
    let value = kind == .deletion ? [] : random.bytes(random.below(valueBytes + 1))
    let entry = TestEntry(key, UInt64(sequence), kind, value)
    if entries.insert(entry.internalKey).inserted { result.append(entry) }
  }
  return result.sorted { $0.internalKey < $1.internalKey }
}

let home: FilePath = "/tables"

func newDisk() -> SimulatedFileSystem {
  let disk = SimulatedFileSystem()
  try? disk.makeDirectories(home)
  return disk
}

@discardableResult
func build(
  _ entries: [TestEntry], ranges: [RangeDeletion] = [], id: UInt64 = 1, options: TableOptions = tinyOptions(), on disk: any FileSystem
) throws -> TableMetadata {
  var writer = try TableWriter(home.appending("\(id).sst"), fileID: id, options: options, on: disk)
  for entry in entries {
    try writer.add(key: entry.key.span.bytes, sequence: entry.sequence, kind: entry.kind, value: entry.value.span.bytes)
  }
  for range in ranges { try writer.addRangeDeletion(from: range.start, to: range.end, sequence: range.sequence) }
  return try writer.finish()
}

func open(_ id: UInt64 = 1, expected: TableMetadata? = nil, cache: BlockCache? = BlockCache(capacityBytes: 1 << 20), on disk: any FileSystem) throws
  -> TableReader
{
  try TableReader.open(home.appending("\(id).sst"), expected: expected, cache: cache, on: disk)
}

func forward(_ cursor: Cursor) throws -> [TestEntry] {
  var all: [TestEntry] = []
  try cursor.first()
  while cursor.isValid {
    all.append(TestEntry(cursor))
    try cursor.next()
  }
  return all
}

func backward(_ cursor: Cursor) throws -> [TestEntry] {
  var all: [TestEntry] = []
  try cursor.last()
  while cursor.isValid {
    all.append(TestEntry(cursor))
    try cursor.previous()
  }
  return all.reversed()
}

extension Cursor {
  func seek(_ key: [UInt8], _ sequence: UInt64 = Trailer.maxSequence) throws {
    try key.withUnsafeBytes { try seek($0, Trailer.newest(atOrBelow: sequence)) }
  }

  func seekBefore(_ key: [UInt8], _ sequence: UInt64 = Trailer.maxSequence) throws {
    try key.withUnsafeBytes { try seekBefore($0, Trailer.newest(atOrBelow: sequence)) }
  }
}
