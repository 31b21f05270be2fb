import StrataBytes
import StrataNodes
import StrataRequirements
import Testing

@testable import StrataAvro

struct PropertyTests {
  private static func rounds(_ count: Int) -> Range<UInt64> { 1..<UInt64(1 + count * testDepth) }

  @Test(.requirement("Avro.keep.2", "Avro.keep.11"))
  func whatIsEncodedDecodesAndSkips() throws {
    for seed in Self.rounds(400) {
      var generator = Generator(seed: seed)
      let schema = try schema(generator.model().json)
      #expect(try StrataAvro.AvroSchema(schema.fullJSON) == schema, "seed \(seed)")
      let plan = try AvroPlan(writer: schema)
      let copy = try AvroPlan(writer: schema, reader: AvroSchema(schema.fullJSON + " "))
      for blocks in [AvroBlocks.counted, .sized(items: 2)] {
        let value = generator.value(schema)
        let bytes = try AvroEncoder(schema, blocks: blocks).encode(value)
        #expect(try plan.decode(bytes) == value, "seed \(seed): \(schema.fullJSON)")
        #expect(try copy.decode(bytes) == value, "seed \(seed)")
        let longer = bytes + [0xFF]
        var reader = ByteReader(longer.span.bytes)
        try plan.skip(&reader)
        let left = reader.remaining
        #expect(left == 1, "seed \(seed)")
        let json = generator.value(schema, finite: true)
        #expect(try AvroJSON.decode(AvroJSON.encode(json, schema), schema) == json, "seed \(seed)")
      }
    }
  }

  @Test(.requirement("Avro.keep.5", "Avro.keep.9", "Avro.keep.8"))
  func legalEvolutionsResolveAndIllegalOnesDoNot() throws {
    for seed in Self.rounds(400) {
      var generator = Generator(seed: seed)
      let model = generator.record()
      var later = model
      for _ in 0...generator.random.below(3) { later = generator.evolved(later) }
      let (old, new) = (try schema(model.json), try schema(later.json))
      let value = generator.value(old)
      let bytes = try AvroEncoder(old).encode(value)
      let plan = try AvroPlan(writer: old, reader: new)
      let seen = try plan.decode(bytes)
      // What was read is a value of the reader's schema.
      #expect(try AvroPlan(writer: new).decode(AvroEncoder(new).encode(seen)) == seen, "seed \(seed)")
      #expect(checkCompatibility(writer: old, reader: new).isBackward, "seed \(seed)")

      guard case .record(let name, let fields) = later else { continue }
      let broken = try schema(Model.record(name, fields + [.init(name: "demanded", type: .primitive(.int))]).json)
      #expect(throws: AvroResolutionError.self, "seed \(seed)") { try AvroPlan(writer: old, reader: broken) }
      #expect(!checkCompatibility(writer: old, reader: broken).isBackward, "seed \(seed)")
    }
  }

  @Test func orderOfBytesIsTheOrderOfValues() throws {
    for seed in Self.rounds(200) {
      var generator = Generator(seed: seed)
      let schema = try schema(generator.model().json)
      let encoder = AvroEncoder(schema, blocks: generator.random.chance(1, in: 2) ? .counted : .sized(items: 2))
      let order = try AvroOrder(schema)
      for _ in 0..<8 {
        let (a, b) = (generator.value(schema, finite: true), generator.value(schema, finite: true))
        let (first, second) = (try encoder.encode(a), try encoder.encode(b))
        let expected = valueOrder(a, b)
        let found = try compare(first, second, order)
        if let expected { #expect(found == expected, "seed \(seed): \(schema.fullJSON)") }
        if let found { #expect(try compare(second, first, order) == -found, "seed \(seed)") }
        if let same = try compare(first, first, order) { #expect(same == 0, "seed \(seed)") }
      }
    }
  }

  /// The order from the bytes; `nil` where a map would decide.
  private func compare(_ a: [UInt8], _ b: [UInt8], _ order: AvroOrder) throws -> Int? {
    let (first, second) = (ByteReader(a.span.bytes), ByteReader(b.span.bytes))
    do throws(AvroDecodeError) { return try order.compare(first, second) } catch {
      guard error.kind == .notComparable else { throw error }
      return nil
    }
  }

  /// The order from decoded values; `nil` where a map would decide.
  private func valueOrder(_ a: AvroValue, _ b: AvroValue) -> Int? {
    func order<T: Comparable>(_ a: T, _ b: T) -> Int { a < b ? -1 : a > b ? 1 : 0 }
    func bytes(_ a: some Sequence<UInt8>, _ b: some Sequence<UInt8>) -> Int {
      a.lexicographicallyPrecedes(b) ? -1 : b.lexicographicallyPrecedes(a) ? 1 : 0
    }
    switch (a, b) {
    case (.null, .null): return 0
    case (.boolean(let a), .boolean(let b)): return order(a ? 1 : 0, b ? 1 : 0)
    case (.int(let a), .int(let b)): return order(a, b)
    case (.long(let a), .long(let b)): return order(a, b)
    case (.float(let a), .float(let b)): return a == b ? order(b.sign.rawValue, a.sign.rawValue) : order(a, b)
    case (.double(let a), .double(let b)): return a == b ? order(b.sign.rawValue, a.sign.rawValue) : order(a, b)
    case (.string(let a), .string(let b)): return bytes(a.utf8, b.utf8)
    case (.bytes(let a), .bytes(let b)), (.fixed(let a), .fixed(let b)): return bytes(a, b)
    case (.enumeration(let a), .enumeration(let b)): return order(a, b)
    case (.union(let i, let a), .union(let j, let b)): return i == j ? valueOrder(a, b) : order(i, j)
    case (.record(let a), .record(let b)), (.array(let a), .array(let b)):
      for (x, y) in zip(a, b) {
        guard let order = valueOrder(x, y) else { return nil }
        if order != 0 { return order }
      }
      return order(a.count, b.count)
    default: return nil
    }
  }

  @Test(.requirement("Avro.never.6", "Avro.never.5"))
  func damagedDataGiveValuesOrErrors() throws {
    var refused = 0
    for seed in Self.rounds(150) {
      var generator = Generator(seed: seed)
      let old = generator.record()
      let (writer, reader) = (try schema(old.json), try schema(generator.evolved(old).json))
      let plan = try AvroPlan(writer: writer, reader: reader)
      let bytes = try AvroEncoder(writer, blocks: .sized(items: 1)).encode(generator.value(writer))
      for round in 0..<40 {
        var damaged = bytes
        if round % 3 == 0 || damaged.isEmpty { damaged = generator.random.bytes(generator.random.below(40)) }
        if !damaged.isEmpty { damaged[generator.random.below(damaged.count)] ^= UInt8(1 << generator.random.below(8)) }
        if decodeFailure(plan, damaged) != nil { refused += 1 }
        var input = ByteReader(damaged.span.bytes)
        _ = try? plan.skip(&input)
      }
    }
    #expect(refused > 500)
  }

  @Test func damagedSchemasAndJSONGiveValuesOrErrors() throws {
    for seed in Self.rounds(150) {
      var generator = Generator(seed: seed)
      let text = Array(generator.model().json.utf8)
      guard let valid = try? AvroSchema(json: text) else { continue }
      let json = try AvroJSON.encode(generator.value(valid, finite: true), valid)
      for _ in 0..<20 {
        var damaged = text
        damaged[generator.random.below(damaged.count)] = UInt8(generator.random.below(256))
        if let schema = try? AvroSchema(json: damaged) { #expect(try AvroSchema(schema.fullJSON) == schema, "seed \(seed)") }
        var value = json
        value[generator.random.below(value.count)] = UInt8(generator.random.below(256))
        _ = try? AvroJSON.decode(value, valid)
      }
    }
  }
}
