import StrataFilters
import StrataNodes
import StrataRequirements
import SystemPackage
import Testing

@testable import StrataSSTable

/// How tables use their filters.
@Suite struct FilterUseTests {
  /// The reader asks the filter with the hash it is given and never makes one of its own: with another key's hash it does not find the key. So a
  /// lookup over any number of tables hashes once.
  @Test(.requirement("Filters.never.6")) func aLookupOverTenTablesHashesOnce() throws {
    let disk = newDisk()
    for id in 1...10 as ClosedRange<UInt64> { try build([TestEntry(bytes("key"), id, .value, bytes("\(id)"))], id: id, on: disk) }
    let key = bytes("key")
    let hash = FilterHash.hash64(key.span.bytes)
    let foreign = try #require((0..<100).map { FilterHash.hash64("other \($0)") }.first { $0 >> 40 != hash >> 40 })
    for id in 1...10 as ClosedRange<UInt64> {
      let reader = try TableReader.open(home.appending("\(id).sst"), on: disk)
      for (asked, isFound) in [(hash, true), (foreign, false)] {
        var lookup = PointLookup()
        try key.withUnsafeBytes { try reader.lookup($0, hash: asked, atOrBelow: 100, into: &lookup) }
        #expect(lookup.isSettled == isFound, "table \(id)")
        #expect(reader.mayContain(hash: asked) == isFound)
      }
    }
  }

  /// A damaged filter hides nothing: the reader says that it is damaged, and every key is perhaps there.
  @Test(.requirement("Filters.never.4")) func aDamagedFilterHidesNoKey() throws {
    let disk = newDisk()
    let entries = (100..<160).map { TestEntry(bytes("key\($0)"), 1, .value, bytes("\($0)")) }
    try build(entries, on: disk)
    let path = home.appending("1.sst")
    let whole = try #require(disk.bytes(of: path))
    let sound = try TableReader.open(path, on: disk)
    #expect(sound.filterDamage == nil)
    let absent = (0..<500).map { FilterHash.hash64("absent \($0)") }
    #expect(absent.count { sound.mayContain(hash: $0) } < 50)
    var damagedFilters = 0
    for place in whole.indices {
      var bytes = whole
      bytes[place] ^= 0x10
      try disk.install(path, bytes)
      guard let reader = try? TableReader.open(path, on: disk), reader.filterDamage != nil else { continue }
      damagedFilters += 1
      #expect(absent.allSatisfy { reader.mayContain(hash: $0) })
      for entry in entries {
        let value = try entry.key.withUnsafeBytes { try reader.get($0) { _, value in [UInt8](value) } }
        #expect(value == entry.value, "byte \(place)")
      }
      let verification = try reader.verify()
      #expect(verification.damage == [reader.filterDamage].compactMap { $0 }, "damage is reported by a verification")
    }
    #expect(damagedFilters > 64, "\(damagedFilters) bytes of the filter's block")
  }
}
