import SystemPackage

/// What storage can refuse or break. Paths and offsets name the place; the text says what an operator can do.
public indirect enum DiskError: Error, Sendable, Hashable {
  /// Nothing has this name.
  case notFound(FilePath)
  /// The name is taken.
  case exists(FilePath)
  /// The device or the quota is full; free space and try again.
  case noSpace(FilePath, operation: DiskOperation)
  /// The file system is mounted read-only or permission is missing.
  case readOnly(FilePath)
  /// Another process, or another lock object of this one, holds the lock.
  case locked(FilePath, holder: Int32?)
  /// The file ended before the bytes asked for.
  case shortRead(FilePath, at: UInt64, got: Int, wanted: Int)
  /// A file longer than the caller's stated limit.
  case tooLarge(FilePath, size: UInt64, limit: UInt64)
  /// The operating system reported an error.
  case io(errno: Int32, operation: DiskOperation, path: FilePath, offset: UInt64?)
  /// An earlier sync of this handle failed: its bytes are not durable and never will be. Reopen and recover.
  case poisoned(first: DiskError)
  /// The simulated machine has lost power; the handle is of its former life.
  case crashed(FilePath)
  /// The handle was closed.
  case closed(FilePath)
  /// The file system has no such operation.
  case unsupported(FilePath, operation: DiskOperation)
}

/// The operation an error belongs to.
public enum DiskOperation: String, Sendable, Hashable {
  case open, read, write, truncate, allocate, sync, close, rename, link, remove, makeDirectory, removeDirectory, list, status,
    syncDirectory, lock, freeSpace
}

extension DiskError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .notFound(let path): "\(path): no such file or directory"
    case .exists(let path): "\(path): already exists"
    case .noSpace(let path, let operation): "\(path): no space left on the device (\(operation.rawValue)); free space and try again"
    case .readOnly(let path): "\(path): not writable; check permissions and mount options"
    case .locked(let path, let holder):
      if let holder { "\(path): in use by process \(holder)" } else { "\(path): in use by another owner" }
    case .shortRead(let path, let offset, let got, let wanted):
      "\(path): ends after \(got) of \(wanted) bytes at offset \(offset)"
    case .tooLarge(let path, let size, let limit): "\(path): \(size) bytes, more than the limit of \(limit)"
    case .io(let code, let operation, let path, let offset):
      if let offset {
        "\(path): \(operation.rawValue) failed at offset \(offset): \(Errno(rawValue: code))"
      } else {
        "\(path): \(operation.rawValue) failed: \(Errno(rawValue: code))"
      }
    case .poisoned(let first): "not durable since an earlier failure (\(first)); reopen to recover"
    case .crashed(let path): "\(path): the simulated machine has crashed"
    case .closed(let path): "\(path): used after close"
    case .unsupported(let path, let operation): "\(path): the file system does not support \(operation.rawValue)"
    }
  }
}
