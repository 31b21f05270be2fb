/// The bytes of one file as copy-on-write pages: a copy costs a reference, a change costs the page it touches.
///
/// A page may be shorter than its place; bytes without a page, up to `size`, are zero. No page reaches beyond `size`.
struct DiskImage: Sendable {
  static let pageBytes = 4096

  private var pages: [UInt64: [UInt8]] = [:]
  private(set) var size: UInt64 = 0

  /// Stores the bytes and grows the file over them. The caller has checked that `offset + count` is a legal file size.
  mutating func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) {
    guard !bytes.isEmpty else { return }
    size = max(size, offset + UInt64(bytes.count))
    var done = 0
    while done < bytes.count {
      let position = offset + UInt64(done)
      let start = Int(position % UInt64(Self.pageBytes))
      let count = min(Self.pageBytes - start, bytes.count - done)
      let source = UnsafeRawBufferPointer(rebasing: bytes[done..<done + count])
      Self.store(source, in: &pages[position / UInt64(Self.pageBytes), default: []], at: start)
      done += count
    }
  }

  private static func store(_ source: UnsafeRawBufferPointer, in page: inout [UInt8], at start: Int) {
    if page.count < start { page.append(contentsOf: repeatElement(0, count: start - page.count)) }
    let overlap = min(source.count, page.count - start)
    if overlap > 0 {
      page.withUnsafeMutableBytes { target in
        UnsafeMutableRawBufferPointer(rebasing: target[start..<start + overlap])
          .copyMemory(from: UnsafeRawBufferPointer(rebasing: source[..<overlap]))
      }
    }
    if overlap < source.count { page.append(contentsOf: source[overlap...]) }
  }

  mutating func write(_ bytes: [UInt8], at offset: UInt64) {
    bytes.withUnsafeBytes { write($0, at: offset) }
  }

  /// Sets the length; what lies beyond is forgotten, so that growing again reads zero.
  mutating func resize(to size: UInt64) {
    let shrinks = size < self.size
    self.size = size
    guard shrinks else { return }
    let last = size / UInt64(Self.pageBytes)
    for index in pages.keys where index >= last {
      let kept = index == last ? Int(size % UInt64(Self.pageBytes)) : 0
      if kept == 0 {
        pages[index] = nil
      } else if let count = pages[index]?.count, count > kept {
        pages[index]?.removeSubrange(kept...)
      }
    }
  }

  mutating func grow(to size: UInt64) {
    if size > self.size { self.size = size }
  }

  /// Takes over the pages of a range from another image of the same file, sharing their memory.
  mutating func adopt(_ range: Range<UInt64>, from other: DiskImage) {
    guard !range.isEmpty else { return }
    for index in range.lowerBound / UInt64(Self.pageBytes)...(range.upperBound - 1) / UInt64(Self.pageBytes) {
      pages[index] = other.pages[index]
    }
  }

  /// Copies bytes from `offset` and returns how many there were.
  func read(at offset: UInt64, into target: UnsafeMutableRawBufferPointer) -> Int {
    guard offset < size else { return 0 }
    let total = Int(min(UInt64(target.count), size - offset))
    var done = 0
    while done < total {
      let position = offset + UInt64(done)
      let start = Int(position % UInt64(Self.pageBytes))
      let count = min(Self.pageBytes - start, total - done)
      let part = UnsafeMutableRawBufferPointer(rebasing: target[done..<done + count])
      let page = pages[position / UInt64(Self.pageBytes)] ?? []
      let present = max(0, min(count, page.count - start))
      if present > 0 {
        page.withUnsafeBytes { part.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[start..<start + present])) }
      }
      if present < count { UnsafeMutableRawBufferPointer(rebasing: part[present...]).initializeMemory(as: UInt8.self, repeating: 0) }
      done += count
    }
    return total
  }

  /// Up to `count` bytes from `offset`.
  func bytes(at offset: UInt64, count: Int) -> [UInt8] {
    let available = offset < size ? Int(min(UInt64(count), size - offset)) : 0
    return [UInt8](unsafeUninitializedCapacity: available) { buffer, initialized in
      initialized = read(at: offset, into: UnsafeMutableRawBufferPointer(buffer))
    }
  }

  /// Inverts one bit; nothing happens beyond the end.
  mutating func flip(bit: UInt64) {
    guard bit / 8 < size else { return }
    var byte = bytes(at: bit / 8, count: 1)
    byte[0] ^= 1 << UInt8(bit % 8)
    write(byte, at: bit / 8)
  }

  /// Mixes length and content into a running fingerprint. Pages that read as zero count as absent.
  func combine(into hash: inout Fingerprint) {
    hash.combine(size)
    for index in pages.keys.sorted() {
      guard let page = pages[index], let last = page.lastIndex(where: { $0 != 0 }) else { continue }
      hash.combine(index)
      page.withUnsafeBytes { hash.combine(UnsafeRawBufferPointer(rebasing: $0[...last])) }
    }
  }
}

/// A 128-bit fingerprint of disk states, equal in every process; used to recognise images already examined.
struct Fingerprint: Hashable, Sendable {
  private var a: UInt64 = 0x243F_6A88_85A3_08D3
  private var b: UInt64 = 0x1319_8A2E_0370_7344

  mutating func combine(_ word: UInt64) {
    // Wrapping: the high and low halves of a product are the mixing.
    let (high, low) = (a ^ word).multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15)
    a = high ^ low ^ b
    b = (b &+ word) &* 0xD6E8_FEB8_6659_FD93
    b ^= b >> 32
  }

  mutating func combine(_ bytes: UnsafeRawBufferPointer) {
    combine(UInt64(bytes.count))
    var index = 0
    while index + 8 <= bytes.count {
      combine(bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self).littleEndian)
      index += 8
    }
    var rest: UInt64 = 0
    while index < bytes.count {
      rest = rest << 8 | UInt64(bytes[index])
      index += 1
    }
    combine(rest)
  }

  mutating func combine(_ text: String) {
    var text = text
    text.withUTF8 { combine(UnsafeRawBufferPointer($0)) }
  }
}
