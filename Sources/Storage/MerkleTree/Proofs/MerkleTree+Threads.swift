import StrataBytes
import StrataJobs

extension MerkleTree {
  /// Over adjoining blocks of one length, on several threads. The same tree as by ``append(blocks:blockBytes:)``.
  ///
  /// Blocks the caller until all threads are done, so it is not for the threads of Swift's tasks.
  /// - Throws: `.invalidSize` where the bytes are no whole number of blocks.
  public init(blocks: RawSpan, blockBytes: Int, threads: Int, hasher: H.Type) throws(MerkleError) {
    self.init(hasher: hasher)
    guard blockBytes > 0, blocks.byteCount % blockBytes == 0 else { throw .invalidSize(size: blocks.byteCount, limit: blockBytes) }
    let count = blocks.byteCount / blockBytes
    // Each thread takes a stretch that is a multiple of a power of two, and so whole subtrees of every level up to that.
    let threads = min(max(1, threads), 256)
    let share = (count + threads - 1) / threads
    let stretchLevel = max(0, Int.bitWidth - 1 - max(1, share).leadingZeroBitCount - 4)
    guard threads > 1, stretchLevel >= 6 else {
      try append(blocks: blocks, blockBytes: blockBytes)
      return
    }
    let stretches = ((count - 1) >> stretchLevel) + 1
    levels = blocks.withUnsafeBytes { bytes in
      Self.levels(count, upTo: stretchLevel) { pointers in
        let work = StretchWork(blocks: bytes, blockBytes: blockBytes, count: count, level: stretchLevel, digests: pointers)
        let workers = (0..<threads).map { thread in
          Worker(name: "merkle") {
            for stretch in stretches * thread / threads..<stretches * (thread + 1) / threads { work.fill(stretch, H.self) }
          }
        }
        for worker in workers { worker.join() }
      }
    }
    completeLevels()
  }

  /// Levels of a tree of `count` leaves from the leaves to `top`, filled in by `fill`, which is given where each begins.
  private static func levels(
    _ count: Int, upTo top: Int, _ fill: ([UnsafeMutablePointer<Digest>]) -> Void
  ) -> [ContiguousArray<Digest>] {
    // An array lends its memory to a closure only, so each level is made inside the one below: as deep as a size has bits at most.
    func level(_ number: Int, _ pointers: [UnsafeMutablePointer<Digest>]) -> [ContiguousArray<Digest>] {
      var above: [ContiguousArray<Digest>] = []
      let size = count >> number
      let digests = ContiguousArray<Digest>(unsafeUninitializedCapacity: size) { buffer, initialized in
        let pointers = pointers + (buffer.baseAddress.map { [$0] } ?? [])
        if number < top { above = level(number + 1, pointers) } else { fill(pointers) }
        initialized = size
      }
      return [digests] + above
    }
    return level(0, [])
  }
}

extension MerkleTree where H == SHA256MerkleHasher {
  /// Over adjoining blocks of one length, under SHA-256, on several threads; see ``init(blocks:blockBytes:threads:hasher:)``.
  /// - Throws: `.invalidSize` where the bytes are no whole number of blocks.
  public init(blocks: RawSpan, blockBytes: Int, threads: Int) throws(MerkleError) {
    try self.init(blocks: blocks, blockBytes: blockBytes, threads: threads, hasher: H.self)
  }
}

/// The stretches of leaves that threads share out among themselves.
///
/// Sendable because each thread writes the digests of its own stretches alone, reads blocks nobody writes, and is joined before the memory goes.
private struct StretchWork: @unchecked Sendable {
  let blocks: UnsafeRawBufferPointer
  let blockBytes: Int
  let count: Int
  /// A stretch has 2^`level` leaves.
  let level: Int
  /// Where each level begins, from the leaves to `level`.
  let digests: [UnsafeMutablePointer<Digest>]

  func fill<H: MerkleHasher>(_ stretch: Int, _: H.Type) {
    let end = min(count, (stretch + 1) << level)
    var first = stretch << level
    // A piece at a time, whose digests are still in the cache when those above are made of them.
    while first < end {
      let last = min(end, first + 1024)
      let bytes = UnsafeRawBufferPointer(rebasing: blocks[first * blockBytes..<last * blockBytes])
      H.leaves(RawSpan(_unsafeBytes: bytes), blockBytes: blockBytes, count: last - first, into: digests[0] + first)
      for level in 1..<digests.count {
        let (from, to) = (first >> level, last >> level)
        if from < to { H.nodes(digests[level - 1] + 2 * from, count: to - from, into: digests[level] + from) }
      }
      first = last
    }
  }
}
