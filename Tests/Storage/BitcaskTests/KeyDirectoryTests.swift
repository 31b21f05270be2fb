import StrataNodes
import StrataRequirements
import Testing

@testable import StrataBitcask

@Suite struct KeyDirectoryTests {
  static func location(_ number: Int) -> Location {
    Location(segment: UInt32(number % 1000), offset: 4096 + UInt64(number) * 8, length: UInt32(48 + number % 100 * 8))
  }

  static func put(_ directory: KeyDirectory, _ key: [UInt8], _ hash: KeyHash, _ entry: DirectoryEntry) {
    key.withUnsafeBytes { key in
      directory.withShard(of: hash) { shard in
        let slot = shard.table.find(hash, key)
        directory.set(&shard, slot, hash, key, entry)
      }
    }
  }

  static func remove(_ directory: KeyDirectory, _ key: [UInt8], _ hash: KeyHash) -> Bool {
    key.withUnsafeBytes { key in
      directory.withShard(of: hash) { shard in
        guard let slot = shard.table.find(hash, key) else { return false }
        directory.remove(&shard, slot)
        return true
      }
    }
  }

  static func hash(_ key: [UInt8]) -> KeyHash { key.withUnsafeBytes { KeyHash(of: $0) } }

  /// Hashes that all but collide, so that runs, overflow and moves are long.
  static func crowded(_ key: [UInt8]) -> KeyHash {
    let hash = hash(key).value
    return KeyHash(hash & 0x0000_0000_0300_0003 | (hash & 3 == 0 ? 0xFFFF_FFFF_0000_0000 : 0x4200_0000_0000_0000))
  }

  @Test(arguments: [false, true]) func equalsADictionary(crowds: Bool) {
    var random = Random(seed: 11)
    let directory = KeyDirectory(keepsKeys: true)
    var model: [[UInt8]: DirectoryEntry] = [:]
    for step in 0..<(crowds ? 1000 : 10_000) * testDepth {
      let key = random.bytes(random.below(4) == 0 ? random.below(200) : 2)
      let hash = crowds ? Self.crowded(key) : Self.hash(key)
      switch random.below(5) {
      case 0:
        #expect(Self.remove(directory, key, hash) == (model.removeValue(forKey: key) != nil), "step \(step), seed 11")
      default:
        let expiry = random.chance(1, in: 3) ? UInt64(random.below(1000)) : 0
        let entry = DirectoryEntry(location: Self.location(step), expiry: expiry)
        Self.put(directory, key, hash, entry)
        model[key] = entry
      }
    }
    #expect(directory.count == model.count)
    for (key, entry) in model {
      let hash = crowds ? Self.crowded(key) : Self.hash(key)
      #expect(key.withUnsafeBytes { directory.lookup(hash, $0) } == entry)
    }
    var seen: Set<[UInt8]> = []
    var cursor: UInt64? = 0
    while let from = cursor {
      let page = directory.page(from: from, wanted: 7)
      for number in 0..<page.count { #expect(seen.insert(page.key(number)).inserted) }
      cursor = page.next
    }
    #expect(seen == Set(model.keys))
  }

  /// Keys that stay are visited exactly once while others come and go and tables grow and shrink between two calls.
  @Test func aScanMeetsEveryLastingKeyOnce() {
    for seed in 0..<UInt64(4 * testDepth) {
      var random = Random(seed: seed)
      let directory = KeyDirectory(keepsKeys: true)
      let lasting = (0..<800).map { key($0) }
      for (number, key) in lasting.enumerated() {
        Self.put(directory, key, Self.hash(key), DirectoryEntry(location: Self.location(number), expiry: 0))
      }
      var seen: [[UInt8]: Int] = [:]
      var cursor: UInt64? = 0
      var guests: [[UInt8]] = []
      while let from = cursor {
        let page = directory.page(from: from, wanted: 1 + random.below(20))
        for number in 0..<page.count { seen[page.key(number), default: 0] += 1 }
        cursor = page.next
        for _ in 0..<random.below(200) {
          let guest = bytes("guest") + random.bytes(3)
          Self.put(directory, guest, Self.hash(guest), DirectoryEntry(location: Self.location(random.below(100)), expiry: 0))
          guests.append(guest)
        }
        if random.chance(1, in: 3) {
          for guest in guests { _ = Self.remove(directory, guest, Self.hash(guest)) }
          guests = []
        }
      }
      for key in lasting { #expect(seen[key] == 1, "seed \(seed), key \(String(decoding: key, as: UTF8.self))") }
    }
  }

  @Test func fingerprintsTellEqualHashesApartByPlace() {
    let directory = KeyDirectory(keepsKeys: false)
    let hash = KeyHash(0x1234_5678_9ABC_DEF0)
    for number in 1...5 {
      directory.withShard(of: hash) { shard in
        directory.set(&shard, nil, hash, UnsafeRawBufferPointer(start: nil, count: 0), DirectoryEntry(location: Self.location(number), expiry: 0))
      }
    }
    #expect(Set(directory.candidates(hash)) == Set((1...5).map(Self.location)))
    #expect(directory.candidates(KeyHash(0x1234_5678_9ABC_DEF1)).isEmpty)
    #expect(directory.relocate(hash, from: Self.location(3), to: Self.location(30)))
    #expect(!directory.relocate(hash, from: Self.location(3), to: Self.location(31)))
    directory.withShard(of: hash) { shard in
      if let slot = shard.table.find(hash, at: Self.location(1)) { directory.remove(&shard, slot) }
    }
    #expect(Set(directory.candidates(hash)) == Set([2, 30, 4, 5].map(Self.location)))
  }

  @Test func recoveryTakesTheHighestSequenceInAnyOrder() {
    for seed in 0..<UInt64(50) {
      var random = Random(seed: seed)
      let directory = KeyDirectory(keepsKeys: true, isRecovering: true)
      var model: [[UInt8]: (sequence: UInt64, location: Location?)] = [:]
      var offers = OfferBatch()
      for _ in 0..<400 {
        let name = key(random.below(40))
        let sequence = UInt64(random.below(10_000))
        if model.values.contains(where: { $0.sequence == sequence }) { continue }
        let isDeleted = random.chance(1, in: 3)
        let location = Self.location(random.below(1000))
        name.withUnsafeBytes {
          let entry = DirectoryEntry(location: isDeleted ? location.asDeleted : location, expiry: 0)
          offers.add(Self.hash(name), $0, entry, sequence: sequence)
        }
        if random.chance(1, in: 20) { offers.handOver(to: directory) { _, _ in true } }
        if sequence >= model[name]?.sequence ?? 0 { model[name] = (sequence, isDeleted ? nil : location) }
      }
      offers.handOver(to: directory) { _, _ in true }
      var visited = 0
      directory.finishRecovery { _ in visited += 1 }
      let living = model.filter { $0.value.location != nil }
      #expect(directory.count == living.count && visited == living.count, "seed \(seed)")
      for (name, value) in model {
        #expect(name.withUnsafeBytes { directory.lookup(Self.hash(name), $0) }?.location == value.location, "seed \(seed)")
      }
    }
  }

  @Test func memoryOfDeletedKeysComesBack() {
    let directory = KeyDirectory(keepsKeys: true)
    var peak = 0
    for round in 0..<20 {
      for number in 0..<2000 {
        let name = bytes("round \(round) of a somewhat longer key, number \(number)")
        Self.put(directory, name, Self.hash(name), DirectoryEntry(location: Self.location(number), expiry: 0))
      }
      for number in 0..<2000 {
        let name = bytes("round \(round) of a somewhat longer key, number \(number)")
        #expect(Self.remove(directory, name, Self.hash(name)))
      }
      if round == 1 { peak = directory.memoryBytes }
    }
    #expect(directory.memoryBytes <= peak * 3, "\(directory.memoryBytes) bytes after 20 rounds, \(peak) after 2")
  }
}
