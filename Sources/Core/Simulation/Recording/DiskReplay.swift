import StrataDisk
import SystemPackage

/// Runs a recorded log on a ``DiskState``, event by event, with chosen sync sites left out.
struct DiskReplay: Sendable {
  private(set) var state: DiskState
  let log: DiskLog
  /// Index of the next event.
  private(set) var index = 0
  private let muted: Set<Int>
  private var nodes: [Int: NodeNumber] = [:]
  /// The state's sequence number before each event, to cut what a sync covers.
  private var sequences: [UInt64] = []

  init(_ log: DiskLog, from state: DiskState, muted: Set<Int> = []) {
    self.log = log
    self.state = state
    self.muted = muted
    sequences.reserveCapacity(log.events.count)
  }

  /// Whether the event changes what a power loss could leave.
  static func isChange(_ event: DiskEvent) -> Bool {
    switch event {
    case .open(_, _, let mode): mode == .create || mode == .createNew
    case .read, .close, .failed, .note: false
    default: true
    }
  }

  /// Replays the next event.
  /// - Throws: the state's refusal, which means that the log was not recorded from this starting state.
  mutating func step() throws(DiskError) {
    let current = index
    sequences.append(state.sequence)
    index += 1
    switch log.events[current] {
    case .open(let handle, let path, let mode):
      nodes[handle] =
        mode == .read || mode == .readWrite
        ? try state.node(path, .open) : try state.openCreating(path, isExclusive: mode == .createNew)
    case .write(let handle, let offset, let bytes):
      state.write(bytes, at: offset, to: nodes[handle] ?? -1, path: log.path(of: handle))
    case .truncate(let handle, let size): state.truncate(nodes[handle] ?? -1, to: size, path: log.path(of: handle))
    case .allocate(let handle, let range):
      if !range.isEmpty { state.grow(nodes[handle] ?? -1, to: range.upperBound, path: log.path(of: handle)) }
    case .sync(let handle, let level, let since):
      guard !muted.contains(current), let node = nodes[handle] else { return }
      if level == .barrier { return state.placeBarrier(node, path: log.path(of: handle)) }
      state.sync(node, upTo: boundary(since, current))
    case .syncDirectory(let path, let since):
      guard !muted.contains(current) else { return }
      state.syncDirectory(try state.node(path, .syncDirectory), upTo: boundary(since, current))
    case .rename(let source, let target): try state.rename(source, to: target, replacing: true)
    case .link(let existing, let target): try state.link(existing, to: target)
    case .remove(let path): try state.remove(path)
    case .makeDirectory(let path): try state.makeDirectory(path)
    case .removeDirectory(let path): try state.removeDirectory(path)
    case .lock(let path):
      let place = try state.place(path, .lock)
      if state.occupant(place) == nil { _ = state.create(place, isDirectory: false, path: path, isDurable: true) }
    case .read, .close, .failed, .note: break
    }
  }

  private func boundary(_ since: Int, _ current: Int) -> UInt64 {
    since >= current ? .max : sequences[max(0, since)]
  }
}
