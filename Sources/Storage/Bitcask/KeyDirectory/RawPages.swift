#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Zeroed memory that goes back to the system when freed.
///
/// Large blocks come straight from `mmap`: tables that are replaced by slightly larger ones would otherwise leave holes in the
/// allocator's heap, and a block that is never touched takes no memory.
enum RawPages {
  static let mapThreshold = 64 << 10

  static func allocate(_ bytes: Int) -> UnsafeMutableRawPointer {
    if bytes < mapThreshold {
      // Out of memory ends the process, as it does in every Swift allocation.
      guard let block = calloc(1, max(bytes, 1)) else { fatalError("out of memory: \(bytes) bytes for the key directory") }
      return block
    }
    let block = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let block, block != UnsafeMutableRawPointer(bitPattern: -1) else {
      // As above.
      fatalError("out of memory: \(bytes) bytes for the key directory")
    }
    return block
  }

  static func free(_ block: UnsafeMutableRawPointer, _ bytes: Int) {
    if bytes < mapThreshold { releaseBlock(block) } else { munmap(block, bytes) }
  }
}

// The method above shadows the C name.
private func releaseBlock(_ block: UnsafeMutableRawPointer) { free(block) }

/// `memcmp(a, b, count) == 0` on raw memory.
@inline(__always)
func sameBytes(_ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ count: Int) -> Bool { memcmp(a, b, count) == 0 }
