import StrataDisk
import StrataJobs
import StrataNodes
import StrataRequirements
import StrataSimulation
import StrataWriteAheadLog
import Synchronization
import SystemPackage
import Testing

@testable import StrataBitcask

@Suite struct ConcurrencyTests {
  /// Eight readers, a writer, merges and snapshots without pause; each value names its key and only ever grows.
  @Test(.requirement("Bitcask.never.13"), arguments: [BitcaskOptions.KeyStorage.memory, .fingerprint])
  func readersWriterAndMerges(keyStorage: BitcaskOptions.KeyStorage) throws {
    let options = tinyOptions {
      $0.segmentBytes = 1 << 14
      $0.durability = .none
      $0.background = .threads
      $0.keyStorage = keyStorage
    }
    let store = try Bitcask.open(home, options: options, on: SimulatedFileSystem())
    let keys = 40
    for number in 0..<keys { try store.put(key(number), bytes("\(number) 0")) }
    let stop = Stop()
    let writer = Worker(name: "writer") {
      for round in 1...(60 * testDepth) {
        for number in 0..<keys where (number + round) % 3 == 0 {
          stop.note { try store.put(key(number), bytes("\(number) \(round)")) }
        }
      }
      stop.isSet.store(true, ordering: .releasing)
    }
    let merger = Worker(name: "merger") {
      while !stop.isSet.load(ordering: .acquiring) {
        stop.note {
          do throws(BitcaskError) { try store.merge(.all) } catch { if case .busy = error { return } else { throw error } }
        }
      }
    }
    let readers = (0..<8).map { reader in
      Worker(name: "reader-\(reader)") {
        var random = Random(seed: UInt64(reader))
        var latest = [Int](repeating: 0, count: keys)
        while !stop.isSet.load(ordering: .acquiring) {
          let number = random.below(keys)
          stop.note {
            let value = if reader == 7 { try store.snapshot().get(key(number)) } else { try store.get(key(number)) }
            let words = String(decoding: value ?? [], as: UTF8.self).split(separator: " ").compactMap { Int($0) }
            guard words.count == 2, words[0] == number, words[1] >= latest[number] else {
              throw Unexpected("key \(number) reads \(words) after \(latest[number])")
            }
            latest[number] = words[1]
          }
        }
      }
    }
    for worker in [writer, merger] + readers { worker.join() }
    #expect(stop.failures.withLock { $0 } == [])
    #expect(store.count == keys)
    #expect(store.statistics.merges > 0)
    try store.close()
  }

  @Test func writersOnManyThreadsLoseNothing() throws {
    let disk = SimulatedFileSystem()
    let options = tinyOptions {
      $0.segmentBytes = 1 << 13
      $0.background = .threads
      $0.merge.isAutomatic = true
      $0.merge.maxFrozenSegments = 3
    }
    let store = try Bitcask.open(home, options: options, on: disk)
    let stop = Stop()
    let writers = (0..<6).map { writer in
      Worker(name: "writer-\(writer)") {
        for number in 0..<60 {
          stop.note {
            try store.write([.put(key(writer * 1000 + number), bytes("\(number)")), .put(bytes("shared"), bytes("\(writer) \(number)"))])
          }
        }
      }
    }
    for writer in writers { writer.join() }
    #expect(stop.failures.withLock { $0 } == [])
    let again = try Bitcask.open(home, options: tinyOptions(), on: disk.crash(.nothingKept))
    for writer in 0..<6 { for number in 0..<60 { #expect(try again.get(key(writer * 1000 + number)) == bytes("\(number)")) } }
    #expect(again.count == 361)
  }

  /// Increments by compare-and-set from several threads: none is lost, whatever merges do meanwhile.
  @Test func compareAndSetIsAtomic() throws {
    let store = try Bitcask.open(
      home, options: tinyOptions { ($0.background, $0.durability) = (.threads, .none) }, on: SimulatedFileSystem())
    try store.put(key(0), bytes("0"))
    let stop = Stop()
    let workers = (0..<4).map { _ in
      Worker(name: "adder") {
        for _ in 0..<50 {
          stop.note {
            while true {
              guard
                case .found(let (sequence, value)) = try store.read(
                  key(0), onlyIfCached: false,
                  {
                    ($0.sequence, Int(String(decoding: $0.value, as: UTF8.self)) ?? -1)
                  })
              else { throw Unexpected("gone") }
              if try store.compareAndSet(key(0), expected: sequence, bytes("\(value + 1)")) { return }
            }
          }
        }
      }
    }
    let merger = Worker(name: "merger") { for _ in 0..<20 { stop.note { try store.merge(.all) } } }
    for worker in workers + [merger] { worker.join() }
    #expect(stop.failures.withLock { $0 } == [])
    #expect(try store.get(key(0)) == bytes("200"))
    try store.close()
  }
}

/// Ends a run, and keeps what went wrong in it.
final class Stop: Sendable {
  let isSet = Atomic<Bool>(false)
  let failures = Mutex<[String]>([])

  func note(_ body: () throws -> Void) {
    do { try body() } catch {
      failures.withLock { $0.append("\(error)") }
      isSet.store(true, ordering: .releasing)
    }
  }
}
