import StrataDisk
import StrataNodes
import StrataSimulation
import SystemPackage
import Testing

@testable import StrataBitcask

@Suite struct SnapshotTests {
  static func contents(_ snapshot: BitcaskSnapshot) throws -> [[UInt8]: [UInt8]] {
    var cursor = snapshot.items()
    var all: [[UInt8]: [UInt8]] = [:]
    while let item = try cursor.next() {
      if all.updateValue(item.value, forKey: item.key) != nil { throw Unexpected("visited twice") }
    }
    return all
  }

  @Test(arguments: [BitcaskOptions.KeyStorage.memory, .fingerprint]) func aSnapshotStaysAsItWas(keyStorage: BitcaskOptions.KeyStorage) throws {
    for seed in 0..<UInt64(6) {
      var random = Random(seed: seed)
      let store = try Bitcask.open(home, options: tinyOptions { $0.keyStorage = keyStorage }, on: SimulatedFileSystem())
      var model: [[UInt8]: [UInt8]] = [:]
      var held: [(snapshot: BitcaskSnapshot, model: [[UInt8]: [UInt8]])] = []
      for step in 0..<(1500 / (sweepStride + 2)) {
        let name = key(random.below(25))
        switch random.below(12) {
        case 0..<6:
          let value = random.bytes(random.below(40))
          try store.put(name, value)
          model[name] = value
        case 6..<9:
          try store.delete(name)
          model[name] = nil
        case 9: if held.count < 4 { held.append((store.snapshot(), model)) }
        case 10: if !held.isEmpty { held.remove(at: random.below(held.count)) }
        default: if random.chance(1, in: 4) { try store.merge(.all) }
        }
        if step % 20 == 0 {
          for (snapshot, expected) in held {
            guard try Self.contents(snapshot) == expected else { throw Unexpected("seed \(seed), step \(step), \(keyStorage)") }
            #expect(try snapshot.get(name) == expected[name])
          }
        }
      }
      held = []
      #expect(store.snapshots.versionCount == 0 && store.statistics.snapshots == 0)
      try store.maintain()
      #expect(try BitcaskTests.contents(store) == model)
      try store.close()
    }
  }

  @Test func aSnapshotBeyondItsBoundIsGivenUp() throws {
    let store = try Bitcask.open(home, options: tinyOptions { $0.maxSnapshotVersions = 10 }, on: SimulatedFileSystem())
    let snapshot = store.snapshot()
    for number in 0..<10 { try store.put(key(number), []) }
    #expect(try snapshot.get(key(1)) == nil)
    try store.put(key(11), [])
    #expect(throws: BitcaskError.snapshotLost) { _ = try snapshot.get(key(1)) }
    #expect(try store.get(key(1)) == [])
  }

  @Test func aSnapshotKeepsTheFilesItNeeds() throws {
    let disk = SimulatedFileSystem()
    let store = try Bitcask.open(home, options: tinyOptions(), on: disk)
    for number in 0..<20 { try store.put(key(number), bytes("old \(number)")) }
    var snapshot: BitcaskSnapshot? = store.snapshot()
    for number in 0..<20 { try store.put(key(number), bytes("new \(number)")) }
    try store.merge(.all)
    for number in 0..<20 { #expect(try snapshot?.get(key(number)) == bytes("old \(number)")) }
    let held = try names(disk).filter { $0.hasSuffix(".data") }.count
    snapshot = nil
    try store.maintain()
    #expect(try names(disk).filter { $0.hasSuffix(".data") }.count < held)
  }
}
