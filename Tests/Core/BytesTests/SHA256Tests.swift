import StrataNodes
import Testing

@testable import StrataBytes

@Suite struct SHA256Tests {
  /// FIPS 180-4's examples and the empty message.
  @Test(arguments: [
    ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"),
    (
      "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
      "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"
    ),
  ])
  func publishedVectors(text: String, digest: String) { #expect("\(sha256(Array(text.utf8)))" == digest) }

  @Test func aMillionLetters() {
    var message = SHA256()
    let thousand = [UInt8](repeating: UInt8(ascii: "a"), count: 1000)
    for _ in 0..<1000 { message.update(thousand) }
    #expect("\(message.finish())" == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
  }

  /// Every length around the edges of blocks, cut at every place.
  @Test func piecesGiveWhatTheWholeGives() {
    var random = Random(seed: 1)
    for length in 0...200 {
      let bytes = random.bytes(length)
      let whole = sha256(bytes)
      for cut in 0...length {
        var message = SHA256()
        message.update(Array(bytes[..<cut]))
        message.update(Array(bytes[cut...]))
        #expect(message.finish() == whole, "\(length) bytes cut at \(cut)")
      }
    }
  }

  @Test func formsAndTagsAgree() {
    #expect(SHA256Form.software.digests(tag: 0, rows: [], rowBytes: 0, count: 0) == [])
    var random = Random(seed: 2)
    for rowBytes in 0...200 {
      for count in [1, 2, 3, 4] {
        let rows = random.bytes(rowBytes * count)
        let tag = UInt8(truncatingIfNeeded: random.next())
        let expected = (0..<count).map { sha256([tag] + rows[$0 * rowBytes..<($0 + 1) * rowBytes]) }
        for form in SHA256Form.allCases {
          guard let digests = form.digests(tag: tag, rows: rows, rowBytes: rowBytes, count: count) else { continue }
          #expect(digests == expected, "\(form), \(count) rows of \(rowBytes) bytes")
        }
        let cut = random.below(rowBytes + 1)
        let tagged = rows.withUnsafeBytes { rows in
          sha256(tag: tag, UnsafeRawBufferPointer(rebasing: rows[..<cut]), UnsafeRawBufferPointer(rebasing: rows[cut..<rowBytes]))
        }
        #expect(tagged == expected[0], "\(rowBytes) bytes behind a tag, cut at \(cut)")
      }
    }
  }
}

@Suite struct DigestTests {
  @Test func textAndBytesRoundTrip() {
    var random = Random(seed: 3)
    for _ in 0..<100 {
      let bytes = random.bytes(32)
      let digest = Digest(bytes)
      #expect(digest?.bytes == bytes)
      #expect(digest.flatMap { Digest(hex: "\($0)") } == digest)
      #expect(digest.flatMap { Digest(hex: "\($0)".uppercased()) } == digest)
      #expect(digest.map { Digest(littleEndianWords: $0.littleEndianWords) } == digest)
    }
    #expect(Digest(random.bytes(31)) == nil && Digest(random.bytes(33)) == nil)
    #expect(Digest(hex: String(repeating: "0", count: 63)) == nil && Digest(hex: String(repeating: "g", count: 64)) == nil)
    #expect("\(Digest.zero)" == String(repeating: "0", count: 64))
  }

  @Test func orderIsThatOfTheBytes() throws {
    var random = Random(seed: 4)
    for _ in 0..<200 {
      let a = random.bytes(32)
      var b = a
      b[random.below(32)] ^= UInt8(1 << random.below(8))
      let (x, y) = (try #require(Digest(a)), try #require(Digest(b)))
      #expect((x < y) == a.lexicographicallyPrecedes(b) && x != y)
    }
  }
}
