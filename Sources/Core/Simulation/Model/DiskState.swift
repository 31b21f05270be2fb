import StrataDisk
import SystemPackage

/// Number of a file or directory in a ``DiskState``.
typealias NodeNumber = Int

/// A change to a file's bytes that no sync has covered.
enum DataChange: Sendable, Hashable {
  case write(offset: UInt64, bytes: [UInt8])
  case truncate(size: UInt64)
  case grow(size: UInt64)
  /// Nothing after it may survive without everything before it (``SyncLevel/barrier``).
  case barrier
}

/// A change to names that no directory sync has covered.
enum NameChange: Sendable, Hashable {
  case add(directory: NodeNumber, name: String, node: NodeNumber)
  case remove(directory: NodeNumber, name: String, node: NodeNumber)
  case move(from: NamePlace, to: NamePlace, node: NodeNumber, replaces: Bool)
}

/// A name in a directory.
struct NamePlace: Sendable, Hashable {
  var directory: NodeNumber
  var name: String
}

/// An operation that a power loss may undo, in whole or in part.
struct PendingChange: Sendable {
  enum Kind: Sendable {
    case data(NodeNumber, DataChange)
    case name(NameChange)
  }
  /// Position in the order in which operations were done.
  var sequence: UInt64
  var kind: Kind
  /// The path the operation used, for reports.
  var path: FilePath
}

/// A file or a directory.
struct DiskNode: Sendable {
  let isDirectory: Bool
  /// What reads see, and what survives power loss.
  var present = DiskImage()
  var durable = DiskImage()
  /// Whether applying the pending changes to `durable` would give something other than `present` (failed sync, lost write).
  var hasDiverged = false
  /// Sectors that cannot be read until they are written again.
  var badSectors: Set<UInt64> = []
  /// How many failed writebacks there were; a handle reports those it has not seen.
  var failures = 0
  /// A directory's names, and those that survive power loss.
  var names: [String: NodeNumber] = [:]
  var durableNames: [String: NodeNumber] = [:]
}

/// A simulated device and the page cache above it, as a value: a copy is a snapshot.
///
/// `present` is what a running program sees. `durable` plus `pending`, a list in the order of the calls, is what a power loss chooses
/// from. Sectors are power-safe: bytes outside a written range never change.
struct DiskState: Sendable {
  static let root: NodeNumber = 0
  static let nameLimit = 255
  static let pathLimit = 4096

  var profile: DiskProfile
  var nodes: [NodeNumber: DiskNode] = [root: DiskNode(isDirectory: true)]
  var pending: [PendingChange] = []
  private(set) var pendingBytes = 0
  private(set) var sequence: UInt64 = 0
  private var nextNode: NodeNumber = 1
  /// Beyond this many un-synced bytes the oldest changes are written back, as a kernel would.
  var writebackBytes = 64 << 20
  private var collectAt = 256

  init(profile: DiskProfile) { self.profile = profile }

  // MARK: Names to nodes

  /// The node a path names.
  func node(_ path: FilePath, _ operation: DiskOperation) throws(DiskError) -> NodeNumber {
    try walk(try Self.components(path, operation)[...], path, operation)
  }

  /// The directory and name a path would occupy, whether or not something is there. The parent exists and is a directory.
  func place(_ path: FilePath, _ operation: DiskOperation) throws(DiskError) -> NamePlace {
    let components = try Self.components(path, operation)
    guard let last = components.last, last != ".", last != ".." else { throw Self.failure(.resourceBusy, operation, path) }
    let directory = try walk(components.dropLast(), path, operation)
    guard nodes[directory]?.isDirectory == true else { throw Self.failure(.notDirectory, operation, path) }
    guard last.utf8.count <= Self.nameLimit else { throw Self.failure(.fileNameTooLong, operation, path) }
    return NamePlace(directory: directory, name: last)
  }

  /// Splits here rather than by `FilePath`, whose component view checks its invariants at every step.
  private static func components(_ path: FilePath, _ operation: DiskOperation) throws(DiskError) -> [String] {
    let text = path.string
    guard !text.isEmpty else { throw .notFound(path) }
    guard text.utf8.count < pathLimit else { throw failure(.fileNameTooLong, operation, path) }
    return text.split(separator: "/").map { String($0) }
  }

  private func walk(_ components: ArraySlice<String>, _ path: FilePath, _ operation: DiskOperation) throws(DiskError) -> NodeNumber {
    var trail: [NodeNumber] = [Self.root]
    for name in components {
      let here = trail[trail.count - 1]
      guard nodes[here]?.isDirectory == true else { throw Self.failure(.notDirectory, operation, path) }
      if name == "." { continue }
      if name == ".." {
        if trail.count > 1 { trail.removeLast() }
        continue
      }
      guard name.utf8.count <= Self.nameLimit else { throw Self.failure(.fileNameTooLong, operation, path) }
      guard let next = nodes[here]?.names[name] else { throw .notFound(path) }
      trail.append(next)
    }
    return trail[trail.count - 1]
  }

  /// The node at a place, if any.
  func occupant(_ place: NamePlace) -> NodeNumber? { nodes[place.directory]?.names[place.name] }

  static func failure(_ code: Errno, _ operation: DiskOperation, _ path: FilePath, at offset: UInt64? = nil) -> DiskError {
    .io(errno: code.rawValue, operation: operation, path: path, offset: offset)
  }

  // MARK: Changes

  /// Appends a change to the pending list, or makes it durable at once under a write-through profile.
  private mutating func record(_ kind: PendingChange.Kind, _ path: FilePath) {
    sequence += 1
    let change = PendingChange(sequence: sequence, kind: kind, path: path)
    if profile.isWriteThrough { return commit(change) }
    if case .data(_, .write(_, let bytes)) = kind { pendingBytes += bytes.count }
    pending.append(change)
    if pendingBytes > writebackBytes { writeBackOldest() }
  }

  private mutating func writeBackOldest() {
    var count = 0
    while pendingBytes > writebackBytes / 2, count < pending.count {
      if case .data(_, .write(_, let bytes)) = pending[count].kind { pendingBytes -= bytes.count }
      commit(pending[count])
      count += 1
    }
    pending.removeSubrange(..<count)
  }

  /// Removes the pending changes that the predicate selects and returns them in order.
  mutating func takePending(where isTaken: (PendingChange) -> Bool) -> [PendingChange] {
    var taken: [PendingChange] = []
    pending.removeAll {
      guard isTaken($0) else { return false }
      taken.append($0)
      return true
    }
    for change in taken {
      if case .data(_, .write(_, let bytes)) = change.kind { pendingBytes -= bytes.count }
    }
    return taken
  }

  /// A new node without a name.
  private mutating func makeNode(isDirectory: Bool) -> NodeNumber {
    let number = nextNode
    nextNode += 1
    nodes[number] = DiskNode(isDirectory: isDirectory)
    return number
  }

  /// Creates a file or directory. With `isDurable` the name survives power loss at once (lock files, whose presence means nothing).
  mutating func create(_ place: NamePlace, isDirectory: Bool, path: FilePath, isDurable: Bool = false) -> NodeNumber {
    let number = makeNode(isDirectory: isDirectory)
    nodes[place.directory]?.names[place.name] = number
    if isDurable {
      nodes[place.directory]?.durableNames[place.name] = number
    } else {
      record(.name(.add(directory: place.directory, name: place.name, node: number)), path)
    }
    return number
  }

  mutating func addLink(_ place: NamePlace, to number: NodeNumber, path: FilePath) {
    nodes[place.directory]?.names[place.name] = number
    record(.name(.add(directory: place.directory, name: place.name, node: number)), path)
  }

  mutating func removeName(_ place: NamePlace, path: FilePath) {
    guard let number = occupant(place) else { return }
    nodes[place.directory]?.names[place.name] = nil
    record(.name(.remove(directory: place.directory, name: place.name, node: number)), path)
  }

  mutating func move(_ source: NamePlace, to target: NamePlace, path: FilePath) {
    guard let number = occupant(source) else { return }
    let replaces = occupant(target) != nil
    nodes[source.directory]?.names[source.name] = nil
    nodes[target.directory]?.names[target.name] = number
    record(.name(.move(from: source, to: target, node: number, replaces: replaces)), path)
  }

  mutating func write(_ bytes: [UInt8], at offset: UInt64, to number: NodeNumber, path: FilePath) {
    guard !bytes.isEmpty else { return }
    nodes[number]?.present.write(bytes, at: offset)
    if let bad = nodes[number]?.badSectors, !bad.isEmpty {
      let unit = UInt64(profile.sectorBytes)
      nodes[number]?.badSectors = bad.filter { $0 < offset / unit || $0 > (offset + UInt64(bytes.count) - 1) / unit }
    }
    record(.data(number, .write(offset: offset, bytes: bytes)), path)
  }

  mutating func truncate(_ number: NodeNumber, to size: UInt64, path: FilePath) {
    nodes[number]?.present.resize(to: size)
    record(.data(number, .truncate(size: size)), path)
  }

  mutating func grow(_ number: NodeNumber, to size: UInt64, path: FilePath) {
    guard let present = nodes[number]?.present, present.size < size else { return }
    nodes[number]?.present.grow(to: size)
    record(.data(number, .grow(size: size)), path)
  }

  mutating func placeBarrier(_ number: NodeNumber, path: FilePath) {
    record(.data(number, .barrier), path)
  }

  /// Stores bytes that reads see but no device ever receives.
  mutating func loseWrite(_ bytes: [UInt8], at offset: UInt64, to number: NodeNumber) {
    nodes[number]?.present.write(bytes, at: offset)
    nodes[number]?.hasDiverged = true
  }

  /// Stores bytes where reads see them, and sends them to another place of the device.
  mutating func misdirectWrite(_ bytes: [UInt8], at offset: UInt64, deviceOffset: UInt64, to number: NodeNumber, path: FilePath) {
    loseWrite(bytes, at: offset, to: number)
    record(.data(number, .write(offset: deviceOffset, bytes: bytes)), path)
  }

  /// Forgets nodes that nothing can reach again, now and then; `open` are those held by handles.
  mutating func collect(open: Set<NodeNumber>) {
    guard nodes.count > collectAt else { return }
    var reachable: Set<NodeNumber> = open
    reachable.insert(Self.root)
    for change in pending {
      switch change.kind {
      case .data: continue
      case .name(.add(_, _, let node)), .name(.remove(_, _, let node)), .name(.move(_, _, let node, _)): reachable.insert(node)
      }
    }
    var frontier = Array(reachable)
    while let number = frontier.popLast() {
      guard let node = nodes[number] else { continue }
      for next in Array(node.names.values) + Array(node.durableNames.values) where reachable.insert(next).inserted { frontier.append(next) }
    }
    nodes = nodes.filter { reachable.contains($0.key) }
    _ = takePending { if case .data(let number, _) = $0.kind { !reachable.contains(number) } else { false } }
    collectAt = nodes.count * 2 + 256
  }
}
