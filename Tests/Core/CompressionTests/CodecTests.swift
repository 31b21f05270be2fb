import StrataCompression
import StrataNodes
import Testing

@Suite struct CodecTests {
  /// Texts of every shape: empty, tiny, constant, random, repetitive, and longer than each library's window.
  private func inputs(_ random: inout Random) -> [[UInt8]] {
    var all: [[UInt8]] = [[], [7], Array("strata".utf8), [UInt8](repeating: 0, count: 100_000)]
    all.append((0..<70_000).map { _ in UInt8(truncatingIfNeeded: random.next()) })
    all.append((0..<300_000).map { UInt8(truncatingIfNeeded: $0 / 7 % 61) })
    return all
  }

  @Test(arguments: Codec.allCases)
  func whatWasCompressedComesBack(codec: Codec) throws {
    var random = Random(seed: 1)
    for input in inputs(&random) {
      for level in [nil, -4, 1, 100] {
        let compressed = try codec.compress(input.span.bytes, level: level)
        #expect(try codec.decompress(compressed.span.bytes, atMost: input.count) == input)
        #expect(try codec.decompress(compressed.span.bytes, atMost: 1 << 30) == input)
      }
    }
  }

  @Test(arguments: Codec.allCases)
  func moreThanTheLimitIsRefused(codec: Codec) throws {
    let input = [UInt8](repeating: 9, count: 200_000)
    let compressed = try codec.compress(input.span.bytes)
    for limit in [0, 1, 199_999] {
      #expect(throws: CompressionError.self) { try codec.decompress(compressed.span.bytes, atMost: limit) }
    }
  }

  @Test(arguments: Codec.allCases)
  func everyCutIsRefusedAndNoFlipTraps(codec: Codec) throws {
    guard codec != .none else { return }
    let input = Array("one log is the truth, everything else a view of the one log; ".utf8) + (0..<200).map { UInt8($0) }
    let compressed = try codec.compress(input.span.bytes)
    for length in 0..<compressed.count {
      let cut = Array(compressed[..<length])
      #expect((try? codec.decompress(cut.span.bytes, atMost: 1 << 20)) != input, "\(codec) cut at \(length)")
    }
    for bit in 0..<compressed.count * 8 {
      var flipped = compressed
      flipped[bit / 8] ^= 1 << (bit % 8)
      let output = try? codec.decompress(flipped.span.bytes, atMost: 4096)
      #expect((output?.count ?? 0) <= 4096)
    }
  }

  @Test(arguments: Codec.allCases)
  func trailingBytesAreNotSwallowed(codec: Codec) throws {
    let input = Array("abcabcabcabcabcabc".utf8)
    let longer = try codec.compress(input.span.bytes) + [1, 2, 3]
    #expect((try? codec.decompress(longer.span.bytes, atMost: 1 << 20)) != input)
  }

  @Test(arguments: Codec.allCases)
  func fixedBuffersAreFilledExactlyOrRefused(codec: Codec) throws {
    let input = [UInt8](repeating: 3, count: 5000)
    var room = [UInt8](repeating: 0, count: codec.maximumCompressedCount(input.count))
    let count = try #require(input.withUnsafeBytes { input in room.withUnsafeMutableBytes { codec.compress(input, into: $0) } })
    let compressed = Array(room[..<count])
    for size in [4999, 5000, 5001] {
      var output = [UInt8](repeating: 0, count: size)
      let restored = compressed.withUnsafeBytes { source in
        output.withUnsafeMutableBytes { target in (try? codec.decompress(source, filling: target)) != nil }
      }
      #expect(restored == (size == 5000), "\(codec) into \(size)")
      if restored { #expect(output == input) }
    }
    var tooSmall = [UInt8](repeating: 0, count: 3)
    #expect(input.withUnsafeBytes { input in tooSmall.withUnsafeMutableBytes { codec.compress(input, into: $0) } } == nil)
  }

  /// Blocks made by the libraries' own tools, so that an exchange of formats or of raw and framed data cannot pass unseen.
  @Test func publishedFormatsAreRead() throws {
    let text = Array("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".utf8)  // 30
    let raw: [(Codec, [UInt8])] = [
      (.lz4, [0x1f, 0x61, 0x01, 0x00, 0x05, 0x50, 0x61, 0x61, 0x61, 0x61, 0x61]),  // literal, match of 24, last five literals
      (.deflate, [0x4b, 0x4c, 0xc4, 0x07, 0x00]),  // as zlib.compressobj(wbits=-15) of Python writes it
      (.snappy, [0x1e, 0x00, 0x61, 0x72, 0x01, 0x00]),  // length 30, one literal, copy of 29 from distance 1
    ]
    for (codec, bytes) in raw { #expect(try codec.decompress(bytes.span.bytes, atMost: 100) == text, "\(codec)") }
    let frame: [UInt8] = [0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x1e, 0xf3, 0x00, 0x00, 0x61]  // single segment, 30 bytes, one RLE block
    #expect(try Codec.zstd.decompress(frame.span.bytes, atMost: 100) == text)
  }

  @Test func namesAreStable() {
    #expect(Codec.allCases.map(\.name) == ["none", "lz4", "zstd", "deflate", "snappy"])
    #expect(Codec.allCases.map(\.rawValue) == [0, 1, 2, 3, 4])
    #expect(Codec(name: "zstd") == .zstd)
    #expect(Codec(name: "gzip") == nil)
  }
}
