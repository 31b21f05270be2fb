import StrataDisk
import StrataJobs
import SystemPackage

/// A file system that passes every call on to another one and keeps a log of what succeeded.
///
/// The log feeds ``CrashEnumeration`` and tests of what an engine costs (``traffic``). An event is in the log before its call returns, so
/// a note made after an acknowledgement stands after everything the acknowledgement rests on. Calls that run at the same time may be
/// logged in either order, except that a sync covers only what was logged before it began. Safe from any thread.
public final class RecordingFileSystem: FileSystem {
  private struct Record: Sendable {
    var log = DiskLog()
    var traffic = DiskTraffic()
  }

  private let base: any FileSystem
  private let record = Monitor(Record())
  /// Whether reads are logged as well.
  public let logsReads: Bool

  /// Records the calls to `base`.
  public init(_ base: any FileSystem, logsReads: Bool = false) {
    self.base = base
    self.logsReads = logsReads
  }

  /// The log so far.
  public var log: DiskLog { record.withLock { $0.log } }

  /// The counters so far.
  public var traffic: DiskTraffic { record.withLock { $0.traffic } }

  /// How many events the log has.
  public var eventCount: Int { record.withLock { $0.log.events.count } }

  /// Places a marker in the log and returns its index.
  @discardableResult
  public func note(_ text: String) -> Int {
    append(.note(text))
  }

  /// Forgets log and counters; handles opened before keep their numbers.
  public func resetTraffic() { record.withLock { $0.traffic = DiskTraffic() } }

  @discardableResult
  fileprivate func append(_ event: DiskEvent, _ count: (inout DiskTraffic) -> Void = { _ in }) -> Int {
    record.withLock { record in
      record.log.events.append(event)
      count(&record.traffic)
      return record.log.events.count - 1
    }
  }

  /// Runs an operation and logs it, or its failure.
  fileprivate func logging<Result>(
    _ operation: DiskOperation, _ path: FilePath, _ event: @autoclosure () -> DiskEvent,
    _ body: () throws(DiskError) -> Result
  ) throws(DiskError) -> Result {
    do {
      let result = try body()
      append(event())
      return result
    } catch {
      append(.failed(operation, path, error))
      throw error
    }
  }

  fileprivate func countRead(_ handle: Int, _ offset: UInt64, _ count: Int) {
    record.withLock { record in
      record.traffic.reads += 1
      record.traffic.bytesRead += UInt64(count)
      if logsReads { record.log.events.append(.read(handle: handle, offset: offset, count: count)) }
    }
  }

  public func open(_ path: FilePath, _ mode: OpenMode) throws(DiskError) -> any File {
    do {
      let file = try base.open(path, mode)
      let handle = record.withLock { record in
        let handle = record.log.paths.count
        record.log.paths.append(path)
        record.log.events.append(.open(handle: handle, path: path, mode: mode))
        return handle
      }
      return RecordingFile(file, handle: handle, fileSystem: self)
    } catch {
      append(.failed(.open, path, error))
      throw error
    }
  }

  public func rename(_ source: FilePath, to target: FilePath, replacing: Bool) throws(DiskError) {
    try logging(.rename, source, .rename(from: source, to: target)) { () throws(DiskError) in
      try base.rename(source, to: target, replacing: replacing)
    }
  }

  public func link(_ existing: FilePath, to target: FilePath) throws(DiskError) {
    try logging(.link, existing, .link(existing: existing, to: target)) { () throws(DiskError) in
      try base.link(existing, to: target)
    }
  }

  public func remove(_ path: FilePath) throws(DiskError) {
    try logging(.remove, path, .remove(path)) { () throws(DiskError) in try base.remove(path) }
  }

  public func makeDirectory(_ path: FilePath) throws(DiskError) {
    try logging(.makeDirectory, path, .makeDirectory(path)) { () throws(DiskError) in try base.makeDirectory(path) }
  }

  public func removeDirectory(_ path: FilePath) throws(DiskError) {
    try logging(.removeDirectory, path, .removeDirectory(path)) { () throws(DiskError) in try base.removeDirectory(path) }
  }

  public func list(_ directory: FilePath) throws(DiskError) -> [String] { try base.list(directory) }

  public func status(_ path: FilePath) throws(DiskError) -> FileStatus? { try base.status(path) }

  public func syncDirectory(_ directory: FilePath) throws(DiskError) {
    let since = eventCount
    try logging(.syncDirectory, directory, .syncDirectory(directory, since: since)) { () throws(DiskError) in
      try base.syncDirectory(directory)
    }
    record.withLock { $0.traffic.directorySyncs += 1 }
  }

  public func lock(_ path: FilePath) throws(DiskError) -> any FileLock {
    try logging(.lock, path, .lock(path)) { () throws(DiskError) -> any FileLock in try base.lock(path) }
  }

  public func freeSpace(_ directory: FilePath) throws(DiskError) -> UInt64 { try base.freeSpace(directory) }
}

/// A handle whose calls are logged.
private final class RecordingFile: File {
  private let base: any File
  private let handle: Int
  private let fileSystem: RecordingFileSystem

  var path: FilePath { base.path }

  init(_ base: any File, handle: Int, fileSystem: RecordingFileSystem) {
    self.base = base
    self.handle = handle
    self.fileSystem = fileSystem
  }

  func size() throws(DiskError) -> UInt64 { try base.size() }

  func read(at offset: UInt64, into buffer: inout OutputRawSpan) throws(DiskError) {
    let before = buffer.byteCount
    try base.read(at: offset, into: &buffer)
    fileSystem.countRead(handle, offset, buffer.byteCount - before)
  }

  func readIfCached(at offset: UInt64, into buffer: inout OutputRawSpan) throws(DiskError) -> Bool {
    let before = buffer.byteCount
    guard try base.readIfCached(at: offset, into: &buffer) else { return false }
    fileSystem.countRead(handle, offset, buffer.byteCount - before)
    return true
  }

  func write(_ bytes: RawSpan, at offset: UInt64) throws(DiskError) {
    do { try base.write(bytes, at: offset) } catch { throw failed(.write, error) }
    record(bytes.withUnsafeBytes { [UInt8]($0) }, at: offset)
  }

  func window(_ range: Range<UInt64>) throws(DiskError) -> (any FileWindow)? { try WrittenWindow(self, range) }

  func writeVectored(_ pieces: [[UInt8]], at offset: UInt64) throws(DiskError) {
    do { try base.writeVectored(pieces, at: offset) } catch { throw failed(.write, error) }
    record(Array(pieces.joined()), at: offset)
  }

  private func record(_ bytes: [UInt8], at offset: UInt64) {
    fileSystem.append(.write(handle: handle, offset: offset, bytes: bytes)) {
      $0.writes += 1
      $0.bytesWritten += UInt64(bytes.count)
    }
  }

  func truncate(to size: UInt64) throws(DiskError) {
    try fileSystem.logging(.truncate, path, .truncate(handle: handle, size: size)) { () throws(DiskError) in
      try base.truncate(to: size)
    }
  }

  func allocate(_ range: Range<UInt64>) throws(DiskError) {
    try fileSystem.logging(.allocate, path, .allocate(handle: handle, range: range)) { () throws(DiskError) in
      try base.allocate(range)
    }
  }

  func sync(_ level: SyncLevel) throws(DiskError) {
    let since = fileSystem.eventCount
    do { try base.sync(level) } catch { throw failed(.sync, error) }
    fileSystem.append(.sync(handle: handle, level: level, since: since)) { $0.syncs += 1 }
  }

  func close() throws(DiskError) {
    try fileSystem.logging(.close, path, .close(handle: handle)) { () throws(DiskError) in try base.close() }
  }

  private func failed(_ operation: DiskOperation, _ error: DiskError) -> DiskError {
    fileSystem.append(.failed(operation, path, error))
    return error
  }
}
