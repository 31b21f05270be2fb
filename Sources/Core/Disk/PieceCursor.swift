#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A place in a list of byte arrays that a vectored write has reached.
struct PieceCursor {
  /// Pieces per system call: far below every system's `IOV_MAX`, and a bound on the depth of `gather`.
  static let piecesPerCall = 64

  private var index = 0
  private var offset = 0

  /// Moves over bytes that were written.
  mutating func advance(by count: Int, in pieces: [[UInt8]]) {
    var rest = count
    while index < pieces.count {
      let left = pieces[index].count - offset
      if rest < left {
        offset += rest
        return
      }
      rest -= left
      index += 1
      offset = 0
    }
  }

  /// Calls `body` with the vectors of the next pieces. Empty pieces take no vector; at least one byte must remain.
  func withVectors(of pieces: [[UInt8]], _ body: (UnsafeBufferPointer<iovec>) -> Int) -> Int {
    withUnsafeTemporaryAllocation(of: iovec.self, capacity: Self.piecesPerCall) { vectors in
      gather(pieces, from: index, skipping: offset, into: vectors, filled: 0, body)
    }
  }

  /// Nests the borrows of the arrays, whose addresses hold only inside.
  private func gather(
    _ pieces: [[UInt8]], from index: Int, skipping offset: Int, into vectors: UnsafeMutableBufferPointer<iovec>, filled: Int,
    _ body: (UnsafeBufferPointer<iovec>) -> Int
  ) -> Int {
    var index = index
    var offset = offset
    while index < pieces.count, offset >= pieces[index].count {
      index += 1
      offset = 0
    }
    guard index < pieces.count, filled < Self.piecesPerCall else {
      return body(UnsafeBufferPointer(rebasing: vectors[..<filled]))
    }
    return pieces[index].withUnsafeBytes { bytes in
      let part = UnsafeRawBufferPointer(rebasing: bytes[offset...])
      vectors.initializeElement(at: filled, to: iovec(iov_base: UnsafeMutableRawPointer(mutating: part.baseAddress), iov_len: part.count))
      return gather(pieces, from: index + 1, skipping: 0, into: vectors, filled: filled + 1, body)
    }
  }
}
