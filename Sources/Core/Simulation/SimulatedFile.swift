import StrataDisk
import SystemPackage

/// A handle on a file of a ``SimulatedFileSystem``.
final class SimulatedFile: File {
  let path: FilePath
  private let handle: Int
  private let fileSystem: SimulatedFileSystem

  init(path: FilePath, handle: Int, fileSystem: SimulatedFileSystem) {
    self.path = path
    self.handle = handle
    self.fileSystem = fileSystem
  }

  deinit { release() }

  func size() throws(DiskError) -> UInt64 {
    try call(.status) { (core, node, _) throws(DiskError) -> UInt64 in core.state.nodes[node]?.present.size ?? 0 }
  }

  func read(at offset: UInt64, into buffer: inout OutputRawSpan) throws(DiskError) {
    guard buffer.freeCapacity > 0 else { return }
    let wanted = buffer.freeCapacity
    let image = try call(.read) { (core, node, _) throws(DiskError) -> DiskImage in
      try core.readableImage(node, self.path, at: offset, count: wanted)
    }
    Self.copy(image, at: offset, into: &buffer)
  }

  func readIfCached(at offset: UInt64, into buffer: inout OutputRawSpan) throws(DiskError) -> Bool {
    guard buffer.freeCapacity > 0 else { return true }
    let wanted = buffer.freeCapacity
    let image = try call(.read) { (core, node, _) throws(DiskError) -> DiskImage? in
      let image = try core.readableImage(node, self.path, at: offset, count: wanted)
      if core.uncachedReads > 0, core.random.chance(core.uncachedReads, in: 256) { return nil }
      // A part only, at the end of the file: left to the blocking read, as the operating system's call does.
      return offset < image.size && image.size - offset >= UInt64(wanted) ? image : nil
    }
    guard let image else { return false }
    Self.copy(image, at: offset, into: &buffer)
    return true
  }

  private static func copy(_ image: DiskImage, at offset: UInt64, into buffer: inout OutputRawSpan) {
    buffer.withUnsafeMutableBytes { storage, initialized in
      initialized += image.read(at: offset, into: UnsafeMutableRawBufferPointer(rebasing: storage[initialized...]))
    }
  }

  func write(_ bytes: RawSpan, at offset: UInt64) throws(DiskError) {
    try write(owned: bytes.withUnsafeBytes { [UInt8]($0) }, at: offset)
  }

  func writeVectored(_ pieces: [[UInt8]], at offset: UInt64) throws(DiskError) {
    try write(owned: Array(pieces.joined()), at: offset)
  }

  private func write(owned bytes: [UInt8], at offset: UInt64) throws(DiskError) {
    try call(.write, isChange: true) { (core, node, effect) throws(DiskError) in
      try core.write(bytes, at: offset, to: node, path: self.path, effect)
    }
  }

  func window(_ range: Range<UInt64>) throws(DiskError) -> (any FileWindow)? { try WrittenWindow(self, range) }

  func truncate(to size: UInt64) throws(DiskError) {
    try call(.truncate, isChange: true) { (core, node, _) throws(DiskError) in
      guard size <= UInt64(Int64.max) else { throw DiskState.failure(.invalidArgument, .truncate, self.path, at: size) }
      let present = core.state.nodes[node]?.present.size ?? 0
      if size > present, size - present > core.freeBytesIfLimited { throw .noSpace(self.path, operation: .truncate) }
      core.state.truncate(node, to: size, path: self.path)
    }
  }

  func allocate(_ range: Range<UInt64>) throws(DiskError) {
    try call(.allocate, isChange: true) { (core, node, _) throws(DiskError) in
      guard !range.isEmpty else { return }
      guard range.upperBound <= UInt64(Int64.max) else {
        throw DiskState.failure(.invalidArgument, .allocate, self.path, at: range.lowerBound)
      }
      let present = core.state.nodes[node]?.present.size ?? 0
      if range.upperBound > present, range.upperBound - present > core.freeBytesIfLimited {
        throw .noSpace(self.path, operation: .allocate)
      }
      core.state.grow(node, to: range.upperBound, path: self.path)
    }
  }

  func sync(_ level: SyncLevel) throws(DiskError) {
    try call(.sync, isPoisonable: true) { (core, node, effect) throws(DiskError) in
      let failure: DiskError
      switch effect {
      case .lostSync: return
      case .io, .ioAfter: failure = DiskState.failure(.ioError, .sync, self.path)
      case .noSpace, .noSpaceAfter: failure = .noSpace(self.path, operation: .sync)
      default:
        if level == .barrier { core.state.placeBarrier(node, path: self.path) } else { core.state.sync(node) }
        // An earlier writeback failed: each handle that was open then says so once.
        guard let failures = core.state.nodes[node]?.failures, core.handles[self.handle]?.seenFailures != failures else { return }
        let late = DiskState.failure(.ioError, .sync, self.path)
        core.handles[self.handle]?.poison = late
        throw late
      }
      core.state.failWriteback(node)
      core.handles[self.handle]?.poison = failure
      throw failure
    }
  }

  func close() throws(DiskError) {
    let isOpen = fileSystem.core.withLock { $0.handles[self.handle] != nil }
    guard isOpen else { return }
    defer { release() }
    try fileSystem.call(.close, path) { (_, _) throws(DiskError) in }
  }

  private func release() {
    fileSystem.core.withLock { core in
      if core.handles.removeValue(forKey: handle) != nil { core.collect() }
    }
  }

  /// Runs a call on the handle's node; changes need a writable handle, and a poisoned one refuses changes and syncs.
  @discardableResult
  private func call<Result: Sendable>(
    _ operation: DiskOperation, isChange: Bool = false, isPoisonable: Bool = false,
    _ body: (inout SimulatedFileSystem.Core, NodeNumber, DiskFault.Effect?) throws(DiskError) -> Result
  ) throws(DiskError) -> Result {
    try fileSystem.core.withLock { (core) throws(DiskError) -> Result in
      if core.isCrashed { throw .crashed(path) }
      guard let open = core.handles[handle] else { throw .closed(path) }
      if isChange || isPoisonable, let first = open.poison { throw .poisoned(first: first) }
      if isChange, !open.isWritable { throw .readOnly(path) }
      let effect = try core.enter(operation, path)
      return try body(&core, open.node, effect)
    }
  }
}

extension SimulatedFileSystem.Core {
  var freeBytesIfLimited: UInt64 { capacity == nil ? .max : freeBytes }

  /// The bytes reads see, when none of those asked for lies in a sector that cannot be read.
  func readableImage(_ number: NodeNumber, _ path: FilePath, at offset: UInt64, count: Int) throws(DiskError) -> DiskImage {
    guard let node = state.nodes[number] else { throw .closed(path) }
    guard offset <= UInt64(Int64.max) - UInt64(count) else { throw DiskState.failure(.invalidArgument, .read, path, at: offset) }
    if !node.badSectors.isEmpty, offset < node.present.size {
      let unit = UInt64(state.profile.sectorBytes)
      let end = offset + min(UInt64(count), node.present.size - offset)
      for sector in offset / unit...(end - 1) / unit where node.badSectors.contains(sector) {
        throw DiskState.failure(.ioError, .read, path, at: max(offset, sector * unit))
      }
    }
    return node.present
  }

  mutating func write(
    _ bytes: [UInt8], at offset: UInt64, to number: NodeNumber, path: FilePath, _ effect: DiskFault.Effect?
  ) throws(DiskError) {
    guard !bytes.isEmpty else { return }
    guard offset <= UInt64(Int64.max) - UInt64(bytes.count) else {
      throw DiskState.failure(.invalidArgument, .write, path, at: offset)
    }
    func transfer(_ count: Int) { state.write(Array(bytes.prefix(max(0, count))), at: offset, to: number, path: path) }
    switch effect {
    case .io: throw DiskState.failure(.ioError, .write, path, at: offset)
    case .noSpace: throw .noSpace(path, operation: .write)
    case .ioAfter(let count):
      transfer(count)
      throw DiskState.failure(.ioError, .write, path, at: offset + UInt64(max(0, min(count, bytes.count))))
    case .noSpaceAfter(let count):
      transfer(count)
      throw .noSpace(path, operation: .write)
    case .lostWrite: return state.loseWrite(bytes, at: offset, to: number)
    case .misdirectedWrite(let other):
      guard other <= UInt64(Int64.max) - UInt64(bytes.count) else { return state.loseWrite(bytes, at: offset, to: number) }
      return state.misdirectWrite(bytes, at: offset, deviceOffset: other, to: number, path: path)
    case .lostSync, .crash, nil: break
    }
    let present = state.nodes[number]?.present.size ?? 0
    let end = offset + UInt64(bytes.count)
    let free = freeBytesIfLimited
    if end > present, end - present > free {
      let limit = present + free
      transfer(limit > offset ? Int(limit - offset) : 0)
      throw .noSpace(path, operation: .write)
    }
    state.write(bytes, at: offset, to: number, path: path)
  }
}
