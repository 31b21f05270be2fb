/// The arithmetic of a cuckoo filter in pages that are kept apart: a hash names one page, and that is a ``CuckooFilter`` of its own.
///
/// Adding, removing and all moves of fingerprints change one page. Pages fill unevenly, so they are made for a mean load at which, even among a
/// hundred thousand of them, hardly one is full before the filter holds what it was made for. A page never touched is all zeros and need not exist.
package struct PagedCuckoo: Sendable, Hashable {
  /// Buckets of a page at most; with the victim's bytes that makes 4 KiB.
  package static let maxPageBuckets: UInt16 = 680
  /// The share of slots taken when the filter holds its capacity. A full page of 2720 slots has six deviations more than that.
  private static let load = 0.8

  /// How many pages there are, at least 1.
  package let pages: UInt32
  /// Buckets of every page, 2...``maxPageBuckets``.
  package let pageBuckets: UInt16

  /// One of these very numbers, as they were stored; `nil` where there is none.
  package init?(pages: UInt32, pageBuckets: UInt16) {
    guard pages >= 1, (2...Self.maxPageBuckets).contains(pageBuckets) else { return nil }
    self.pages = pages
    self.pageBuckets = pageBuckets
  }

  /// Room for `capacity` keys, duplicates included.
  /// - Throws: `.invalidParameters`; `.tooLarge` above `maxBytes`. Nothing is allocated.
  package init(capacity: Int, maxBytes: UInt64) throws(FilterError) {
    guard capacity > 0 else { throw .invalidParameters(name: "capacity", value: "\(capacity)") }
    let buckets = max((Double(capacity) / (Double(CuckooTable.slotsPerBucket) * Self.load)).rounded(.up), 2)
    let pages = (buckets / Double(Self.maxPageBuckets)).rounded(.up)
    let perPage = (buckets / pages).rounded(.up)
    let bytes = pages * (perPage * Double(CuckooTable.bucketBytes) + Double(CuckooTable.tailBytes))
    guard bytes <= Double(maxBytes), pages <= Double(UInt32.max) else {
      throw .tooLarge(bytes: UInt64(exactly: bytes) ?? .max, limit: maxBytes)
    }
    self.pages = UInt32(pages)
    pageBuckets = UInt16(perPage)
  }

  /// Bytes of a page.
  package var pageBytes: Int { Int(pageBuckets) * Int(CuckooTable.bucketBytes) + Int(CuckooTable.tailBytes) }
  /// Bytes of all pages.
  package var byteCount: UInt64 { UInt64(pages) * UInt64(pageBytes) }
  /// Buckets of all pages, of four slots each.
  package var buckets: UInt64 { UInt64(pages) * UInt64(pageBuckets) }

  /// The page of a hash. Within it the key is that of ``PagedHash/inner(_:)``.
  package func page(of hash: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: hash.multipliedFullWidth(by: UInt64(pages)).high) }

  /// The filter of a page with these bytes; an empty one without. Its `count` starts at 0.
  /// - Throws: `.corrupt` for bytes that are no page of this size.
  package func filter(_ page: UnsafeRawBufferPointer?) throws(FilterError) -> CuckooFilter {
    let table = CuckooTable(buckets: UInt64(pageBuckets))
    guard let page else { return CuckooFilter(table, try FilterMemory(zeroed: UInt64(pageBytes), limit: .max), seed: 0) }
    guard page.count == pageBytes else { throw .corrupt(reason: "a page of \(page.count) bytes, not \(pageBytes)", offset: 0) }
    let victim = FilterHeader.victim(page.bytes)
    let tail = page.count - Int(CuckooTable.tailBytes)
    guard victim.fingerprint <= 0xFFF, victim.bucket < table.buckets, victim.fingerprint != 0 || victim.bucket == 0 else {
      throw .corrupt(reason: "a victim that cannot be", offset: tail)
    }
    var filter = CuckooFilter(table, try FilterMemory(copying: page.bytes), seed: 0)
    filter.victim = victim
    return filter
  }

  /// The bytes of a page.
  package func bytes(_ filter: CuckooFilter) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: pageBytes) { target, count in
      let target = UnsafeMutableRawBufferPointer(target)
      count = min(filter.memory.byteCount, target.count)
      target.copyMemory(from: UnsafeRawBufferPointer(rebasing: filter.memory.bytes[..<count]))
      target.storeBytes(of: filter.victim.bucket.littleEndian, toByteOffset: count - 16, as: UInt64.self)
      target.storeBytes(of: UInt64(filter.victim.fingerprint).littleEndian, toByteOffset: count - 8, as: UInt64.self)
    }
  }
}
