import StrataDisk
import StrataJobs
import SystemPackage

/// Files whose second names, with which a checkpoint begins, are not made before the test lets them.
final class HeldFiles: FileSystem {
  private struct State {
    var holds = false
    var waits = 0
  }

  private let files = POSIXFileSystem()
  private let state = Monitor(State())

  /// Whether somebody waits.
  var isHolding: Bool { state.withLock { $0.waits > 0 } }

  func hold(_ holds: Bool) {
    state.withLock { $0.holds = holds }
    state.broadcast()
  }

  func link(_ existing: FilePath, to target: FilePath) throws(DiskError) {
    state.withLock { $0.waits += 1 }
    _ = state.wait(until: { $0.holds ? nil : true })
    state.withLock { $0.waits -= 1 }
    try files.link(existing, to: target)
  }

  func open(_ path: FilePath, _ mode: OpenMode) throws(DiskError) -> any File { try files.open(path, mode) }
  func rename(_ source: FilePath, to target: FilePath, replacing: Bool) throws(DiskError) {
    try files.rename(source, to: target, replacing: replacing)
  }
  func remove(_ path: FilePath) throws(DiskError) { try files.remove(path) }
  func makeDirectory(_ path: FilePath) throws(DiskError) { try files.makeDirectory(path) }
  func removeDirectory(_ path: FilePath) throws(DiskError) { try files.removeDirectory(path) }
  func list(_ directory: FilePath) throws(DiskError) -> [String] { try files.list(directory) }
  func status(_ path: FilePath) throws(DiskError) -> FileStatus? { try files.status(path) }
  func syncDirectory(_ directory: FilePath) throws(DiskError) { try files.syncDirectory(directory) }
  func lock(_ path: FilePath) throws(DiskError) -> any FileLock { try files.lock(path) }
  func freeSpace(_ directory: FilePath) throws(DiskError) -> UInt64 { try files.freeSpace(directory) }
}
