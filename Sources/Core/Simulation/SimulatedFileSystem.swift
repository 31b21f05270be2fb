import StrataDisk
import StrataJobs
import StrataNodes
import SystemPackage

/// A file system in memory that loses, tears and reorders what was not synced, and fails where told.
///
/// Everything it does follows from its profile, its random stream, the injected faults and the order of calls, so one seed replays a
/// run. Safe to call from any thread; one lock, held only while a call copies bytes. Paths start at one root directory, which `.` and
/// `/` both name; a machine begins with that directory empty.
///
/// ``crash(_:)`` cuts the power: this object and all its handles and locks then refuse with `.crashed`, and the returned file system
/// is what the machine finds when it starts again.
public final class SimulatedFileSystem: FileSystem {
  let core: Monitor<Core>
  /// What this file system may do to un-synced data.
  public let profile: DiskProfile

  /// An empty disk.
  public convenience init(profile: DiskProfile = .strictPOSIX, random: Random = Random(seed: 0)) {
    self.init(state: DiskState(profile: profile), random: random)
  }

  init(state: DiskState, random: Random) {
    profile = state.profile
    core = Monitor(Core(state: state, random: random))
  }

  // MARK: Power

  /// Cuts the power and returns the disk as the next start finds it. Later calls on this object throw `.crashed`; all locks are free.
  /// Calling it again gives another outcome of the same power loss.
  public func crash(_ loss: PowerLoss) -> SimulatedFileSystem {
    core.withLock { core in
      core.isCrashed = true
      core.handles = [:]
      core.locks = [:]
      return core.restarted(loss)
    }
  }

  /// An independent copy of the running machine's disk, pending operations included. Handles, locks and faults are not copied.
  /// Costs a few references; pages are shared until one side writes them.
  public func fork() -> SimulatedFileSystem {
    core.withLock { core in
      let copy = SimulatedFileSystem(state: core.state, random: core.random)
      copy.core.withLock { $0.takeSettings(of: core) }
      return copy
    }
  }

  /// Whether the power is off.
  public var isCrashed: Bool { core.withLock { $0.isCrashed } }

  /// What no sync has covered, in the order of the calls; the choices of `PowerLoss.explicit` line up with it.
  public var pendingOperations: [PendingOperation] { core.withLock { $0.state.pendingOperations } }

  // MARK: Names

  public func open(_ path: FilePath, _ mode: OpenMode) throws(DiskError) -> any File {
    let handle = try call(.open, path) { (core, _) throws(DiskError) -> Int in try core.open(path, mode) }
    return SimulatedFile(path: path, handle: handle, fileSystem: self)
  }

  public func rename(_ source: FilePath, to target: FilePath, replacing: Bool) throws(DiskError) {
    try call(.rename, source) { (core, _) throws(DiskError) in try core.state.rename(source, to: target, replacing: replacing) }
  }

  public func link(_ existing: FilePath, to target: FilePath) throws(DiskError) {
    try call(.link, existing) { (core, _) throws(DiskError) in try core.state.link(existing, to: target) }
  }

  public func remove(_ path: FilePath) throws(DiskError) {
    try call(.remove, path) { (core, _) throws(DiskError) in
      try core.state.remove(path)
      core.collect()
    }
  }

  public func makeDirectory(_ path: FilePath) throws(DiskError) {
    try call(.makeDirectory, path) { (core, _) throws(DiskError) in try core.state.makeDirectory(path) }
  }

  public func removeDirectory(_ path: FilePath) throws(DiskError) {
    try call(.removeDirectory, path) { (core, _) throws(DiskError) in try core.state.removeDirectory(path) }
  }

  public func list(_ directory: FilePath) throws(DiskError) -> [String] {
    try call(.list, directory) { (core, _) throws(DiskError) -> [String] in try core.state.list(directory) }
  }

  public func status(_ path: FilePath) throws(DiskError) -> FileStatus? {
    try call(.status, path) { (core, _) throws(DiskError) -> FileStatus? in try core.state.status(path) }
  }

  public func syncDirectory(_ directory: FilePath) throws(DiskError) {
    try call(.syncDirectory, directory) { (core, effect) throws(DiskError) in
      let number = try core.state.node(directory, .syncDirectory)
      guard core.state.nodes[number]?.isDirectory == true else { throw DiskState.failure(.notDirectory, .syncDirectory, directory) }
      if effect == .lostSync { return }
      core.state.syncDirectory(number)
      core.collect()
    }
  }

  public func lock(_ path: FilePath) throws(DiskError) -> any FileLock {
    let claim = try call(.lock, path) { (core, _) throws(DiskError) -> LockClaim in try core.lock(path) }
    return SimulatedLock(claim: claim, fileSystem: self)
  }

  public func freeSpace(_ directory: FilePath) throws(DiskError) -> UInt64 {
    try call(.freeSpace, directory) { (core, _) throws(DiskError) -> UInt64 in
      _ = try core.state.node(directory, .freeSpace)
      return core.freeBytes
    }
  }

  // MARK: Calls

  /// Counts a call, plays the fault that hits it, and runs it under the lock. Effects that only some operations know are passed on.
  @discardableResult
  func call<Result: Sendable>(
    _ operation: DiskOperation, _ path: FilePath, _ body: (inout Core, DiskFault.Effect?) throws(DiskError) -> Result
  ) throws(DiskError) -> Result {
    try core.withLock { (core) throws(DiskError) -> Result in
      let effect = try core.enter(operation, path)
      return try body(&core, effect)
    }
  }

  func release(_ claim: LockClaim) {
    core.withLock { core in
      if core.locks[claim.node] == claim.number { core.locks[claim.node] = nil }
    }
  }
}

/// Names one holder of one lock.
struct LockClaim: Sendable {
  var node: NodeNumber
  var number: Int
}

/// A lock of a simulated machine; a power loss frees it.
final class SimulatedLock: FileLock {
  private let claim: LockClaim
  private let fileSystem: SimulatedFileSystem

  init(claim: LockClaim, fileSystem: SimulatedFileSystem) {
    self.claim = claim
    self.fileSystem = fileSystem
  }

  func unlock() { fileSystem.release(claim) }

  deinit { unlock() }
}
