import StrataBytes
import StrataFilters
import StrataNodes

/// Stored filters, in their own form and inside another format.
enum FilterTargets {
  static var all: [FuzzTarget] { [stored, fuse] }

  private static let keys: [UInt64] = {
    var random = Random(seed: 3)
    return (0..<40).map { _ in random.next() }
  }()

  /// A bound that a breach of would show.
  private static let maxBytes: UInt64 = 1 << 20

  private static let corpus: [[UInt8]] = made {
    var bloom = try BloomFilter(expectedItems: 40, seed: 5)
    var blocked = try BlockedBloomFilter(expectedItems: 40, bitsPerKey: 10, seed: 5)
    var counting = try CountingBloomFilter(expectedItems: 40, seed: 5)
    var scalable = try ScalableBloomFilter(initialCapacity: 5, seed: 5)
    var cuckoo = try CuckooFilter(capacity: 40, seed: 5)
    for key in keys {
      _ = bloom.add(hash: key)
      blocked.add(hash: key)
      counting.add(hash: key)
      _ = try scalable.add(hash: key)
      try cuckoo.add(hash: key)
    }
    return [
      bloom.encoded(), blocked.encoded(), counting.encoded(), scalable.encoded(), cuckoo.encoded(),
      BinaryFuseFilter<UInt8>(hashes: keys, seed: 5).encoded(), BinaryFuseFilter<UInt16>(hashes: keys, seed: 5).encoded(),
      BinaryFuseFilter<UInt8>(hashes: [], seed: 5).encoded(),
    ]
  }

  /// Checksums of header and payload, those of a scalable filter's slices before its own.
  private static func mend(_ bytes: inout [UInt8]) {
    var place = 128
    while place + 64 <= bytes.count {
      if Array(bytes[place..<place + 4]) == Array("SFLT".utf8) {
        let length = Sealing.load(UInt64.self, at: place + 28, in: bytes)
        if length <= UInt64(bytes.count - place - 64) { seal(place..<place + 64 + Int(length), in: &bytes) }
      }
      place += 64
    }
    if bytes.count >= 64 { seal(0..<bytes.count, in: &bytes) }
  }

  private static func seal(_ range: Range<Int>, in bytes: inout [UInt8]) {
    Sealing.store(Sealing.crc(bytes, range.lowerBound + 64..<range.upperBound), at: range.lowerBound + 52, in: &bytes)
    Sealing.store(Sealing.crc(bytes, range.lowerBound..<range.lowerBound + 60), at: range.lowerBound + 60, in: &bytes)
  }

  static let stored = FuzzTarget("filters.stored", weight: 20, corpus: corpus, mend: { mend(&$0) }) { bytes in
    var isAccepted = false
    if let view = try? FilterView(validating: bytes.span.bytes) {
      for key in keys { _ = view.mayContain(hash: key) }
      _ = view.expectedFalsePositiveRate
      isAccepted = true
    }
    isAccepted = ask(try? BloomFilter(decoding: bytes, maxBytes: maxBytes)) || isAccepted
    isAccepted = ask(try? BlockedBloomFilter(decoding: bytes, maxBytes: maxBytes)) || isAccepted
    isAccepted = ask(try? CountingBloomFilter(decoding: bytes, maxBytes: maxBytes)) || isAccepted
    isAccepted = ask(try? CuckooFilter(decoding: bytes, maxBytes: maxBytes)) || isAccepted
    isAccepted = ask(try? BinaryFuseFilter<UInt8>(decoding: bytes, maxBytes: maxBytes)) || isAccepted
    isAccepted = ask(try? BinaryFuseFilter<UInt16>(decoding: bytes, maxBytes: maxBytes)) || isAccepted
    if var scalable = try? ScalableBloomFilter(decoding: bytes, maxBytes: maxBytes) {
      for key in keys { _ = try? scalable.add(hash: key &+ 1) }
      isAccepted = ask(scalable)
    }
    // What can be changed can be changed after it was read, too.
    if var cuckoo = try? CuckooFilter(decoding: bytes, maxBytes: maxBytes) { for key in keys { _ = try? cuckoo.add(hash: key &+ 1) } }
    if var counting = try? CountingBloomFilter(decoding: bytes, maxBytes: maxBytes) { for key in keys { counting.add(hash: key &+ 1) } }
    if var bloom = try? BloomFilter(decoding: bytes, maxBytes: maxBytes) { for key in keys { _ = bloom.add(hash: key &+ 1) } }
    if var blocked = try? BlockedBloomFilter(decoding: bytes, maxBytes: maxBytes) { for key in keys { blocked.add(hash: key &+ 1) } }
    return isAccepted
  }

  private static func ask(_ filter: (some MembershipFilter)?) -> Bool {
    guard let filter else { return false }
    for key in keys { _ = filter.mayContain(hash: key) }
    return true
  }

  static let fuse = FuzzTarget(
    "filters.fuse", weight: 20,
    corpus: [keys, [], [1]].map { keys in
      var writer = ByteWriter()
      BinaryFuseFilter<UInt8>(hashes: keys).encode(into: &writer)
      return writer.finish()
    }
  ) { bytes in
    var reader = ByteReader(bytes.span.bytes)
    guard let filter = try? BinaryFuseFilter<UInt8>(decoding: &reader, limit: 1 << 20) else {
      demand(reader.offset == 0, "a reader that failed moved")
      return false
    }
    return ask(filter)
  }
}
