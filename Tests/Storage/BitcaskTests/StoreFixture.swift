import StrataRequirements
import Foundation
import StrataDisk
import StrataNodes
import StrataSimulation
import StrataWriteAheadLog
import Synchronization
import SystemPackage

@testable import StrataBitcask

/// The directory every test store lives in.
let home: FilePath = "/store"

/// Tiny segments, no threads, no reserve: every deep path within a few operations.
func tinyOptions(_ change: (inout BitcaskOptions) -> Void = { _ in }) -> BitcaskOptions {
  var options = BitcaskOptions()
  options.segmentBytes = 4096 + 400
  options.background = .manual
  options.reservedBytes = 0
  options.merge.isAutomatic = false
  options.recoveryThreads = 1
  change(&options)
  return options
}

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

func key(_ number: Int) -> [UInt8] { bytes("key-\(number)") }

/// A clock that tests move.
final class TestClock: Sendable {
  private let now = Atomic<UInt64>(1_700_000_000_000)
  var value: UInt64 { now.load(ordering: .relaxed) }
  func set(_ value: UInt64) { now.store(value, ordering: .relaxed) }
  func move(_ milliseconds: Int) { now.store(UInt64(bitPattern: Int64(bitPattern: value) + Int64(milliseconds)), ordering: .relaxed) }
}

/// Everything in the store.
func contents(_ store: Bitcask) throws -> [[UInt8]: [UInt8]] {
  var cursor = store.items()
  var all: [[UInt8]: [UInt8]] = [:]
  while let item = try cursor.next() {
    if all.updateValue(item.value, forKey: item.key) != nil { throw Unexpected("a key was visited twice: \(item.key)") }
  }
  return all
}

/// A file of the store's directory, by name.
func file(_ disk: SimulatedFileSystem, _ name: String) -> [UInt8]? { disk.bytes(of: home.appending(name)) }

func names(_ disk: any FileSystem) throws -> [String] { try disk.list(home) }

struct Unexpected: Error, CustomStringConvertible {
  var description: String
  init(_ description: String) { self.description = description }
}

/// Sweeps take every so manieth byte: all of them in an optimised build, or with more depth; a debug build is some fifteen times slower.
let sweepStride: Int = {
  #if DEBUG
    testDepth > 1 ? 1 : 9
  #else
    1
  #endif
}()
