import CStrataDisk
import SystemPackage

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// The operating system's files.
public struct POSIXFileSystem: FileSystem {
  public init() {}

  public func open(_ path: FilePath, _ mode: OpenMode) throws(DiskError) -> any File {
    let flags: Int32 =
      switch mode {
      case .read: O_RDONLY
      case .readWrite: O_RDWR
      case .create: O_RDWR | O_CREAT
      case .createNew: O_RDWR | O_CREAT | O_EXCL
      }
    let descriptor = try retrying(.open, path) { path.withPlatformString { openFile($0, flags | O_CLOEXEC, 0o644) } }
    let file = POSIXFile(path: path, descriptor: descriptor, isWritable: mode != .read)
    // Opening a directory for reading succeeds; nothing after it would.
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw diskError(errno, .open, path) }
    guard status.st_mode & S_IFMT != S_IFDIR else { throw diskError(EISDIR, .open, path) }
    return file
  }

  public func rename(_ source: FilePath, to target: FilePath, replacing: Bool) throws(DiskError) {
    if !replacing {
      let result = source.withPlatformString { from in target.withPlatformString { to in strata_rename_exclusive(from, to) } }
      if result == 0 { return }
      if errno == EEXIST { throw .exists(target) }
      guard errno == EINVAL || errno == ENOSYS || errno == ENOTSUP else { throw diskError(errno, .rename, source) }
      // File systems without the call: a second name refuses an existing target just as well. A crash between the two steps leaves both.
      if let status = try status(source), status.isDirectory { throw .unsupported(source, operation: .rename) }
      try link(source, to: target)
      try remove(source)
      return
    }
    try retrying(.rename, source) {
      source.withPlatformString { from in target.withPlatformString { to in renameFile(from, to) } }
    }
  }

  public func link(_ existing: FilePath, to target: FilePath) throws(DiskError) {
    let result = existing.withPlatformString { from in target.withPlatformString { to in linkFile(from, to) } }
    guard result == 0 else {
      throw errno == EEXIST ? .exists(target) : diskError(errno, .link, existing)
    }
  }

  public func remove(_ path: FilePath) throws(DiskError) {
    try retrying(.remove, path) { path.withPlatformString { unlink($0) } }
  }

  public func makeDirectory(_ path: FilePath) throws(DiskError) {
    try retrying(.makeDirectory, path) { path.withPlatformString { mkdir($0, 0o755) } }
  }

  public func removeDirectory(_ path: FilePath) throws(DiskError) {
    try retrying(.removeDirectory, path) { path.withPlatformString { rmdir($0) } }
  }

  public func list(_ directory: FilePath) throws(DiskError) -> [String] {
    guard let stream = directory.withPlatformString({ opendir($0) }) else { throw diskError(errno, .list, directory) }
    defer { closedir(stream) }
    var names: [String] = []
    while true {
      errno = 0
      guard let entry = readdir(stream) else {
        if errno != 0 { throw diskError(errno, .list, directory) }
        break
      }
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: $0.pointee)) { String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  public func status(_ path: FilePath) throws(DiskError) -> FileStatus? {
    var status = stat()
    guard path.withPlatformString({ statFile($0, &status) }) == 0 else {
      if errno == ENOENT || errno == ENOTDIR { return nil }
      throw diskError(errno, .status, path)
    }
    return FileStatus(size: UInt64(clamping: status.st_size), isDirectory: status.st_mode & S_IFMT == S_IFDIR)
  }

  public func syncDirectory(_ directory: FilePath) throws(DiskError) {
    let descriptor = try retrying(.syncDirectory, directory) {
      directory.withPlatformString { strata_open_directory($0) }
    }
    defer { _ = closeFile(descriptor) }
    try retrying(.syncDirectory, directory) { fsync(descriptor) }
  }

  public func lock(_ path: FilePath) throws(DiskError) -> any FileLock {
    let descriptor = try retrying(.lock, path) {
      path.withPlatformString { openFile($0, O_RDWR | O_CREAT | O_CLOEXEC, 0o644) }
    }
    // flock belongs to the open file description, so a second lock object in the same process conflicts too.
    var result = flock(descriptor, LOCK_EX | LOCK_NB)
    while result != 0, errno == EINTR { result = flock(descriptor, LOCK_EX | LOCK_NB) }
    guard result == 0 else {
      let code = errno
      let holder = holderWritten(in: descriptor)
      _ = closeFile(descriptor)
      throw code == EWOULDBLOCK ? .locked(path, holder: holder) : diskError(code, .lock, path)
    }
    let text = Array("\(getpid())\n".utf8)
    _ = ftruncate(descriptor, 0)
    _ = text.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, 0) }
    return POSIXFileLock(descriptor: descriptor)
  }

  public func freeSpace(_ directory: FilePath) throws(DiskError) -> UInt64 {
    var status = statvfs()
    try retrying(.freeSpace, directory) { directory.withPlatformString { statFileSystem($0, &status) } }
    let (bytes, overflow) = UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize))
    return overflow ? .max : bytes
  }

  private func holderWritten(in descriptor: Int32) -> Int32? {
    var buffer = [UInt8](repeating: 0, count: 16)
    let got = buffer.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, 0) }
    guard got > 0 else { return nil }
    return Int32(String(decoding: buffer[..<got].prefix { $0 >= 0x30 && $0 <= 0x39 }, as: UTF8.self))
  }
}

/// Holds a `flock` for as long as it lives.
final class POSIXFileLock: FileLock {
  private let descriptor: OneShotDescriptor

  init(descriptor: Int32) { self.descriptor = OneShotDescriptor(descriptor) }

  func unlock() {
    if let open = descriptor.take() { _ = closeFile(open) }
  }

  deinit { unlock() }
}

// Free functions, because the methods above shadow the C names.
private func openFile(_ path: UnsafePointer<CChar>, _ flags: Int32, _ mode: mode_t) -> Int32 { open(path, flags, mode) }
private func renameFile(_ from: UnsafePointer<CChar>, _ to: UnsafePointer<CChar>) -> Int32 { rename(from, to) }
private func linkFile(_ from: UnsafePointer<CChar>, _ to: UnsafePointer<CChar>) -> Int32 { link(from, to) }
private func statFile(_ path: UnsafePointer<CChar>, _ status: inout stat) -> Int32 { stat(path, &status) }
private func statFileSystem(_ path: UnsafePointer<CChar>, _ status: inout statvfs) -> Int32 { statvfs(path, &status) }

/// Runs a call that returns a negative number on failure, again after an interrupt.
@discardableResult
private func retrying(_ operation: DiskOperation, _ path: FilePath, _ call: () -> Int32) throws(DiskError) -> Int32 {
  while true {
    let result = call()
    if result >= 0 { return result }
    if errno == EINTR { continue }
    throw diskError(errno, operation, path)
  }
}

/// The typed form of an `errno`.
func diskError(_ code: Int32, _ operation: DiskOperation, _ path: FilePath, at offset: UInt64? = nil) -> DiskError {
  switch code {
  case ENOENT: .notFound(path)
  case EEXIST: .exists(path)
  case ENOSPC, EDQUOT: .noSpace(path, operation: operation)
  case EROFS, EACCES, EPERM: .readOnly(path)
  default: .io(errno: code, operation: operation, path: path, offset: offset)
  }
}
