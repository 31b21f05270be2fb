import StrataJobs
import StrataSSTable

/// Tables whose files may go: dropped by a durable edit and, once free, read by nobody.
final class ObsoleteFiles: Sendable {
  private struct State {
    /// Dropped; some still read.
    var pinned: [UInt64: UInt64] = [:]
    var free: [UInt64] = []
  }

  private let state = Monitor(State())
  /// Told when a file has become free.
  private let bell: @Sendable () -> Void

  init(bell: @escaping @Sendable () -> Void) { self.bell = bell }

  func note(_ table: TableMetadata) { state.withLock { $0.pinned[table.fileID] = table.fileSize } }

  func add(_ fileID: UInt64) {
    state.withLock { state in
      state.pinned[fileID] = nil
      state.free.append(fileID)
    }
    bell()
  }

  /// Files nobody reads any more, each given out once.
  func take() -> [UInt64] {
    state.withLock { state in
      defer { state.free = [] }
      return state.free
    }
  }

  var hasFree: Bool { state.withLock { !$0.free.isEmpty } }
  /// Bytes that readers keep on disk.
  var pinnedBytes: UInt64 { state.withLock { $0.pinned.values.reduce(0, +) } }
  /// Files that are dropped and still there.
  var pending: Set<UInt64> { state.withLock { Set($0.pinned.keys).union($0.free) } }
}
