import CStrataFilters
import CStrataMemory

extension BinaryFuseFilter {
  /// Mixes and fetches what sixteen keys need before it asks for the first of them: three lines each.
  @inlinable
  static func test(_ hashes: Span<UInt64>, _ shape: FuseShape, _ mixing: UInt64, _ base: UnsafeRawPointer, _ answers: inout BitMask) {
    let size = MemoryLayout<Fingerprint>.size
    let ahead = 16
    answers.fill(hashes.count) { index in
      let next = index &+ ahead
      if next < hashes.count {
        let slots = shape.slots(FuseMix.mix(hashes[next] &+ mixing))  // wraps: a bijection
        strata_prefetch(base + slots.0 &* size)
        strata_prefetch(base + slots.1 &* size)
        strata_prefetch(base + slots.2 &* size)
      }
      return test(FuseMix.mix(hashes[index] &+ mixing), shape, base)  // wraps: a bijection
    }
  }
}
