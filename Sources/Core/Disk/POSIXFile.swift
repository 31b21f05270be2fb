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
  private let isWritable: Bool
  /// The first sync failure; sticky, because a later sync would lie about the same bytes. Held over the system call: the kernel reports
  /// a failure once per descriptor, and a second sync that ran beside the failing one would return success for the same lost bytes.
  private let failure = Mutex<DiskError?>(nil)
  private let isPoisoned = Atomic<Bool>(false)

  init(path: FilePath, descriptor: Int32, isWritable: Bool) {
    self.path = path
    self.descriptor = OneShotDescriptor(descriptor)
    self.isWritable = isWritable
  }

  deinit {
    if let open = descriptor.take() { _ = closeFile(open) }
  }

  func size() throws(DiskError) -> UInt64 {
    var status = stat()
    guard fstat(try open(), &status) == 0 else { throw diskError(errno, .status, path) }
    return UInt64(clamping: status.st_size)
  }

  func read(at offset: UInt64, into buffer: inout OutputRawSpan) throws(DiskError) {
    let descriptor = try open()
    var position = try position(offset, count: 0, .read)
    while buffer.freeCapacity > 0 {
      let got = buffer.withUnsafeMutableBytes { storage, initialized in
        let free = UnsafeMutableRawBufferPointer(rebasing: storage[initialized...])
        let got = pread(descriptor, free.baseAddress, free.count, position)
        if got > 0 { initialized += got }
        return got
      }
      if got == 0 { return }
      if got < 0 {
        if errno == EINTR { continue }
        throw diskError(errno, .read, path, at: UInt64(position))
      }
      // No file ends beyond the largest offset; should one claim to, that is where reading stops.
      let (next, overflow) = position.addingReportingOverflow(off_t(got))
      if overflow { return }
      position = next
    }
  }

  func readIfCached(at offset: UInt64, into buffer: inout OutputRawSpan) throws(DiskError) -> Bool {
    let descriptor = try open()
    let wanted = buffer.freeCapacity
    guard wanted > 0 else { return true }
    let position = try position(offset, count: 0, .read)
    let got = buffer.withUnsafeMutableBytes { storage, initialized in
      let free = UnsafeMutableRawBufferPointer(rebasing: storage[initialized...])
      let got = strata_read_cached(descriptor, free.baseAddress, free.count, Int64(position))
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
    guard bytes.byteCount > 0 else { return }
    let start = try position(offset, count: bytes.byteCount, .write)
    try bytes.withUnsafeBytes { (source) throws(DiskError) in
      var written = 0
      while written < source.count {
        let rest = UnsafeRawBufferPointer(rebasing: source[written...])
        let got = pwrite(descriptor, rest.baseAddress, rest.count, start + off_t(written))
        written += try transferred(got, at: offset + UInt64(written))
      }
    }
  }

  /// What a write call moved; zero after an interrupt. A call that moves nothing and reports no error would loop for ever.
  private func transferred(_ got: Int, at offset: UInt64) throws(DiskError) -> Int {
    if got > 0 { return got }
    if got == 0 { throw diskError(EIO, .write, path, at: offset) }
    if errno == EINTR { return 0 }
    throw diskError(errno, .write, path, at: offset)
  }

  func writeVectored(_ pieces: [[UInt8]], at offset: UInt64) throws(DiskError) {
    let descriptor = try writable()
    var total = 0
    for piece in pieces {
      let (sum, overflow) = total.addingReportingOverflow(piece.count)
      if overflow { throw diskError(EINVAL, .write, path, at: offset) }
      total = sum
    }
    guard total > 0 else { return }
    let start = try position(offset, count: total, .write)
    var cursor = PieceCursor()
    var written = 0
    while written < total {
      let got = cursor.withVectors(of: pieces) { vectors in
        strata_write_vectored(descriptor, vectors.baseAddress, Int32(vectors.count), Int64(start) + Int64(written))
      }
      let moved = try transferred(got, at: offset + UInt64(written))
      cursor.advance(by: moved, in: pieces)
      written += moved
    }
  }

  func truncate(to size: UInt64) throws(DiskError) {
    let descriptor = try writable()
    let length = try position(size, count: 0, .truncate)
    while ftruncate(descriptor, length) != 0 {
      if errno != EINTR { throw diskError(errno, .truncate, path, at: size) }
    }
  }

  func allocate(_ range: Range<UInt64>) throws(DiskError) {
    let descriptor = try writable()
    guard !range.isEmpty else { return }
    guard let end = Int64(exactly: range.upperBound) else { throw diskError(EINVAL, .allocate, path, at: range.lowerBound) }
    let start = Int64(range.lowerBound)
    while strata_allocate(descriptor, start, end - start) != 0 {
      if errno == EINTR { continue }
      if errno == EOPNOTSUPP || errno == ENOSYS { break }
      throw diskError(errno, .allocate, path, at: range.lowerBound)
    }
    if try size() < range.upperBound { try truncate(to: range.upperBound) }
  }

  func window(_ range: Range<UInt64>) throws(DiskError) -> (any FileWindow)? {
    let descriptor = try writable()
    let start = try position(range.lowerBound, count: range.count, .write)
    // A file system that cannot map, or no address space left: the caller writes as it would without.
    guard range.upperBound <= (try size()), let base = strata_map_window(descriptor, Int64(start), range.count) else { return nil }
    return MappedWindow(range: range, base: base)
  }

  func mapping(count: Int) throws(DiskError) -> (any FileMapping)? {
    guard count > 0, UInt64(count) <= (try size()), let base = strata_map_reading(try open(), count) else { return nil }
    return ReadMapping(bytes: UnsafeRawBufferPointer(start: base, count: count))
  }

  func startWriteback(_ range: Range<UInt64>) {
    guard let descriptor = descriptor.value, let start = Int64(exactly: range.lowerBound), range.upperBound <= UInt64(Int64.max) else { return }
    strata_start_writeback(descriptor, start, Int64(range.count))
  }

  /// An offset as the system's signed type, when `count` bytes from there still have one.
  private func position(_ offset: UInt64, count: Int, _ operation: DiskOperation) throws(DiskError) -> off_t {
    guard let position = off_t(exactly: offset), !position.addingReportingOverflow(off_t(count)).overflow else {
      throw diskError(EINVAL, operation, path, at: offset)
    }
    return position
  }

  func sync(_ level: SyncLevel) throws(DiskError) {
    try failure.withLock { (first) throws(DiskError) in
      if let first { throw .poisoned(first: first) }
      let descriptor = try open()
      // Repeated only after an interrupt: any other error is final, the kernel has dropped the bytes.
      while synchronize(descriptor, level) != 0 {
        if errno == EINTR { continue }
        let error = diskError(errno, .sync, path)
        first = error
        isPoisoned.store(true, ordering: .releasing)
        throw error
      }
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
    let descriptor = try open()
    guard isWritable else { throw .readOnly(path) }
    return descriptor
  }
}

/// A shared mapping: a store is in the kernel's cache the moment it is made, so publishing has nothing left to do.
private final class MappedWindow: FileWindow {
  let range: Range<UInt64>
  // The mapping is this object's alone and ends with it; who stores where is the owner's rule.
  nonisolated(unsafe) let base: UnsafeMutableRawPointer

  init(range: Range<UInt64>, base: UnsafeMutableRawPointer) {
    self.range = range
    self.base = base
  }

  deinit { strata_unmap_window(base, range.count) }

  func publish(_ part: Range<UInt64>) {}
}

/// A shared mapping that is only read.
private final class ReadMapping: FileMapping {
  // The mapping is this object's alone and ends with it.
  nonisolated(unsafe) let bytes: UnsafeRawBufferPointer

  init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  deinit { strata_unmap_reading(bytes.baseAddress, bytes.count) }
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
