import StrataFilters
import StrataNodes
import StrataRequirements
import Testing

@testable import StrataRESP

/// Filters in the store beside the filters of StrataFilters in memory, under the same random calls.
@Suite struct FilterModelTests {
  /// A Bloom filter as the store should hold it: for each page of each sub-filter a ``BloomFilter``.
  struct BloomModel {
    let seed: UInt64
    let capacity: Int
    let expansion: Int
    var parts: [(shape: PagedBloom, pages: [UInt32: BloomFilter], room: Int, items: Int)] = []
    var items = 0

    mutating func grow() throws {
      let room = parts.last.map { $0.room * expansion } ?? capacity
      let shape = try PagedBloom(
        slice: parts.count, of: ScalableBloomFilter.Parameters(initialCapacity: room, falsePositiveRate: 0.01, growth: 1), maxBytes: 1 << 30)
      parts.append((shape, [:], room, 0))
    }

    func contains(_ item: String) -> Bool {
      let hash = FilterHash.hash64(item, seed: seed)
      return parts.contains { $0.pages[$0.shape.page(of: hash)]?.mayContain(hash: PagedHash.inner(hash)) ?? false }
    }

    mutating func add(_ item: String) throws -> Bool {
      if contains(item) { return false }
      if parts[parts.count - 1].items >= parts[parts.count - 1].room { try grow() }
      let newest = parts.count - 1
      let hash = FilterHash.hash64(item, seed: seed)
      let shape = parts[newest].shape
      let page = shape.page(of: hash)
      let empty = try BloomFilter(bits: UInt64(shape.pageWords) * 64, hashes: Int(shape.hashes))
      parts[newest].pages[page, default: empty].add(hash: PagedHash.inner(hash))
      parts[newest].items += 1
      items += 1
      return true
    }
  }

  @Test(.requirement("Filters.keep.1", "Filters.keep.9"), arguments: Session.Store.allCases, [(20, 2), (900, 3), (7000, 2)])
  func bloomFiltersAgree(store: Session.Store, shape: (capacity: Int, expansion: Int)) throws {
    let session = try Session(store)
    defer { try? session.close() }
    #expect(session.call("BF.RESERVE", "f", "0.01", "\(shape.capacity)", "EXPANSION", "\(shape.expansion)") == .ok)
    var model = BloomModel(seed: try root(session, .bloom).seed, capacity: shape.capacity, expansion: shape.expansion)
    try model.grow()
    var random = Random(seed: 11)
    for round in 0..<1500 * testDepth {
      let item = "item \(random.below(4 * shape.capacity))"
      switch random.below(4) {
      case 0: #expect(session.call("BF.EXISTS", "f", item) == .integer(model.contains(item) ? 1 : 0), "round \(round), seed 11")
      case 1:
        let items = (0..<random.below(9) + 1).map { _ in "item \(random.below(4 * shape.capacity))" }
        let expected = try items.map { Reply.integer(try model.add($0) ? 1 : 0) }
        #expect(session.call((["BF.MADD", "f"] + items).map { Array($0.utf8) }) == .array(expected), "round \(round), seed 11")
      default: #expect(session.call("BF.ADD", "f", item) == .integer(try model.add(item) ? 1 : 0), "round \(round), seed 11")
      }
    }
    #expect(session.call("BF.CARD", "f") == .integer(Int64(model.items)))
    #expect(session.call("BF.INFO", "f", "FILTERS") == .array([.integer(Int64(model.parts.count))]))
    // Every page is, bit for bit, the filter in memory.
    let number = try #require(try session.number("f"))
    var first: UInt32 = 0
    for part in model.parts {
      for page in 0..<part.shape.pages {
        var stored: [UInt8]?
        _ = try session.keyspace.engine.read(StructureKeys.part(number, first + page).span.bytes, onlyIfCached: false) { value, _ in
          stored = value.withUnsafeBytes { [UInt8]($0) }
        }
        #expect(stored == part.pages[page].map { Array($0.encoded().suffix(part.shape.pageBytes)) })
      }
      first += part.shape.pages
    }
  }

  private func root(_ session: Session, _ type: RecordType) throws -> FilterRoot {
    var bytes: [UInt8] = []
    let key: [UInt8] = [0, 0x66]
    _ = try session.keyspace.engine.read(key.span.bytes, onlyIfCached: false) { value, _ in bytes = value.withUnsafeBytes { [UInt8]($0) } }
    return try #require(FilterRoot(decoding: bytes, type))
  }

  /// The share of false positives is what was asked for, over all sub-filters together.
  @Test(.requirement("Filters.never.1")) func theRateIsKept() throws {
    let session = try Session(.memory)
    let count = 20_000
    #expect(session.call("BF.RESERVE", "f", "0.02", "500") == .ok)
    for start in stride(from: 0, to: count, by: 500) {
      session.call(([Array("BF.MADD".utf8), [0x66]] as [[UInt8]]) + (start..<start + 500).map { Array("in \($0)".utf8) })
    }
    var wrong = 0
    for start in stride(from: 0, to: count, by: 500) {
      for (prefix, expects) in [("in", true), ("out", false)] {
        guard
          case .array(let answers) = session.call(
            ([Array("BF.MEXISTS".utf8), [0x66]] as [[UInt8]]) + (start..<start + 500).map { Array("\(prefix) \($0)".utf8) })
        else { return #expect(Bool(false), "no array") }
        if expects { #expect(answers.allSatisfy { $0 == .integer(1) }) } else { wrong += answers.count { $0 == .integer(1) } }
      }
    }
    // Three deviations above what was promised.
    #expect(Double(wrong) / Double(count) < 0.02 + 3 * (0.02 * 0.98 / Double(count)).squareRoot(), "\(wrong)")
  }

  /// A cuckoo filter as the store should hold it, and how often each item is really in.
  struct CuckooModel {
    let seed: UInt64
    let capacity: Int
    var parts: [(shape: PagedCuckoo, pages: [UInt32: CuckooFilter])] = []
    var counts: [String: Int] = [:]

    mutating func grow() throws { parts.append((try PagedCuckoo(capacity: capacity, maxBytes: 1 << 30), [:])) }

    static func empty(_ shape: PagedCuckoo) throws -> CuckooFilter {
      // The capacity for which a filter has exactly these buckets.
      try CuckooFilter(capacity: Int(Double(shape.pageBuckets - 1) * 3.8) + 1)
    }

    func count(_ item: String) -> Int {
      let hash = FilterHash.hash64(item, seed: seed)
      return parts.reduce(0) { $0 + ($1.pages[$1.shape.page(of: hash)]?.count(hash: PagedHash.inner(hash)) ?? 0) }
    }

    mutating func add(_ item: String) throws {
      let hash = FilterHash.hash64(item, seed: seed)
      counts[item, default: 0] += 1
      while true {
        for index in parts.indices.reversed() {
          let page = parts[index].shape.page(of: hash)
          if parts[index].pages[page] == nil { parts[index].pages[page] = try Self.empty(parts[index].shape) }
          if (try? parts[index].pages[page]?.add(hash: PagedHash.inner(hash))) != nil { return }
        }
        try grow()
      }
    }

    mutating func remove(_ item: String) -> Bool {
      let hash = FilterHash.hash64(item, seed: seed)
      for index in parts.indices.reversed() {
        let page = parts[index].shape.page(of: hash)
        guard parts[index].pages[page] != nil else { continue }
        if (try? parts[index].pages[page]?.remove(hash: PagedHash.inner(hash))) != nil {
          counts[item, default: 0] -= 1
          return true
        }
      }
      return false
    }
  }

  @Test(.requirement("Filters.keep.7"), arguments: Session.Store.allCases, [8, 200, 4000])
  func cuckooFiltersAgree(store: Session.Store, capacity: Int) throws {
    let session = try Session(store)
    defer { try? session.close() }
    #expect(session.call("CF.RESERVE", "f", "\(capacity)") == .ok)
    var model = CuckooModel(seed: try root(session, .cuckoo).seed, capacity: capacity)
    try model.grow()
    var random = Random(seed: 12)
    for round in 0..<1500 * testDepth {
      let item = "item \(random.below(capacity))"
      switch random.below(5) {
      case 0: #expect(session.call("CF.COUNT", "f", item) == .integer(Int64(model.count(item))), "round \(round), seed 12")
      case 1:
        // Only what is in is removed: the structure cannot tell a look-alike from it.
        guard model.counts[item, default: 0] > 0 else { continue }
        #expect(session.call("CF.DEL", "f", item) == .integer(model.remove(item) ? 1 : 0), "round \(round), seed 12")
      case 2:
        let isNew = model.count(item) == 0
        if isNew { try model.add(item) }
        #expect(session.call("CF.ADDNX", "f", item) == .integer(isNew ? 1 : 0), "round \(round), seed 12")
      default:
        guard model.counts[item, default: 0] < 3 else { continue }
        try model.add(item)
        #expect(session.call("CF.ADD", "f", item) == .integer(1), "round \(round), seed 12")
      }
    }
    for (item, count) in model.counts where count > 0 {
      #expect(session.call("CF.EXISTS", "f", item) == .integer(1))
      #expect(session.call("CF.COUNT", "f", item) == .integer(Int64(model.count(item))))
      #expect(model.count(item) >= count)
    }
    let stored = try root(session, .cuckoo)
    #expect(stored.parts.count == model.parts.count)
    #expect(stored.items == UInt64(model.counts.values.reduce(0, +)))
  }
}
