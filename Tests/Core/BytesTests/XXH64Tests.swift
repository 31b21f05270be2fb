import Testing

@testable import StrataBytes

@Suite struct XXH64Tests {
  /// The buffer and results that xxHash's own self-test publishes.
  @Test(
    arguments: [
      (0, 0, 0xEF46_DB37_51D8_E999), (0, 2_654_435_761, 0xAC75_FDA2_929B_17EF),
      (1, 0, 0xE934_A84A_DB05_2768), (1, 2_654_435_761, 0x5014_6076_43A9_B4C3),
      (4, 0, 0x9136_A0DC_A574_57EE), (4, 2_654_435_761, 0xCAAB_286B_D8E9_FDB5),
      (14, 0, 0x8282_DCC4_994E_35C8), (14, 2_654_435_761, 0xC3BD_6BF6_3DEB_6DF0),
      (222, 0, 0xB641_AE8C_B691_C174), (222, 2_654_435_761, 0x20CB_8AB7_AE10_C14A),
    ] as [(Int, UInt64, UInt64)])
  func selfTestVectors(length: Int, seed: UInt64, expected: UInt64) {
    var generator: UInt64 = 2_654_435_761
    let bytes = (0..<length).map { _ in
      defer { generator &*= 11_400_714_785_074_694_797 }
      return UInt8(generator >> 56)
    }
    #expect(xxh64(bytes.span.bytes, seed: seed) == expected)
  }

  @Test(arguments: [("a", 0xD24E_C4F1_A98C_6E5B), ("abc", 0x44BC_2CF5_AD77_0999), ("", 0xEF46_DB37_51D8_E999)] as [(String, UInt64)])
  func texts(text: String, expected: UInt64) {
    #expect(xxh64(Array(text.utf8).span.bytes) == expected)
  }

  @Test func alignmentDoesNotMatter() {
    let piece = (0..<100).map { UInt8($0) }
    for length in 0...100 {
      let expected = xxh64(piece.span.bytes.extracting(0..<length), seed: 9)
      for shift in 1...8 {
        let moved = [UInt8](repeating: 0xEE, count: shift) + piece
        #expect(xxh64(moved.span.bytes.extracting(shift..<shift + length), seed: 9) == expected)
      }
    }
  }
}
