import StrataNodes

/// What a power loss leaves of one pending operation.
public enum Survival: Sendable, Hashable {
  /// All of it.
  case kept
  /// Nothing.
  case lost
  /// The first bytes of a write; the file grows no further than they reach.
  case prefix(bytes: Int)
  /// The sectors of a write whose flag is set, counted from the sector of its first byte; the file grows over the whole write.
  case sectors([Bool])
  /// The growth of a write without its bytes: they read as zero, or as stale bytes drawn from `stale`.
  case grown(stale: UInt64?)
}

/// An operation that no sync has covered, as shown to tests that choose a power loss themselves.
public struct PendingOperation: Sendable, Hashable, CustomStringConvertible {
  /// What kind of operation it is.
  public enum Kind: Sendable, Hashable {
    /// Bytes written at an offset.
    case write(offset: UInt64, count: Int)
    /// The file's length set, shorter or longer.
    case truncate(size: UInt64)
    /// The file made longer by an allocation.
    case grow(size: UInt64)
    /// A barrier: what was pending before survives before what follows.
    case barrier
    case create, remove, rename
  }
  /// The path the operation used.
  public let path: String
  /// What it did.
  public let kind: Kind

  public var description: String {
    switch kind {
    case .write(let offset, let count): "write \(count) bytes at \(offset) of \(path)"
    case .truncate(let size): "truncate \(path) to \(size)"
    case .grow(let size): "grow \(path) to \(size)"
    case .barrier: "barrier on \(path)"
    case .create: "create \(path)"
    case .remove: "remove \(path)"
    case .rename: "rename to \(path)"
    }
  }
}

/// How a power loss treats everything that was not synced.
public enum PowerLoss: Sendable, Hashable {
  /// None of it survives.
  case nothingKept
  /// All of it survives.
  case everythingKept
  /// A legal subset, torn and reordered as the profile allows, drawn from the file system's random stream.
  case random
  /// One choice per pending operation, in their order; choices the profile forbids are corrected to the nearest legal ones
  /// (see ``SimulatedFileSystem/pendingOperations``). Missing choices mean `.lost`.
  case explicit([Survival])
}

// What a power loss may leave, and the state it leaves.
extension DiskState {
  /// The state after power came back, given what survives of each pending change. Corrects the choice to a legal one first.
  func afterPowerLoss(_ choice: [Survival]) -> DiskState {
    var next = self
    next.pending = []
    next.resetPendingBytes()
    let legal = legalised(choice)
    for (change, survival) in zip(pending, legal) { next.survive(change, survival) }
    for number in next.nodes.keys {
      guard var node = next.nodes.removeValue(forKey: number) else { continue }
      node.present = node.durable
      node.names = node.durableNames
      node.hasDiverged = false
      node.failures = 0
      next.nodes[number] = node
    }
    next.collectAfterPowerLoss()
    return next
  }

  private mutating func survive(_ change: PendingChange, _ survival: Survival) {
    guard case .data(let number, .write(let offset, let bytes)) = change.kind else {
      if survival != .lost { commit(change) }
      return
    }
    guard var image = nodes[number]?.durable else { return }
    nodes[number]?.durable = DiskImage()
    switch survival {
    case .kept: image.write(bytes, at: offset)
    case .lost: break
    case .prefix(let count): bytes.withUnsafeBytes { image.write(UnsafeRawBufferPointer(rebasing: $0[..<min(count, $0.count)]), at: offset) }
    case .grown(let stale):
      let end = offset + UInt64(bytes.count)
      let first = max(image.size, offset)
      if let stale, first < end {
        var random = Random(seed: stale)
        image.write(random.bytes(Int(end - first)), at: first)
      }
      image.grow(to: end)
    case .sectors(let flags):
      let unit = UInt64(profile.sectorBytes)
      let firstSector = offset / unit
      let end = offset + UInt64(bytes.count)
      for (index, isKept) in flags.enumerated() where isKept {
        let from = max(offset, (firstSector + UInt64(index)) * unit)
        let to = min(end, (firstSector + UInt64(index) + 1) * unit)
        guard from < to else { continue }
        bytes.withUnsafeBytes { image.write(UnsafeRawBufferPointer(rebasing: $0[Int(from - offset)..<Int(to - offset)]), at: from) }
      }
      if flags.contains(true) { image.grow(to: end) }
    }
    nodes[number]?.durable = image
  }

  private mutating func resetPendingBytes() { _ = takePending { _ in true } }

  private mutating func collectAfterPowerLoss() {
    var reachable: Set<NodeNumber> = [Self.root]
    var frontier = [Self.root]
    while let number = frontier.popLast() {
      for next in nodes[number]?.names.values.map({ $0 }) ?? [] where reachable.insert(next).inserted { frontier.append(next) }
    }
    if reachable.count < nodes.count { nodes = nodes.filter { reachable.contains($0.key) } }
  }

  // MARK: Legality

  /// The nearest choice that the profile allows.
  func legalised(_ choice: [Survival]) -> [Survival] {
    var legal = choice
    if legal.count < pending.count { legal += Array(repeating: .lost, count: pending.count - legal.count) }
    for index in pending.indices { legal[index] = legalised(legal[index], of: pending[index]) }
    if profile.nameOrder == .journalled { keepNamePrefix(&legal) }
    if profile.renameWritesData { keepRenamedData(&legal) }
    keepBarriers(&legal)
    return legal
  }

  private func legalised(_ survival: Survival, of change: PendingChange) -> Survival {
    guard case .data(_, .write(let offset, let bytes)) = change.kind else { return survival == .lost ? .lost : .kept }
    switch survival {
    case .kept, .lost: return survival
    case .prefix(let count):
      if count <= 0 { return .lost }
      if count >= bytes.count { return .kept }
      switch profile.tear {
      case .none: return .lost
      case .byte: return survival
      case .sector:
        let unit = profile.sectorBytes
        let lead = Int(offset % UInt64(unit))
        let whole = (lead + count) / unit * unit - lead
        return whole <= 0 ? .lost : .prefix(bytes: whole)
      }
    case .sectors(let flags):
      if !flags.contains(true) { return .lost }
      if !flags.contains(false), flags.count >= sectorCount(offset, bytes.count) { return .kept }
      if profile.tear == .none { return .lost }
      if profile.growsWithoutData { return survival }
      // Length follows data: what survives is the run of sectors from the first.
      let run = flags.prefix { $0 }.count
      return legalised(.prefix(bytes: run * profile.sectorBytes - Int(offset % UInt64(profile.sectorBytes))), of: change)
    case .grown(let stale):
      if !profile.growsWithoutData { return .lost }
      return stale != nil && !profile.exposesStaleBytes ? .grown(stale: nil) : survival
    }
  }

  func sectorCount(_ offset: UInt64, _ count: Int) -> Int {
    let unit = UInt64(profile.sectorBytes)
    return count == 0 ? 0 : Int((offset + UInt64(count) - 1) / unit - offset / unit) + 1
  }

  private func keepNamePrefix(_ choice: inout [Survival]) {
    var isCut = false
    for index in pending.indices where pending[index].isName {
      if isCut { choice[index] = .lost } else if choice[index] == .lost { isCut = true }
    }
  }

  private func keepRenamedData(_ choice: inout [Survival]) {
    for index in pending.indices where choice[index] != .lost {
      guard case .name(.move(_, _, let node, true)) = pending[index].kind else { continue }
      for earlier in 0..<index {
        if case .data(node, _) = pending[earlier].kind { choice[earlier] = .kept }
      }
    }
  }

  private func keepBarriers(_ choice: inout [Survival]) {
    for barrier in pending.indices {
      guard case .data(let node, .barrier) = pending[barrier].kind else { continue }
      func isOfFile(_ index: Int) -> Bool { if case .data(node, _) = pending[index].kind { true } else { false } }
      guard (barrier + 1..<pending.count).contains(where: { isOfFile($0) && choice[$0] != .lost }) else { continue }
      for earlier in 0..<barrier where isOfFile(earlier) { choice[earlier] = .kept }
    }
  }

  /// A random legal choice.
  func randomChoice(_ random: inout Random) -> [Survival] {
    // How much survives varies from loss to loss, so that nearly-all and nearly-none are both common.
    let kept = [1, 4, 7][random.below(3)]
    let choice = pending.map { change -> Survival in
      if case .data(_, .write(let offset, let bytes)) = change.kind, random.chance(1, in: 4) {
        switch random.below(4) {
        case 0: return .prefix(bytes: random.below(bytes.count + 1))
        case 1: return .sectors((0..<sectorCount(offset, bytes.count)).map { _ in random.chance(1, in: 2) })
        case 2: return .grown(stale: nil)
        default: return .grown(stale: random.next())
        }
      }
      return random.chance(kept, in: 8) ? .kept : .lost
    }
    return legalised(choice)
  }

  /// The pending changes as tests see them.
  var pendingOperations: [PendingOperation] {
    pending.map { change in
      let kind: PendingOperation.Kind =
        switch change.kind {
        case .data(_, .write(let offset, let bytes)): .write(offset: offset, count: bytes.count)
        case .data(_, .truncate(let size)): .truncate(size: size)
        case .data(_, .grow(let size)): .grow(size: size)
        case .data(_, .barrier): .barrier
        case .name(.add): .create
        case .name(.remove): .remove
        case .name(.move): .rename
        }
      return PendingOperation(path: change.path.string, kind: kind)
    }
  }

  /// A fingerprint of everything a program could see: the tree of names and the bytes of every file.
  var fingerprint: Fingerprint {
    var hash = Fingerprint()
    // Nodes are numbered by first visit, so that hard links count and node numbers do not.
    var visited: [NodeNumber: UInt64] = [:]
    combine(Self.root, into: &hash, &visited)
    return hash
  }

  private func combine(_ number: NodeNumber, into hash: inout Fingerprint, _ visited: inout [NodeNumber: UInt64]) {
    if let first = visited[number] { return hash.combine(first) }
    visited[number] = UInt64(visited.count)
    guard let node = nodes[number] else { return }
    guard node.isDirectory else { return node.present.combine(into: &hash) }
    hash.combine(UInt64(node.names.count))
    for name in node.names.keys.sorted() {
      hash.combine(name)
      if let child = node.names[name] { combine(child, into: &hash, &visited) }
    }
  }
}
