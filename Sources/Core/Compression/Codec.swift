import CStrataCompression

/// A way to make bytes fewer, by the library that everybody else uses for it, so that others read what Strata writes.
///
/// All calls are synchronous, keep the CPU busy and may run on any thread. Whatever the input, decompression gives bytes or throws
/// ``CompressionError``, and never takes more memory than its caller allowed. Raw values are what Strata's own formats store.
public enum Codec: UInt8, Sendable, Hashable, CaseIterable {
  /// The bytes as they are.
  case none = 0
  /// LZ4 raw blocks: the fastest, about half the size on typical data. Inputs up to 2,113,929,216 bytes.
  case lz4 = 1
  /// Zstandard frames (RFC 8878): the smallest. Levels 1...19, default 3.
  case zstd = 2
  /// DEFLATE without header or checksum (RFC 1951). Levels 1...9, default 6. Inputs up to 4 GiB.
  case deflate = 3
  /// Snappy raw blocks: for formats that ask for it.
  case snappy = 4

  /// The name used in options and reports: `none`, `lz4`, `zstd`, `deflate`, `snappy`.
  public var name: String { "\(self)" }

  /// The codec of this name, or `nil`.
  public init?(name: some StringProtocol) {
    guard let codec = Codec.allCases.first(where: { $0.name == name }) else { return nil }
    self = codec
  }

  /// `bytes` compressed.
  /// - Parameter level: clamped to what the codec has; ignored by those without levels.
  /// - Throws: `.tooLarge` for an input beyond the codec's limit, `.outOfMemory`.
  public func compress(_ bytes: RawSpan, level: Int? = nil) throws(CompressionError) -> [UInt8] {
    let bound = maximumCompressedCount(bytes.byteCount)
    guard bound > 0 else {
      if bytes.byteCount == 0, self == .none { return [] }
      throw .tooLarge(self, bytes.byteCount)
    }
    var failure: CompressionError?
    let result = [UInt8](unsafeUninitializedCapacity: bound) { storage, count in
      let output = UnsafeMutableRawBufferPointer(storage)
      let written = bytes.withUnsafeBytes { compressed($0, into: output, level: level) }
      if written >= 0 { count = Int(written) } else { failure = error(written, input: bytes.byteCount, limit: bound) }
    }
    if let failure { throw failure }
    return result
  }

  /// What `bytes` were before ``compress(_:level:)``.
  /// - Parameter limit: the most bytes the caller accepts.
  /// - Throws: `.corrupt` where `bytes` are not the codec's, `.exceedsLimit` where more than `limit` would come out, `.outOfMemory`.
  /// - Complexity: O(output); the output is made in a buffer that doubles until it fits where the input does not tell its size.
  public func decompress(_ bytes: RawSpan, atMost limit: Int) throws(CompressionError) -> [UInt8] {
    var capacity = bytes.withUnsafeBytes { firstCapacity($0, limit: limit) }
    while true {
      var written: Int64 = 0
      let result = [UInt8](unsafeUninitializedCapacity: capacity) { storage, count in
        let output = UnsafeMutableRawBufferPointer(start: storage.baseAddress, count: capacity)
        written = bytes.withUnsafeBytes { decompressed($0, into: output) }
        count = Int(max(written, 0))
      }
      if written >= 0 { return result }
      let mayNeedMore = written == Int64(STRATA_COMPRESSION_CAPACITY) || (self == .lz4 && capacity < lz4Limit(bytes.byteCount, limit))
      guard mayNeedMore, capacity < limit else { throw error(written, input: bytes.byteCount, limit: limit) }
      capacity = min(limit, max(64, capacity.multipliedReportingOverflow(by: 2).partialValue))
    }
  }
}

extension Codec {
  /// The capacity that is always enough for ``compress(_:into:level:)`` of `count` bytes; 0 where the codec cannot take that many.
  package func maximumCompressedCount(_ count: Int) -> Int {
    switch self {
    case .none: count
    case .lz4: strata_lz4_bound(count)
    case .zstd: strata_zstd_bound(count)
    case .deflate: UInt32(exactly: count) == nil ? 0 : strata_deflate_bound(count)
    case .snappy: strata_snappy_bound(count)
    }
  }

  /// Compresses into the caller's memory and gives the length, or `nil` where the result does not fit: a writer that wants a saving of
  /// an eighth offers seven eighths of the input's size. Allocates nothing once the thread has used the codec.
  package func compress(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer, level: Int? = nil) -> Int? {
    let written = compressed(input, into: output, level: level)
    return written < 0 ? nil : Int(written)
  }

  /// Decompresses into the caller's memory, which is exactly as long as the original.
  /// - Throws: `.corrupt` where the input is damaged or its original is not exactly `output.count` bytes; `.outOfMemory`.
  package func decompress(_ input: UnsafeRawBufferPointer, filling output: UnsafeMutableRawBufferPointer) throws(CompressionError) {
    let written = decompressed(input, into: output)
    if written == Int64(STRATA_COMPRESSION_MEMORY) { throw .outOfMemory(self) }
    guard written == Int64(output.count) else { throw .corrupt(self, inputBytes: input.count) }
  }

  private func clamped(_ level: Int?) -> Int32 {
    switch self {
    case .zstd: Int32(min(max(level ?? 3, 1), 19))
    case .deflate: Int32(min(max(level ?? 6, 1), 9))
    default: 0
    }
  }

  private func compressed(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer, level: Int?) -> Int64 {
    switch self {
    case .none: copied(input, into: output)
    case .lz4: strata_lz4_compress(input.baseAddress, input.count, output.baseAddress, output.count)
    case .zstd: strata_zstd_compress(input.baseAddress, input.count, output.baseAddress, output.count, clamped(level))
    case .deflate: strata_deflate_compress(input.baseAddress, input.count, output.baseAddress, output.count, clamped(level))
    case .snappy:
      // The library writes without looking at the capacity, so less than its bound is refused up front.
      output.count < strata_snappy_bound(input.count)
        ? Int64(STRATA_COMPRESSION_CAPACITY)
        : strata_snappy_compress(input.baseAddress, input.count, output.baseAddress, output.count)
    }
  }

  private func decompressed(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Int64 {
    switch self {
    case .none: copied(input, into: output)
    case .lz4: strata_lz4_decompress(input.baseAddress, input.count, output.baseAddress, output.count)
    case .zstd: strata_zstd_decompress(input.baseAddress, input.count, output.baseAddress, output.count)
    case .deflate: strata_deflate_decompress(input.baseAddress, input.count, output.baseAddress, output.count)
    case .snappy: strata_snappy_decompress(input.baseAddress, input.count, output.baseAddress, output.count)
    }
  }

  private func copied(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Int64 {
    guard input.count <= output.count else { return Int64(STRATA_COMPRESSION_CAPACITY) }
    output.copyMemory(from: input)
    return Int64(input.count)
  }

  /// The size the input claims, where the format tells; a claim is believed up to what the codec can reach at most from so many bytes, so
  /// that a damaged header cannot take the whole limit.
  private func firstCapacity(_ input: UnsafeRawBufferPointer, limit: Int) -> Int {
    let guess = max(64, input.count.multipliedReportingOverflow(by: 4).partialValue)
    let claim: Int64
    switch self {
    case .none: return min(limit, input.count)
    case .zstd: claim = strata_zstd_content_size(input.baseAddress, input.count)
    case .snappy: claim = strata_snappy_content_size(input.baseAddress, input.count)
    case .lz4, .deflate: claim = -1
    }
    guard claim >= 0 else { return min(limit, guess) }
    return min(limit, Int(min(claim, Int64(max(guess, 1 << 20)))))
  }

  /// LZ4 says "damaged" also where the buffer was too small; a byte of input makes at most 255 of output.
  private func lz4Limit(_ inputBytes: Int, _ limit: Int) -> Int {
    let (most, overflow) = inputBytes.multipliedReportingOverflow(by: 255)
    return overflow ? limit : min(limit, max(64, most))
  }

  private func error(_ code: Int64, input: Int, limit: Int) -> CompressionError {
    switch code {
    case Int64(STRATA_COMPRESSION_CAPACITY): .exceedsLimit(self, limit: limit)
    case Int64(STRATA_COMPRESSION_MEMORY): .outOfMemory(self)
    default: .corrupt(self, inputBytes: input)
    }
  }
}
