import SystemPackage

/// An open file. Reads are positional and may run concurrently from any thread; writes to disjoint ranges may too.
///
/// After a failed ``sync(_:)`` the handle is *poisoned*: every later write and sync throws `.poisoned`, because the kernel marks the
/// pages it failed to write as clean and a second sync would report success for lost bytes (USENIX ATC 2020, "Can Applications
/// Recover from fsync Failures?"). Use after ``close()`` throws `.closed`.
public protocol File: AnyObject, Sendable {
  /// The path the file was opened by.
  var path: FilePath { get }

  /// Length in bytes.
  func size() throws(DiskError) -> UInt64

  /// Fills the free capacity of `buffer` from `offset`; fewer bytes are appended only where the file ends before.
  /// Retries interrupted and short transfers.
  func read(at offset: UInt64, into buffer: inout OutputRawSpan) throws(DiskError)

  /// As ``read(at:into:)`` but only from memory: returns `false`, with `buffer` as it was, where the bytes would have to come from the
  /// device. An event loop reads this way and leaves the rest to a thread that may wait. A file system that cannot tell answers by reading.
  func readIfCached(at offset: UInt64, into buffer: inout OutputRawSpan) throws(DiskError) -> Bool

  /// Writes all of `bytes` at `offset`, extending the file where needed. On return the kernel has them; durable only after ``sync(_:)``.
  /// - Throws: `.noSpace` or `.io`; a prefix may then have been written.
  func write(_ bytes: RawSpan, at offset: UInt64) throws(DiskError)

  /// Writes the pieces one after another at `offset` in as few system calls as possible.
  func writeVectored(_ pieces: [[UInt8]], at offset: UInt64) throws(DiskError)

  /// Sets the length; bytes beyond a former end read as zero.
  func truncate(to size: UInt64) throws(DiskError)

  /// Reserves device space for a range and extends the file over it, so that later writes there cannot meet a full disk.
  /// The new range reads as zero. A file system without reservation extends the file only.
  func allocate(_ range: Range<UInt64>) throws(DiskError)

  /// A part of the file to write by storing into memory, without a system call per write; `nil` where the file system has no such thing.
  ///
  /// The range must lie within what ``allocate(_:)`` reserved and must have been written before, so that a store can meet neither a full disk
  /// nor a block that would first have to be read. The file must not become shorter than the range while the window is in use.
  func window(_ range: Range<UInt64>) throws(DiskError) -> (any FileWindow)?

  /// The first `count` bytes in memory for reading; `nil` where the file system has no such thing or the file is shorter. The bytes are those
  /// of the file at any time; they must not be cut off while the mapping is in use. A device that fails a read ends the process (SIGBUS): callers
  /// that must survive that read by position.
  func mapping(count: Int) throws(DiskError) -> (any FileMapping)?

  /// Asks the device to begin writing what was written to a range, so that a later ``sync(_:)`` finds less to do. A hint: it waits for nothing,
  /// promises nothing and hides no error from a later sync.
  func startWriteback(_ range: Range<UInt64>)

  /// Makes the bytes written so far durable.
  func sync(_ level: SyncLevel) throws(DiskError)

  /// Releases the handle. Closing says nothing about durability. A second close is harmless.
  func close() throws(DiskError)
}

/// A range of a file in memory. What is stored between ``base`` and the range's end is the file's: as good as written once it is published,
/// durable after the file's next ``File/sync(_:)``. One thread at a time; valid while the object lives, the file may be closed before.
public protocol FileWindow: AnyObject, Sendable {
  /// Where in the file the window lies.
  var range: Range<UInt64> { get }

  /// The memory of the range's first byte.
  var base: UnsafeMutableRawPointer { get }

  /// Hands what was stored in `part` to the kernel; on return it survives the end of the process.
  /// - Throws: as ``File/write(_:at:)-(RawSpan,_)``.
  func publish(_ part: Range<UInt64>) throws(DiskError)
}

/// The beginning of a file in memory, for reading; see ``File/mapping(count:)``. Valid while the object lives, from any thread.
public protocol FileMapping: AnyObject, Sendable {
  /// The bytes.
  var bytes: UnsafeRawBufferPointer { get }
}

/// What ``File/sync(_:)`` waits for.
public enum SyncLevel: Sendable, Hashable {
  /// Contents and the size needed to read them back (`fdatasync`).
  case data
  /// Contents and all metadata (`fsync`, `F_FULLFSYNC` on Darwin).
  case full
  /// Order only: what was written before reaches the device before what is written after, nothing is promised about when.
  /// File systems without such a call give `.data` instead.
  case barrier
}

extension File {
  /// No windows: callers write.
  public func window(_ range: Range<UInt64>) throws(DiskError) -> (any FileWindow)? { nil }

  /// No mappings: callers read.
  public func mapping(count: Int) throws(DiskError) -> (any FileMapping)? { nil }

  /// Nothing is begun early.
  public func startWriteback(_ range: Range<UInt64>) {}

  /// Up to `count` bytes from `offset`; fewer only where the file ends before.
  /// The caller has bounded `count`; that much memory is taken at once.
  public func read(at offset: UInt64, count: Int) throws(DiskError) -> [UInt8] {
    var failure: DiskError?
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { storage, initialized in
      var span = OutputRawSpan(buffer: UnsafeMutableRawBufferPointer(storage), initializedCount: 0)
      do throws(DiskError) { try read(at: offset, into: &span) } catch { failure = error }
      initialized = span.finalize(for: UnsafeMutableRawBufferPointer(storage))
    }
    if let failure { throw failure }
    return bytes
  }

  /// Exactly `count` bytes from `offset`.
  /// - Throws: `.shortRead` where the file ends before.
  public func readExactly(at offset: UInt64, count: Int) throws(DiskError) -> [UInt8] {
    let bytes = try read(at: offset, count: count)
    guard bytes.count == count else { throw .shortRead(path, at: offset, got: bytes.count, wanted: count) }
    return bytes
  }

  /// Writes an array; see ``write(_:at:)-(RawSpan,_)``.
  public func write(_ bytes: [UInt8], at offset: UInt64) throws(DiskError) {
    try write(bytes.span.bytes, at: offset)
  }

  /// Writes at the present end of the file and returns where. One caller at a time.
  @discardableResult
  public func append(_ bytes: RawSpan) throws(DiskError) -> UInt64 {
    let end = try size()
    try write(bytes, at: end)
    return end
  }
}
