import CStrataDisk
import Synchronization
import SystemPackage

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A file of the operating system, read and written by position.
final class POSIXFile: File {
  let path: FilePath
  private let descriptor: OneShotDescriptor
  /// The first sync failure; sticky, because a later sync would lie about the same bytes.
  private let failure = Mutex<DiskError?>(nil)
  private let isPoisoned = Atomic<Bool>(false)

  init(path: FilePath, descriptor: Int32) {
    self.path = path
    self.descriptor = OneShotDescriptor(descriptor)
  }

  deinit {
    if let open = descriptor.take() { _ = closeFile(open) }
  }

  func size() throws(DiskError) -> UInt64 {
    var status = stat()
    guard fstat(try open(), &status) == 0 else { throw diskError(errno, .status, path) }
    return UInt64(status.st_size)
  }

  func read(at offset: UInt64, into buffer: inout OutputRawSpan) throws(DiskError) {
    let descriptor = try open()
    var position = offset
    while buffer.freeCapacity > 0 {
      let got = buffer.withUnsafeMutableBytes { storage, initialized in
        let free = UnsafeMutableRawBufferPointer(rebasing: storage[initialized...])
        let got = pread(descriptor, free.baseAddress, free.count, off_t(position))
        if got > 0 { initialized += got }
        return got
      }
      if got == 0 { return }
      if got < 0 {
        if errno == EINTR { continue }
        throw diskError(errno, .read, path, at: position)
      }
      position += UInt64(got)
    }
  }

  func readIfCached(at offset: UInt64, into buffer: inout OutputRawSpan) throws(DiskError) -> Bool {
    let descriptor = try open()
    let wanted = buffer.freeCapacity
    guard wanted > 0 else { return true }
    let got = buffer.withUnsafeMutableBytes { storage, initialized in
      let free = UnsafeMutableRawBufferPointer(rebasing: storage[initialized...])
      let got = strata_read_cached(descriptor, free.baseAddress, free.count, Int64(offset))
      if got == wanted { initialized += got }
      return got
    }
    if got == wanted { return true }
    // A part in memory, or the end of the file: the caller's blocking read tells which.
    if got >= 0 || errno == EAGAIN || errno == EINTR { return false }
    // Kernels and file systems without the call: the answer is a plain read.
    guard errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL else { throw diskError(errno, .read, path, at: offset) }
    try read(at: offset, into: &buffer)
    return true
  }

  func write(_ bytes: RawSpan, at offset: UInt64) throws(DiskError) {
    let descriptor = try writable()
    try bytes.withUnsafeBytes { (source) throws(DiskError) in
      var written = 0
      while written < source.count {
        let rest = UnsafeRawBufferPointer(rebasing: source[written...])
        let got = pwrite(descriptor, rest.baseAddress, rest.count, off_t(offset) + off_t(written))
        if got < 0 {
          if errno == EINTR { continue }
          throw diskError(errno, .write, path, at: offset + UInt64(written))
        }
        written += got
      }
    }
  }

  func writeVectored(_ pieces: [[UInt8]], at offset: UInt64) throws(DiskError) {
    // One contiguous copy and one call: the pieces of this package's callers are small (headers beside payloads).
    var joined: [UInt8] = []
    joined.reserveCapacity(pieces.reduce(0) { $0 + $1.count })
    for piece in pieces { joined += piece }
    try write(joined.span.bytes, at: offset)
  }

  func truncate(to size: UInt64) throws(DiskError) {
    let descriptor = try writable()
    while ftruncate(descriptor, off_t(size)) != 0 {
      if errno != EINTR { throw diskError(errno, .truncate, path, at: size) }
    }
  }

  func allocate(_ range: Range<UInt64>) throws(DiskError) {
    let descriptor = try writable()
    guard !range.isEmpty else { return }
    while strata_allocate(descriptor, Int64(range.lowerBound), Int64(range.upperBound - range.lowerBound)) != 0 {
      if errno == EINTR { continue }
      if errno == EOPNOTSUPP || errno == ENOSYS { break }
      throw diskError(errno, .allocate, path, at: range.lowerBound)
    }
    if try size() < range.upperBound { try truncate(to: range.upperBound) }
  }

  func sync(_ level: SyncLevel) throws(DiskError) {
    let descriptor = try writable()
    // No retry after an interrupt other than EINTR itself: POSIX leaves the bytes unsynced only on a reported error.
    while synchronize(descriptor, level) != 0 {
      if errno == EINTR { continue }
      let error = diskError(errno, .sync, path)
      failure.withLock { if $0 == nil { $0 = error } }
      isPoisoned.store(true, ordering: .releasing)
      throw error
    }
  }

  func close() throws(DiskError) {
    guard let open = descriptor.take() else { return }
    guard closeFile(open) == 0 || errno == EINTR else { throw diskError(errno, .close, path) }
  }

  private func open() throws(DiskError) -> Int32 {
    guard let descriptor = descriptor.value else { throw .closed(path) }
    return descriptor
  }

  private func writable() throws(DiskError) -> Int32 {
    if isPoisoned.load(ordering: .acquiring), let first = failure.withLock({ $0 }) { throw .poisoned(first: first) }
    return try open()
  }
}

/// A descriptor that is given up once. A reader that races with `close` gets an error, never another file's bytes, as long as owners close
/// only after their readers are done; the engines count references for that.
final class OneShotDescriptor: Sendable {
  private let storage: Atomic<Int32>

  init(_ descriptor: Int32) { storage = Atomic(descriptor) }

  var value: Int32? {
    let descriptor = storage.load(ordering: .relaxed)
    return descriptor < 0 ? nil : descriptor
  }

  func take() -> Int32? {
    let descriptor = storage.exchange(-1, ordering: .acquiringAndReleasing)
    return descriptor < 0 ? nil : descriptor
  }
}

func closeFile(_ descriptor: Int32) -> Int32 { close(descriptor) }

private func synchronize(_ descriptor: Int32, _ level: SyncLevel) -> Int32 {
  #if os(Linux)
    switch level {
    case .data, .barrier: fdatasync(descriptor)
    case .full: fsync(descriptor)
    }
  #else
    switch level {
    case .barrier: fcntl(descriptor, F_BARRIERFSYNC)
    case .data, .full: fcntl(descriptor, F_FULLFSYNC)
    }
  #endif
}
