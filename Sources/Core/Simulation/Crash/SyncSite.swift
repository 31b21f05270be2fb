import StrataDisk
import SystemPackage

/// A sync or directory sync in a recorded log, for naming the place in the code it comes from.
public struct SyncCall: Sendable, Hashable {
  /// `.sync` or `.syncDirectory`.
  public let operation: DiskOperation
  /// The file or directory.
  public let path: FilePath
  /// The operation before it on that file, or in that directory: a log synced after `write` and one synced after `truncate` usually come
  /// from different lines.
  public let previous: String
  /// Number of the call among those with the same operation and path in this log, from 0.
  public let ordinal: Int

  /// The name used where a caller gives no other: operation, path with its digits as `#`, and the operation before.
  public var defaultSite: String {
    var pattern = ""
    for character in path.string {
      if !character.isNumber { pattern.append(character) } else if pattern.last != "#" { pattern.append("#") }
    }
    return "\(operation.rawValue) \(pattern) after \(previous)"
  }
}

extension DiskLog {
  /// The syncs of the log by event index.
  var syncCalls: [(index: Int, call: SyncCall)] {
    var calls: [(index: Int, call: SyncCall)] = []
    var previous: [FilePath: String] = [:]
    var ordinals: [String: Int] = [:]
    func add(_ index: Int, _ operation: DiskOperation, _ path: FilePath) {
      let key = operation.rawValue + path.string
      let call = SyncCall(operation: operation, path: path, previous: previous[path] ?? "open", ordinal: ordinals[key, default: 0])
      calls.append((index, call))
      ordinals[key, default: 0] += 1
      previous[path] = operation.rawValue
    }
    for (index, event) in events.enumerated() {
      switch event {
      case .open(_, let path, let mode):
        previous[path] = "open"
        if mode == .create || mode == .createNew { previous[path.parentDirectory] = "create" }
      case .write(let handle, _, _): previous[self.path(of: handle)] = "write"
      case .truncate(let handle, _): previous[self.path(of: handle)] = "truncate"
      case .allocate(let handle, _): previous[self.path(of: handle)] = "allocate"
      case .sync(let handle, _, _): add(index, .sync, self.path(of: handle))
      case .syncDirectory(let path, _): add(index, .syncDirectory, path)
      case .rename(let source, let target):
        previous[source.parentDirectory] = "rename"
        previous[target.parentDirectory] = "rename"
      case .link(_, let target): previous[target.parentDirectory] = "link"
      case .remove(let path), .removeDirectory(let path): previous[path.parentDirectory] = "remove"
      case .makeDirectory(let path): previous[path.parentDirectory] = "makeDirectory"
      case .read, .close, .lock, .failed, .note: break
      }
    }
    return calls
  }
}
