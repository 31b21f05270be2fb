import StrataBytes
import StrataNodes
import Testing

@testable import StrataSSTable

/// What is done with a few bytes without a call gives what the plain loops give, at every length and nowhere beside.
@Suite struct ShortBytesTests {
  /// Bytes of few kinds, so that keys have much in common.
  private static func bytes(_ random: inout Random, _ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(random.below(3)) } }

  @Test(arguments: 0..<UInt64(20)) func keysOfEqualHeadsCompareAsTheyDo(seed: UInt64) {
    var random = Random(seed: seed)
    for _ in 0..<2000 {
      let head = Self.bytes(&random, random.within(0...8))
      let shared = head + Self.bytes(&random, random.below(30))
      let (a, b) = (shared + Self.bytes(&random, random.below(30)), shared + Self.bytes(&random, random.below(30)))
      a.withUnsafeBytes { a in
        b.withUnsafeBytes { b in
          #expect(commonPrefix(a, b) == zip(a, b).prefix { $0 == $1 }.count)
          guard keyHead(a) == keyHead(b) else { return }
          #expect(orderBehindHead(a, b).signum() == compare(a, b).signum(), "seed \(seed): \(Array(a)), \(Array(b))")
        }
      }
    }
  }

  @Test func copiesEndWhereTheyShould() {
    let source = (0..<100).map { UInt8($0 + 1) }
    for count in 0...80 {
      for start in 0..<9 {
        var target = [UInt8](repeating: 0, count: 100)
        target.withUnsafeMutableBytes { target in
          source.withUnsafeBytes { copyShort($0.baseAddress! + start, to: target.baseAddress! + 5, count) }
        }
        #expect(target == [UInt8](repeating: 0, count: 5) + source[start..<start + count] + [UInt8](repeating: 0, count: 95 - count), "\(count)")
      }
    }
  }
}
