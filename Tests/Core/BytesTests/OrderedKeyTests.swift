import StrataNodes
import StrataRequirements
import Testing

@testable import StrataBytes

private typealias Element = OrderedKey.Element

/// Where `a` and `b` stand to each other by their meaning, not by their encoding.
private func order(_ a: Element, _ b: Element) -> Int {
  func sign<T: Comparable>(_ a: T, _ b: T) -> Int { a < b ? -1 : a == b ? 0 : 1 }
  func sign(_ a: [UInt8], _ b: [UInt8]) -> Int { a.lexicographicallyPrecedes(b) ? -1 : a == b ? 0 : 1 }
  func rank(_ e: Element) -> Int {
    switch e {
    case .null: 0
    case .bytes: 1
    case .string: 2
    case .int: 3
    case .uint: 4
    case .double: 5
    case .bool: 6
    }
  }
  switch (a, b) {
  case (.bytes(let a), .bytes(let b)): return sign(a, b)
  case (.string(let a), .string(let b)): return sign(Array(a.utf8), Array(b.utf8))
  case (.int(let a), .int(let b)): return sign(a, b)
  case (.uint(let a), .uint(let b)): return sign(a, b)
  case (.double(let a), .double(let b)): return a.bitPattern == b.bitPattern ? 0 : a.isTotallyOrdered(belowOrEqualTo: b) ? -1 : 1
  case (.bool(let a), .bool(let b)): return sign(a ? 1 : 0, b ? 1 : 0)
  default: return sign(rank(a), rank(b))
  }
}

private func order(_ a: [Element], _ b: [Element]) -> Int {
  for (a, b) in zip(a, b) where order(a, b) != 0 { return order(a, b) }
  return a.count < b.count ? -1 : a.count == b.count ? 0 : 1
}

private func element(_ random: inout Random) -> Element {
  // Few distinct bytes, so that prefixes, zeros and escapes meet often.
  func bytes() -> [UInt8] { (0..<random.below(5)).map { _ in [0, 0, 1, 0x7F, 0xFF][random.below(5)] } }
  let edge: [UInt64] = [0, 1, 255, 256, .max, 1 << 63, (1 << 63) - 1, 0x7FF0 << 48, 0xFFF0 << 48, 0x7FF8 << 48, 0xFFF8 << 48]
  let word = random.chance(1, in: 2) ? edge[random.below(edge.count)] : random.next() >> UInt64(random.below(64))
  switch random.below(7) {
  case 0: return .null
  case 1: return .bytes(bytes())
  case 2: return .string(String(decoding: (0..<random.below(4)).map { _ in [0, 1, 0x61, 0x7F][random.below(4)] as UInt8 }, as: UTF8.self))
  case 3: return .int(Int64(bitPattern: word))
  case 4: return .uint(word)
  case 5: return .double(Double(bitPattern: word))
  default: return .bool(random.chance(1, in: 2))
  }
}

private func tuple(_ random: inout Random) -> [Element] { (0..<random.below(4)).map { _ in element(&random) } }

private func signOfCompare(_ a: [UInt8], _ b: [UInt8]) -> Int { compare(a.span.bytes, b.span.bytes).signum() }

@Suite struct OrderedKeyTests {
  @Test func tuplesRoundTripAndKeepTheirOrder() throws {
    let seed: UInt64 = 0x0DE5
    var random = Random(seed: seed)
    var earlier = tuple(&random)
    for round in 0..<20_000 * min(depth, 50) {
      let next = random.chance(1, in: 3) ? earlier.dropLast() + tuple(&random) : tuple(&random)
      let a = OrderedKey.encode(earlier)
      let b = OrderedKey.encode(next)
      if signOfCompare(a, b) != order(earlier, next) { Issue.record("seed \(seed) round \(round): order of \(earlier) and \(next)") }
      let back = try OrderedKey.decode(b.span.bytes, limit: 16)
      if back != next { Issue.record("seed \(seed) round \(round): \(next) came back as \(back)") }
      earlier = next
    }
  }

  @Test func integersAndDoublesInOrder() {
    let integers: [Int64] = [.min, .min + 1, -1 << 32, -256, -255, -1, 0, 1, 255, 256, 1 << 32, .max - 1, .max]
    let doubles: [Double] = [
      Double(bitPattern: 0xFFF8_0000_0000_0001), -.infinity, -.greatestFiniteMagnitude, -1, -.leastNonzeroMagnitude, -0.0, 0.0,
      .leastNonzeroMagnitude, 1, .greatestFiniteMagnitude, .infinity, .nan,
    ]
    for keys in [integers.map { OrderedKey.encode([.int($0)]) }, doubles.map { OrderedKey.encode([.double($0)]) }] {
      for (a, b) in zip(keys, keys.dropFirst()) { #expect(signOfCompare(a, b) == -1) }
    }
  }

  @Test func theFormIsFixed() {
    #expect(OrderedKey.encode([.null]) == [0x00])
    #expect(OrderedKey.encode([.bytes([0x66, 0x00, 0x6F])]) == [UInt8](hex: "01 66 00ff 6f 00"))
    #expect(OrderedKey.encode([.bytes([0x00, 0x00])]) == [UInt8](hex: "01 00ff 00ff 00"))
    #expect(OrderedKey.encode([.string("F\u{D4}O")]) == [UInt8](hex: "02 46 c394 4f 00"))
    #expect(OrderedKey.encode([.int(-2)]) == [UInt8](hex: "10 7ffffffffffffffe"))
    #expect(OrderedKey.encode([.uint(258)]) == [UInt8](hex: "11 0000000000000102"))
    #expect(OrderedKey.encode([.double(-42)]) == [UInt8](hex: "21 3fbaffffffffffff"))
    #expect(OrderedKey.encode([.double(42)]) == [UInt8](hex: "21 c045000000000000"))
    #expect(OrderedKey.encode([.bool(false), .bool(true)]) == [0x26, 0x27])
  }

  @Test func typedReadsTakeOnlyTheirType() throws {
    let key = OrderedKey.encode([.null, .int(-5), .uint(5), .double(0.5), .bool(true), .bytes([0]), .string("x")])
    var decoder = OrderedKeyDecoder(key.span.bytes, base: 50)
    do throws(DecodeError) {
      _ = try decoder.nextInt64()
      Issue.record("nil is no integer")
    } catch {
      #expect(error == .malformed(at: 50, field: "signed integer of a key"))
    }
    #expect(try decoder.nextIsNull())
    #expect(try !decoder.nextIsNull())
    #expect(try decoder.nextInt64() == -5)
    #expect(try decoder.nextUInt64() == 5)
    #expect(try decoder.nextDouble() == 0.5)
    #expect(try decoder.nextBool())
    #expect(try decoder.nextBytes() == [0])
    #expect(try decoder.nextString() == "x")
    let ended = decoder.isAtEnd
    #expect(ended)
  }

  @Test(.requirement("Simulation.never.4")) func damagedKeysAreTypedErrors() {
    func refused(_ hex: String) -> DecodeError? {
      let bytes = [UInt8](hex: hex)
      do throws(DecodeError) {
        _ = try OrderedKey.decode(bytes.span.bytes, limit: 3)
        return nil
      } catch { return error }
    }
    #expect(refused("03") == .malformed(at: 0, field: "tag of a key element"))
    #expect(refused("00ff") == .malformed(at: 1, field: "tag of a key element"))
    #expect(refused("016600fe00") == .malformed(at: 3, field: "tag of a key element"))
    #expect(refused("0166") == .truncated(at: 0, need: 3, have: 2))
    #expect(refused("016600ff") == .truncated(at: 0, need: 5, have: 4))
    #expect(refused("1080000000") == .truncated(at: 1, need: 8, have: 4))
    #expect(refused("02ff00") == .malformed(at: 0, field: "text of a key"))
    #expect(refused("26262626") == .limitExceeded(at: 3, field: "number of key elements", limit: 3))
    #expect(refused("262626") == nil)
  }

  /// Random bytes, and encodings with a few bytes changed: what decodes encodes to the same bytes again.
  @Test(.requirement("Simulation.never.4", "Simulation.keep.5")) func whateverDecodesIsCanonical() {
    let seed: UInt64 = 0xCA50
    var random = Random(seed: seed)
    var accepted = 0
    let rounds = depth >= 10 ? 2_000_000 : 20_000 * depth
    for round in 0..<rounds {
      var bytes: [UInt8]
      if round % 2 == 0 {
        bytes = (0..<random.below(14)).map { _ in [0, 0, 1, 2, 0x10, 0x11, 0x21, 0x26, 0x27, 0xFF, 0xFE, 0xC3, 0x94][random.below(13)] }
      } else {
        bytes = OrderedKey.encode(tuple(&random))
        for _ in 0..<random.below(3) where !bytes.isEmpty { bytes[random.below(bytes.count)] = UInt8(random.below(256)) }
      }
      guard let elements = try? OrderedKey.decode(bytes.span.bytes, limit: 100) else { continue }
      accepted += 1
      if OrderedKey.encode(elements) != bytes { Issue.record("seed \(seed) round \(round): \(bytes) has two encodings") }
    }
    #expect(accepted > rounds / 20 && accepted < rounds)
  }

  @Test func compareIsTheOrderOfUnsignedBytes() {
    var random = Random(seed: 12)
    for _ in 0..<5_000 {
      let a = (0..<random.below(20)).map { _ in UInt8(random.below(2) * 0xFF) }
      let b = random.chance(1, in: 3) ? a + [0] : (0..<random.below(20)).map { _ in UInt8(random.below(2) * 0xFF) }
      #expect(signOfCompare(a, b) == (a.lexicographicallyPrecedes(b) ? -1 : a == b ? 0 : 1))
    }
    #expect(signOfCompare([], []) == 0)
    #expect(signOfCompare([], [0]) == -1)
  }
}
