import CStrataFilters

/// Asks a blocked Bloom filter that lies in memory its caller keeps: no copy, no reference count. Valid as long as that memory is.
@frozen
package struct FilterProbe: @unchecked Sendable {
  // Sendable because the memory is only read.
  @usableFromInline let base: UnsafeRawPointer
  @usableFromInline let blocks: UInt32
  @usableFromInline let hashCount: Int32

  /// A probe of `bits`, whole blocks of 64 bytes and at least one, at most 2^32 - 1.
  package init(bits: UnsafeRawBufferPointer, hashCount: Int) {
    precondition(bits.count >= 64 && bits.count % 64 == 0 && bits.count >> 6 <= UInt32.max, "a filter is whole blocks")
    base = bits.baseAddress!
    blocks = UInt32(bits.count / 64)
    self.hashCount = Int32(hashCount)
  }

  /// `false`: surely never added. One cache line is touched where the blocks begin on one.
  @inlinable
  @inline(__always)
  package func mayContain(hash: UInt64) -> Bool {
    let block = base + strata_block_offset(hash, UInt64(blocks))
    return strata_block_test(block, UInt32(truncatingIfNeeded: hash), hashCount) != 0
  }

  /// Asks for all keys in one call; blocks to come are fetched while one is looked at.
  package func mayContain(hashes: Span<UInt64>, into answers: inout BitMask) {
    hashes.withUnsafeBufferPointer { hashes in
      answers.fillWords(hashes.count) { strata_blocks_test(base, UInt64(blocks), hashCount, hashes.baseAddress, hashes.count, $0) }
    }
  }
}
