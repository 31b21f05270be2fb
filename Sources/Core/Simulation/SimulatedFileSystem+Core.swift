import StrataDisk
import StrataNodes
import SystemPackage

extension SimulatedFileSystem {
  /// An open handle.
  struct Handle: Sendable {
    var node: NodeNumber
    var isWritable: Bool
    var poison: DiskError?
    /// How many failures of the file's writeback the handle has reported or was opened after.
    var seenFailures: Int
  }

  /// Everything the lock protects.
  struct Core: Sendable {
    var state: DiskState
    var random: Random
    var faults = FaultTable()
    var handles: [Int: Handle] = [:]
    var locks: [NodeNumber: Int] = [:]
    var nextNumber = 1
    var isCrashed = false
    var capacity: UInt64?
    /// Of how many in 256 reads the bytes count as not in memory.
    var uncachedReads = 0
    var processID: Int32 = 1

    init(state: DiskState, random: Random) {
      self.state = state
      self.random = random
    }

    mutating func takeSettings(of other: Core) {
      capacity = other.capacity
      uncachedReads = other.uncachedReads
      processID = other.processID
    }

    /// Counts a call and fails it where a fault that any operation understands hits it.
    mutating func enter(_ operation: DiskOperation, _ path: FilePath) throws(DiskError) -> DiskFault.Effect? {
      if isCrashed { throw .crashed(path) }
      let effect = faults.enter(operation, path)
      switch (effect, operation) {
      case (.crash, _):
        isCrashed = true
        handles = [:]
        locks = [:]
        throw .crashed(path)
      case (.some, .write), (.some, .sync): return effect
      case (.io, _), (.ioAfter, _): throw DiskState.failure(.ioError, operation, path)
      case (.noSpace, _), (.noSpaceAfter, _): throw .noSpace(path, operation: operation)
      default: return effect
      }
    }

    /// The machine after the power came back.
    mutating func restarted(_ loss: PowerLoss) -> SimulatedFileSystem {
      let choice: [Survival] =
        switch loss {
        case .nothingKept: []
        case .everythingKept: Array(repeating: .kept, count: state.pending.count)
        case .random: state.randomChoice(&random)
        case .explicit(let choice): choice
        }
      let next = SimulatedFileSystem(state: state.afterPowerLoss(choice), random: random)
      next.core.withLock { $0.takeSettings(of: self) }
      return next
    }

    mutating func open(_ path: FilePath, _ mode: OpenMode) throws(DiskError) -> Int {
      let number: NodeNumber
      switch mode {
      case .read, .readWrite: number = try state.node(path, .open)
      case .create, .createNew: number = try state.openCreating(path, isExclusive: mode == .createNew)
      }
      guard let node = state.nodes[number], !node.isDirectory else { throw DiskState.failure(.isDirectory, .open, path) }
      let handle = nextNumber
      nextNumber += 1
      handles[handle] = Handle(node: number, isWritable: mode != .read, poison: nil, seenFailures: node.failures)
      return handle
    }

    mutating func lock(_ path: FilePath) throws(DiskError) -> LockClaim {
      let place = try state.place(path, .lock)
      // Presence of a lock file means nothing, so its name is durable at once: one case less for crash enumeration.
      let number = state.occupant(place) ?? state.create(place, isDirectory: false, path: path, isDurable: true)
      guard state.nodes[number]?.isDirectory == false else { throw DiskState.failure(.isDirectory, .lock, path) }
      guard locks[number] == nil else { throw .locked(path, holder: processID) }
      let claim = LockClaim(node: number, number: nextNumber)
      nextNumber += 1
      locks[number] = claim.number
      return claim
    }

    /// Bytes that files can still grow by. Lengths are what counts: a hole costs as much as data.
    var freeBytes: UInt64 {
      let used = usedBytes
      let total = capacity ?? 1 << 44
      return used < total ? total - used : 0
    }

    private var usedBytes: UInt64 {
      var seen = Set(handles.values.map(\.node))
      seen.insert(DiskState.root)
      var frontier = Array(seen)
      var total: UInt64 = 0
      while let number = frontier.popLast() {
        guard let node = state.nodes[number] else { continue }
        // Saturating: lengths of sparse files may add up to more than any device.
        let (sum, overflow) = total.addingReportingOverflow(node.present.size)
        total = overflow ? .max : sum
        for next in node.names.values where seen.insert(next).inserted { frontier.append(next) }
      }
      return total
    }

    mutating func collect() {
      var open = Set(handles.values.map(\.node))
      open.formUnion(locks.keys)
      state.collect(open: open)
    }
  }
}
