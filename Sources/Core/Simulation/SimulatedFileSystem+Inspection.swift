import StrataDisk
import SystemPackage

// What tests do behind a program's back. None of these count as calls, none can be hit by a fault, and they work after a crash too,
// on the state the running program saw last.
extension SimulatedFileSystem {
  /// A file and its bytes.
  public struct Content: Sendable, Hashable {
    /// Its path from the root.
    public let path: FilePath
    /// All of its bytes.
    public let bytes: [UInt8]

    /// A file as a test expects it.
    public init(path: FilePath, bytes: [UInt8]) {
      self.path = path
      self.bytes = bytes
    }
  }

  /// How many bytes of one file the functions of this extension return at most.
  public static let inspectionLimit = 1 << 30

  /// Every file a running program sees, by path, with its bytes. Takes memory for all of them; see ``inspectionLimit``.
  public var contents: [Content] { core.withLock { $0.state.contents() } }

  /// The bytes a running program sees in a file, or `nil` where no file has that name. A sparse file beyond ``inspectionLimit`` is cut.
  public func bytes(of path: FilePath) -> [UInt8]? {
    core.withLock { core in
      guard let number = core.file(path), let node = core.state.nodes[number] else { return nil }
      return node.present.bytes(at: 0, count: Self.inspectionLimit)
    }
  }

  /// The bytes of a file that a power loss now would surely leave, or `nil` where its name could be lost.
  public func durableBytes(of path: FilePath) -> [UInt8]? { fork().crash(.nothingKept).bytes(of: path) }

  /// Puts a file in place durably, missing directories included.
  /// - Throws: the error of creating a name below something that is no directory.
  public func install(_ path: FilePath, _ bytes: [UInt8]) throws(DiskError) {
    try core.withLock { (core) throws(DiskError) in try core.state.install(path, bytes) }
  }

  /// Inverts one bit of a file at rest: bit `n % 8` of byte `n / 8`, in memory and on the device.
  /// - Returns: `false` where there is no such file or bit.
  @discardableResult
  public func flipBit(_ bit: UInt64, of path: FilePath) -> Bool {
    change(path) { node in
      guard bit / 8 < node.present.size else { return false }
      node.present.flip(bit: bit)
      node.durable.flip(bit: bit)
      return true
    }
  }

  /// Cuts a file at rest, in memory and on the device.
  /// - Returns: `false` where there is no such file or it is not longer.
  @discardableResult
  public func cut(_ path: FilePath, to size: UInt64) -> Bool {
    change(path) { node in
      guard size < node.present.size else { return false }
      node.present.resize(to: size)
      if node.durable.size > size { node.durable.resize(to: size) }
      return true
    }
  }

  /// Makes the sectors that hold these bytes unreadable (`EIO`) until each is written again.
  @discardableResult
  public func spoil(_ path: FilePath, _ range: Range<UInt64>) -> Bool {
    let unit = UInt64(profile.sectorBytes)
    return change(path) { node in
      guard !range.isEmpty, node.present.size > 0 else { return false }
      let end = min(range.upperBound, node.present.size)
      guard range.lowerBound < end else { return false }
      node.badSectors.formUnion(range.lowerBound / unit...(end - 1) / unit)
      return true
    }
  }

  /// The kernel drops clean pages: bytes that never reached the device are now seen to be missing.
  public func evict(_ path: FilePath) {
    core.withLock { core in
      if let number = core.file(path) { core.state.evict(number) }
    }
  }

  /// The kernel's own writeback of a file fails, outside any sync: the pending bytes are lost, and the next sync of every handle open
  /// now reports it once.
  public func failWriteback(_ path: FilePath) {
    core.withLock { core in
      if let number = core.file(path) { core.state.failWriteback(number) }
    }
  }

  private func change(_ path: FilePath, _ body: (inout DiskNode) -> Bool) -> Bool {
    core.withLock { core in
      guard let number = core.file(path), var node = core.state.nodes.removeValue(forKey: number) else { return false }
      defer { core.state.nodes[number] = node }
      return body(&node)
    }
  }

  // MARK: Faults and counts

  /// Adds a fault.
  public func inject(_ fault: DiskFault) { core.withLock { $0.faults.add(fault) } }

  /// Removes every fault that has not fired.
  public func removeFaults() { core.withLock { $0.faults.removeAll() } }

  /// How many calls were made, failed ones included.
  public var callCount: Int { core.withLock { $0.faults.calls } }

  /// How many calls of one operation were made. `size()` counts as `.status`, both reads as `.read`, both writes as `.write`.
  public func callCount(of operation: DiskOperation) -> Int { core.withLock { $0.faults.callsOf[operation, default: 0] } }

  /// Starts counting anew, so that the n-th call of what follows can be hit.
  public func resetCallCounts() { core.withLock { $0.faults.resetCounts() } }

  /// The device's size in bytes, or `nil` for one that never fills. Growth beyond it is `.noSpace`; removed files give their space back.
  /// Lengths are what counts, holes included.
  public var capacity: UInt64? {
    get { core.withLock { $0.capacity } }
    set { core.withLock { $0.capacity = newValue } }
  }

  /// Of how many in 256 calls `readIfCached` answers that the device would be needed, drawn from the random stream.
  public var uncachedReads: Int {
    get { core.withLock { $0.uncachedReads } }
    set { core.withLock { $0.uncachedReads = max(0, min(256, newValue)) } }
  }

  /// The process id a refused lock names.
  public var processID: Int32 {
    get { core.withLock { $0.processID } }
    set { core.withLock { $0.processID = newValue } }
  }
}

extension SimulatedFileSystem.Core {
  /// The file a path names, if it is one.
  func file(_ path: FilePath) -> NodeNumber? {
    guard let number = try? state.node(path, .status), state.nodes[number]?.isDirectory == false else { return nil }
    return number
  }
}

extension DiskState {
  func contents() -> [SimulatedFileSystem.Content] {
    var result: [SimulatedFileSystem.Content] = []
    func visit(_ number: NodeNumber, _ path: FilePath) {
      guard let node = nodes[number] else { return }
      guard node.isDirectory else {
        result.append(.init(path: path, bytes: node.present.bytes(at: 0, count: SimulatedFileSystem.inspectionLimit)))
        return
      }
      for name in node.names.keys.sorted(by: { $0.utf8.lexicographicallyPrecedes($1.utf8) }) {
        if let child = node.names[name] { visit(child, path.appending(name)) }
      }
    }
    visit(Self.root, "/")
    return result
  }

  /// Durably places a file.
  mutating func install(_ path: FilePath, _ bytes: [UInt8]) throws(DiskError) {
    let parent = path.parentDirectory
    if try status(parent) == nil { try installDirectory(parent) }
    let place = try self.place(path, .open)
    let number = occupant(place) ?? create(place, isDirectory: false, path: path, isDurable: true)
    guard nodes[number]?.isDirectory == false else { throw Self.failure(.isDirectory, .open, path) }
    nodes[place.directory]?.durableNames[place.name] = number
    _ = takePending { if case .data(number, _) = $0.kind { true } else { false } }
    var image = DiskImage()
    image.write(bytes, at: 0)
    nodes[number]?.present = image
    nodes[number]?.durable = image
    nodes[number]?.hasDiverged = false
  }

  private mutating func installDirectory(_ path: FilePath) throws(DiskError) {
    let parent = path.parentDirectory
    if parent != path, try status(parent) == nil { try installDirectory(parent) }
    let place = try self.place(path, .makeDirectory)
    guard occupant(place) == nil else { throw .exists(path) }
    _ = create(place, isDirectory: true, path: path, isDurable: true)
  }
}
