import StrataNodes
import StrataRequirements
import Testing

@testable import StrataBytes

/// The definition: a bit at a time, with the polynomial as RFC 3720 prints it.
private func oracle(_ bytes: some Sequence<UInt8>, continuing: UInt32 = 0) -> UInt32 {
  var crc = ~continuing
  for byte in bytes {
    crc ^= UInt32(byte)
    for _ in 0..<8 { crc = (crc >> 1) ^ (crc & 1 == 1 ? 0x82F6_3B78 : 0) }
  }
  return ~crc
}

private let forms = CRC32CForm.allCases.filter(\.isAvailable)

@Suite struct CRC32CTests {
  @Test(
    .requirement("Simulation.never.10"),
    arguments: [
      ("", 0),
      ("313233343536373839", 0xE306_9283),  // "123456789"
      (String(repeating: "00", count: 32), 0x8A91_36AA),
      (String(repeating: "ff", count: 32), 0x62A8_AB43),
      ("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", 0x46DD_794E),
      ("1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100", 0x113F_DB5C),
      (
        """
        01c00000 00000000 00000000 00000000 14000000 00000400 00000014 00000018
        28000000 00000000 02000000 00000000
        """, 0xD996_3A56
      ),
    ] as [(String, UInt32)])
  func publishedVectors(hex: String, expected: UInt32) {
    let bytes = [UInt8](hex: hex)
    #expect(oracle(bytes) == expected)
    #expect(crc32c(bytes.span.bytes) == expected)
    for form in forms {
      #expect(bytes.withUnsafeBytes { form.checksum($0) } == expected, "\(form)")
    }
  }

  @Test func theFastestFormIsChosen() {
    #expect(forms.contains(.software))
    #expect(CRC32CForm.chosen == forms.last)
    #if arch(x86_64)
      #expect(CRC32CForm.lanes.isAvailable, "every processor the tests run on has SSE 4.2")
    #endif
  }

  /// Every length to 4096 at every alignment to 63 at depth 10; all lengths at some alignments and short ones at all by default.
  @Test(.requirement("Simulation.never.10")) func hardwareEqualsSoftware() {
    let seed: UInt64 = 0xC4C
    var random = Random(seed: seed)
    let bytes = random.bytes(4096 + 64)
    let continuing = UInt32(truncatingIfNeeded: random.next())
    var wrong: [String] = []
    bytes.withUnsafeBytes { buffer in
      for length in 0...4096 {
        let alignments = depth >= 10 || length <= 16 ? Array(0...63) : [length % 64, (length &* 37 + 11) % 64]
        for alignment in alignments {
          let piece = UnsafeRawBufferPointer(rebasing: buffer[alignment..<alignment + length])
          let expected = CRC32CForm.software.checksum(piece, continuing: continuing)
          for form in forms.dropFirst() where form.checksum(piece, continuing: continuing) != expected {
            wrong.append("\(form) length \(length) alignment \(alignment)")
          }
        }
      }
    }
    #expect(wrong.isEmpty, "seed \(seed): \(wrong.prefix(5))")
  }

  @Test func softwareEqualsTheDefinition() {
    let seed: UInt64 = 0x5EED
    let bytes = Random(seed: seed).fork("bytes").drawn(600)
    for length in 0...600 {
      let expected = oracle(bytes[..<length], continuing: 7)
      #expect(bytes.withUnsafeBytes { CRC32CForm.software.checksum(UnsafeRawBufferPointer(rebasing: $0[..<length]), continuing: 7) } == expected)
    }
  }

  /// Sizes around every change of method inside the hardware forms: lane counts, chunk ends, fold widths.
  @Test func longInputsAgreeInEveryForm() {
    let bytes = Random(seed: 3).fork("long").drawn(64 * 1024 + 9)
    for length in [12_287, 12_288, 12_289, 12_288 + 95, 12_288 + 96, 24_576, 40_000, 65_536, 65_545] {
      let all = forms.map { form in bytes.withUnsafeBytes { form.checksum(UnsafeRawBufferPointer(rebasing: $0[..<length])) } }
      #expect(Set(all).count == 1, "length \(length): \(all)")
    }
  }

  @Test(.requirement("Simulation.keep.6")) func continuingEqualsConcatenation() {
    let bytes = Random(seed: 4).fork("split").drawn(1000)
    let whole = crc32c(bytes.span.bytes)
    for cut in 0...bytes.count {
      let first = crc32c(bytes.span.bytes.extracting(0..<cut))
      #expect(crc32c(bytes.span.bytes.extracting(cut..<bytes.count), continuing: first) == whole)
    }
  }

  @Test(.requirement("Simulation.keep.6")) func aChainDetectsReorderingAndSplicing() {
    let records = (0..<6).map { Random(seed: 5).fork("record", $0).drawn(40) }
    func chain(_ order: [Int]) -> UInt32 {
      order.reduce(0) { crc, index in records[index].withUnsafeBytes { crc32c($0, continuing: crc) } }
    }
    let right = chain([0, 1, 2, 3, 4, 5])
    #expect(chain([0, 1, 3, 2, 4, 5]) != right)
    #expect(chain([0, 1, 2, 4, 5]) != right)
    #expect(chain([0, 1, 2, 2, 3, 4, 5]) != right)
  }

  @Test func combineEqualsConcatenation() {
    var random = Random(seed: 6)
    for _ in 0..<300 {
      let bytes = random.bytes(random.within(0...3000))
      let cut = random.within(0...bytes.count)
      let a = crc32c(bytes.span.bytes.extracting(0..<cut))
      let b = crc32c(bytes.span.bytes.extracting(cut..<bytes.count))
      #expect(crc32cCombine(a, b, lengthB: bytes.count - cut) == crc32c(bytes.span.bytes), "\(bytes.count) cut at \(cut)")
    }
  }

  /// No buffer has these lengths; the law that remains is that moving by n and then by m is moving by n + m.
  @Test func combineMovesByAnyLength() {
    for (n, m) in [(1 << 33, 5), (Int.max - 9, 9), (1 << 40, 1 << 41)] {
      let twice = crc32cCombine(crc32cCombine(0xDEAD_BEEF, 0, lengthB: n), 0, lengthB: m)
      #expect(twice == crc32cCombine(0xDEAD_BEEF, 0, lengthB: n + m))
    }
  }

  @Test func masksInvertAndDiffer() {
    var random = Random(seed: 7)
    for crc in [0, 1, 0xFFFF_FFFF] + (0..<1000).map({ _ in UInt32(truncatingIfNeeded: random.next()) }) {
      #expect(unmaskedCRC(maskedCRC(crc)) == crc)
      #expect(maskedCRC(crc) != crc)
      #expect(maskedCRC(maskedCRC(crc)) != crc)
    }
    // What LevelDB stores: the rotation right by 15, then the constant.
    #expect(maskedCRC(0) == 0xA282_EAD8)
    #expect(maskedCRC(0x0000_8000) == 0xA282_EAD9)
    #expect(maskedCRC(1) == 0xA284_EAD8)
  }

  @Test(.requirement("Simulation.never.4")) func everyFlippedBitChangesTheChecksum() {
    var bytes = Random(seed: 8).fork("flip").drawn(300)
    let right = crc32c(bytes.span.bytes)
    for bit in 0..<bytes.count * 8 {
      bytes[bit / 8] ^= 1 << (bit % 8)
      #expect(crc32c(bytes.span.bytes) != right)
      bytes[bit / 8] ^= 1 << (bit % 8)
    }
  }
}

extension Random {
  /// `count` bytes from a copy of this generator.
  func drawn(_ count: Int) -> [UInt8] {
    var copy = self
    return copy.bytes(count)
  }
}
