import StrataDisk
import SystemPackage

/// One operation as a ``RecordingFileSystem`` saw it succeed. Handles are numbered in the order of opening.
public enum DiskEvent: Sendable, Hashable {
  /// A file was opened and got the next handle number.
  case open(handle: Int, path: FilePath, mode: OpenMode)
  /// `count` bytes were read; fewer than asked for where the file ended.
  case read(handle: Int, offset: UInt64, count: Int)
  /// All of `bytes` were handed to the file.
  case write(handle: Int, offset: UInt64, bytes: [UInt8])
  /// The file's length was set.
  case truncate(handle: Int, size: UInt64)
  /// Space was reserved, and the file extended over it.
  case allocate(handle: Int, range: Range<UInt64>)
  /// `since` is the length of the log when the call began: only what was logged before is surely covered.
  case sync(handle: Int, level: SyncLevel, since: Int)
  /// The handle was given up.
  case close(handle: Int)
  /// A name was replaced by another, over a file of that name where there was one.
  case rename(from: FilePath, to: FilePath)
  /// A file got a second name.
  case link(existing: FilePath, to: FilePath)
  /// A name was removed.
  case remove(FilePath)
  /// A directory was created.
  case makeDirectory(FilePath)
  /// An empty directory was removed.
  case removeDirectory(FilePath)
  /// `since` as for `sync`.
  case syncDirectory(FilePath, since: Int)
  /// A lock was taken, and its file created where it was missing.
  case lock(FilePath)
  /// An operation that threw; what it left is unknown and taken as nothing, except that a failed sync covers nothing.
  case failed(DiskOperation, FilePath, DiskError)
  /// A marker of the workload: "put 17 acknowledged".
  case note(String)
}

/// What a ``RecordingFileSystem`` saw, in order.
public struct DiskLog: Sendable {
  /// The operations.
  public internal(set) var events: [DiskEvent] = []
  /// The path each handle was opened by, by handle number.
  public internal(set) var paths: [FilePath] = []

  /// The path of a handle.
  public func path(of handle: Int) -> FilePath { paths.indices.contains(handle) ? paths[handle] : "?" }

  /// A readable line for the event at an index.
  public func describe(_ index: Int) -> String {
    guard events.indices.contains(index) else { return "end" }
    let text: String =
      switch events[index] {
      case .open(let handle, let path, let mode): "open \(path) \(mode) -> #\(handle)"
      case .read(let handle, let offset, let count): "read \(count) at \(offset) of \(path(of: handle))"
      case .write(let handle, let offset, let bytes): "write \(bytes.count) at \(offset) of \(path(of: handle))"
      case .truncate(let handle, let size): "truncate \(path(of: handle)) to \(size)"
      case .allocate(let handle, let range): "allocate \(range) of \(path(of: handle))"
      case .sync(let handle, let level, let since):
        "sync \(path(of: handle)) \(level)" + (since == index ? "" : " (begun before \(since))")
      case .close(let handle): "close \(path(of: handle))"
      case .rename(let source, let target): "rename \(source) to \(target)"
      case .link(let existing, let target): "link \(existing) to \(target)"
      case .remove(let path): "remove \(path)"
      case .makeDirectory(let path): "makeDirectory \(path)"
      case .removeDirectory(let path): "removeDirectory \(path)"
      case .syncDirectory(let path, let since):
        "syncDirectory \(path)" + (since == index ? "" : " (begun before \(since))")
      case .lock(let path): "lock \(path)"
      case .failed(let operation, let path, let error): "\(operation.rawValue) \(path) FAILED: \(error)"
      case .note(let text): "-- \(text)"
      }
    return "\(index): \(text)"
  }

  /// The lines around an index, the one at the index marked.
  public func excerpt(around index: Int, before: Int = 12, after: Int = 3) -> String {
    let range = max(0, index - before)..<min(events.count, index + after + 1)
    return range.map { ($0 == index ? "> " : "  ") + describe($0) }.joined(separator: "\n")
  }
}

/// What a program cost the device.
public struct DiskTraffic: Sendable, Hashable {
  /// Bytes handed to writes; divided by the bytes a user stored, the write amplification.
  public internal(set) var bytesWritten: UInt64 = 0
  /// Bytes that reads returned.
  public internal(set) var bytesRead: UInt64 = 0
  /// Write calls.
  public internal(set) var writes = 0
  /// Read calls.
  public internal(set) var reads = 0
  /// File syncs, barriers included.
  public internal(set) var syncs = 0
  /// Directory syncs.
  public internal(set) var directorySyncs = 0
}
