import SystemPackage

/// The one door to storage: every engine takes `any FileSystem` and touches files through nothing else.
///
/// Names are made durable separately from contents: a created, renamed or removed name survives power loss only after
/// ``syncDirectory(_:)`` on its directory (POSIX leaves an un-synced directory entry undefined after a crash), and
/// contents only after ``File/sync(_:)``. All calls are synchronous and may block in the operating system; none may be made on
/// a thread of Swift's cooperative pool where waiting is not acceptable. Implementations are safe to call from any thread.
public protocol FileSystem: Sendable {
  /// Opens `path`. `.create` and `.createNew` make the file but not its name durable.
  /// - Throws: `.notFound`, `.exists` (`.createNew` on an existing file), `.noSpace`, `.io`.
  func open(_ path: FilePath, _ mode: OpenMode) throws(DiskError) -> any File

  /// Atomically gives the file at `source` the name `target`. Volatile until the directory is synced.
  /// - Parameter replacing: when `false`, an existing `target` is `.exists` and nothing changes.
  func rename(_ source: FilePath, to target: FilePath, replacing: Bool) throws(DiskError)

  /// Gives the file at `existing` a second name. Volatile until the directory of `target` is synced.
  func link(_ existing: FilePath, to target: FilePath) throws(DiskError)

  /// Removes a name. The contents stay readable through open handles; a removal that is not synced may be undone by a crash.
  func remove(_ path: FilePath) throws(DiskError)

  /// Creates one directory; its parent must exist. An existing directory is `.exists`.
  func makeDirectory(_ path: FilePath) throws(DiskError)

  /// Removes one empty directory.
  func removeDirectory(_ path: FilePath) throws(DiskError)

  /// The names in a directory, in byte order, without `.` and `..`.
  func list(_ directory: FilePath) throws(DiskError) -> [String]

  /// Kind and size of what `path` names, or `nil` where nothing has that name. Follows symbolic links.
  func status(_ path: FilePath) throws(DiskError) -> FileStatus?

  /// Makes every creation, rename, link and removal done in `directory` so far durable.
  func syncDirectory(_ directory: FilePath) throws(DiskError)

  /// Takes an exclusive lock named by a file (created when missing), held until ``FileLock/unlock()``, the lock object's end or the
  /// process's death. The holder's process id is written into the file so that a refusal can name it.
  /// - Throws: `.locked(path, holder)` where another process, or another lock object of this one, has it.
  func lock(_ path: FilePath) throws(DiskError) -> any FileLock

  /// Bytes an unprivileged process can still allocate on the file system of `directory`.
  func freeSpace(_ directory: FilePath) throws(DiskError) -> UInt64
}

/// How a file is opened.
public enum OpenMode: Sendable, Hashable {
  /// Existing file, reads only.
  case read
  /// Existing file, reads and writes.
  case readWrite
  /// Reads and writes; created empty when missing.
  case create
  /// Reads and writes; `.exists` when the name is taken.
  case createNew
}

/// What ``FileSystem/status(_:)`` tells.
public struct FileStatus: Sendable, Hashable {
  /// Length in bytes.
  public var size: UInt64
  /// Whether the name is a directory.
  public var isDirectory: Bool

  public init(size: UInt64, isDirectory: Bool) {
    self.size = size
    self.isDirectory = isDirectory
  }
}

/// An exclusive lock taken by ``FileSystem/lock(_:)``.
public protocol FileLock: AnyObject, Sendable {
  /// Releases the lock. Calling it twice is harmless.
  func unlock()
}

extension FileSystem {
  /// Whether `path` names anything.
  public func exists(_ path: FilePath) throws(DiskError) -> Bool { try status(path) != nil }

  /// Creates `path` and each missing parent; on return the names of all that were missing, and of `path` itself, are durable.
  ///
  /// The name of a directory that is there already is synced too, because a process killed between creating and syncing it leaves one
  /// that a power loss can still take. Where the parent may not be read, that is left out.
  public func makeDirectories(_ path: FilePath) throws(DiskError) {
    let parent = path.removingLastComponent()
    if let status = try status(path) {
      guard status.isDirectory else { throw .exists(path) }
      guard parent != path else { return }
      do { try syncDirectory(path.parentDirectory) } catch .readOnly { return }
      return
    }
    if !parent.isEmpty, parent != path { try makeDirectories(parent) }
    do { try makeDirectory(path) } catch .exists {}
    try syncDirectory(path.parentDirectory)
  }

  /// Replaces the small file at `path` so that after a crash its content is wholly the old or wholly the new one, and on return
  /// durably the new one: writes `path` + `.tmp`, syncs it, renames it over `path`, syncs the directory.
  /// Only one caller at a time may replace a given path.
  public func atomicReplace(_ path: FilePath, with bytes: [UInt8]) throws(DiskError) {
    let temporary = FilePath(path.string + ".tmp")
    let file = try open(temporary, .create)
    try file.truncate(to: 0)
    try file.write(bytes, at: 0)
    try file.sync(.full)
    try file.close()
    try rename(temporary, to: path, replacing: true)
    try syncDirectory(path.parentDirectory)
  }

  /// The whole content of a file.
  /// - Throws: `.tooLarge` when the file is longer than `limit` bytes; nothing is allocated in that case.
  public func readAll(_ path: FilePath, limit: Int) throws(DiskError) -> [UInt8] {
    let file = try open(path, .read)
    let size = try file.size()
    guard size <= UInt64(limit) else { throw .tooLarge(path, size: size, limit: UInt64(limit)) }
    let bytes = try file.read(at: 0, count: Int(size))
    try file.close()
    return bytes
  }
}

extension FilePath {
  /// The directory that holds this name; `.` for a bare name.
  public var parentDirectory: FilePath {
    let parent = removingLastComponent()
    return parent.isEmpty ? "." : parent
  }
}
