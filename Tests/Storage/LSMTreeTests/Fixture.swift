import StrataRequirements
import Foundation
import StrataBytes
import StrataDisk
import StrataNodes
import StrataSSTable
import StrataSimulation
import StrataWriteAheadLog
import SystemPackage

@testable import StrataLSMTree

/// The directory every test store lives in.
let home: FilePath = "/store"

struct Unexpected: Error, CustomStringConvertible {
  var description: String
  init(_ description: String) { self.description = description }
}

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }
func text(_ bytes: [UInt8]?) -> String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

/// Appends operands to what is there, separated by commas; refuses the operand "refuse".
struct Appending: MergeOperator {
  var name: String { "append" }

  func fullMerge(key: RawSpan, base: [UInt8]?, operands: [[UInt8]]) -> [UInt8]? {
    if operands.contains(bytes("refuse")) { return nil }
    return Array(([base].compactMap { $0 } + operands).joined(separator: [0x2C]))
  }

  func partialMerge(key: RawSpan, operands: [[UInt8]]) -> [UInt8]? {
    operands.contains(bytes("refuse")) ? nil : Array(operands.joined(separator: [0x2C]))
  }
}

/// Tiny sizes and nobody in the background: every deep path within a few operations.
func tinyOptions(_ change: (inout LSMOptions) -> Void = { _ in }) -> LSMOptions {
  var options = LSMOptions()
  options.memtableBytes = 4096
  options.logSegmentBytes = 4096
  options.maxLogBytes = 64 << 10
  options.background = .manual
  options.manifestRewriteBytes = 2048
  options.levelZeroTrigger = 2
  options.levelZeroSlowdown = 8
  options.levelZeroStop = 12
  options.clock = { 1_700_000_000_000 }
  options.defaultKeyspace.mergeOperator = Appending()
  options.defaultKeyspace.targetTableBytes = 4096
  options.defaultKeyspace.baseLevelBytes = 8192
  options.defaultKeyspace.fanOut = 3
  options.defaultKeyspace.table.blockSize = 128
  options.defaultKeyspace.table.restartInterval = 3
  options.defaultKeyspace.table.indexPartitionSize = 256
  change(&options)
  return options
}

extension LSMTree {
  @discardableResult
  func put(_ key: String, _ value: String, durability: Durability? = nil) throws -> UInt64 {
    try put(bytes(key).span.bytes, bytes(value).span.bytes, durability: durability)
  }
  @discardableResult
  func delete(_ key: String) throws -> UInt64 { try delete(bytes(key).span.bytes) }
  @discardableResult
  func deleteRange(_ from: String, _ to: String) throws -> UInt64 { try deleteRange(from: bytes(from).span.bytes, to: bytes(to).span.bytes) }
  @discardableResult
  func merge(_ key: String, _ operand: String) throws -> UInt64 { try merge(bytes(key).span.bytes, operand: bytes(operand).span.bytes) }
  func get(_ key: String, at snapshot: Snapshot? = nil) throws -> String? { text(try get(bytes(key).span.bytes, at: snapshot)) }

  /// Everything, as text, in order; read forward and backward, which must agree.
  func rows(_ bounds: KeyBounds = .all, in keyspace: Keyspace? = nil, at snapshot: Snapshot? = nil) throws -> [[String]] {
    var iterator = try iterator(bounds, in: keyspace, at: snapshot)
    return try both(&iterator)
  }
}

/// What an iterator shows, forward and backward, which must agree.
func both(_ iterator: inout LSMIterator) throws -> [[String]] {
  var forward: [[String]] = []
  try iterator.first()
  while iterator.isValid {
    forward.append(iterator.row)
    try iterator.next()
  }
  var backward: [[String]] = []
  try iterator.last()
  while iterator.isValid {
    backward.append(iterator.row)
    try iterator.previous()
  }
  guard forward == backward.reversed() else { throw Unexpected("forward \(forward), backward \(Array(backward.reversed()))") }
  return forward
}

/// A table outside of the store; `nil` deletes a key.
func writeTable(_ changes: [String: String?], _ name: String, on disk: any FileSystem) throws -> FilePath {
  let path = FilePath("/elsewhere/\(name)")
  try disk.makeDirectories("/elsewhere")
  var writer = try TableWriter(path, fileID: 1, on: disk)
  for (key, value) in changes.sorted(by: { $0.key < $1.key }) {
    try writer.add(
      key: bytes(key).span.bytes, sequence: 7, kind: value == nil ? .deletion : .value, value: bytes(value ?? "").span.bytes)
  }
  _ = try writer.finish()
  return path
}

extension LSMTree {
  /// Throws where a level, or a sub-level of level 0, holds tables that overlap: reads look into one table of each.
  func checkShape() throws {
    for keyspace in core.allKeyspaces {
      let levels = keyspace.version.levels
      for run in levels.subLevels + levels.deeper {
        for (left, right) in zip(run.tables, run.tables.dropFirst()) where Levels.overlap(left.metadata, right.metadata) {
          throw Unexpected("level \(run.level): tables \(left.metadata.fileID) and \(right.metadata.fileID) overlap")
        }
        for table in run.tables where Int(table.metadata.level) != run.level {
          throw Unexpected("table \(table.metadata.fileID) of level \(table.metadata.level) lies in level \(run.level)")
        }
      }
    }
  }
}

extension LSMIterator {
  var row: [String] {
    [key.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }, value.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }]
  }
}
