import StrataDisk
import SystemPackage

// What syncs and their failures do.
extension DiskState {
  /// Makes one change durable.
  mutating func commit(_ change: PendingChange) {
    switch change.kind {
    case .data(let number, let data): Self.apply(data, to: &nodes[number, default: DiskNode(isDirectory: false)].durable)
    case .name(let name): applyDurably(name)
    }
  }

  static func apply(_ change: DataChange, to image: inout DiskImage) {
    switch change {
    case .write(let offset, let bytes): image.write(bytes, at: offset)
    case .truncate(let size): image.resize(to: size)
    case .grow(let size): image.grow(to: size)
    case .barrier: break
    }
  }

  /// Applies a name change to the durable names. Each part checks that it still concerns the same node, because a power loss may have
  /// dropped an earlier change.
  mutating func applyDurably(_ change: NameChange) {
    switch change {
    case .add(let directory, let name, let node):
      nodes[directory]?.durableNames[name] = node
    case .remove(let directory, let name, let node):
      if nodes[directory]?.durableNames[name] == node { nodes[directory]?.durableNames[name] = nil }
    case .move(let source, let target, let node, _):
      // A directory that would end below itself, because an earlier move was lost, stays where it was.
      if isDurably(target.directory, inside: node) { return }
      if nodes[source.directory]?.durableNames[source.name] == node { nodes[source.directory]?.durableNames[source.name] = nil }
      nodes[target.directory]?.durableNames[target.name] = node
    }
  }

  private func isDurably(_ inner: NodeNumber, inside outer: NodeNumber) -> Bool {
    guard nodes[outer]?.isDirectory == true else { return false }
    var seen: Set<NodeNumber> = [outer]
    var frontier = [outer]
    while let number = frontier.popLast() {
      if number == inner { return true }
      for next in nodes[number]?.durableNames.values.map({ $0 }) ?? [] where seen.insert(next).inserted { frontier.append(next) }
    }
    return false
  }

  /// Makes durable the changes of a file made up to `boundary`, and the names that the profile commits with it.
  mutating func sync(_ number: NodeNumber, upTo boundary: UInt64 = .max) {
    let taken = takePending {
      guard $0.sequence <= boundary, case .data(number, _) = $0.kind else { return false }
      return true
    }
    // A barrier or later change that stays pending keeps its order: everything taken precedes it.
    let isSimple = !taken.contains { if case .data(_, .truncate) = $0.kind { true } else { false } }
    if let node = nodes[number], isSimple, !node.hasDiverged, boundary == .max {
      for change in taken {
        switch change.kind {
        case .data(_, .write(let offset, let bytes)):
          nodes[number]?.durable.adopt(offset..<offset + UInt64(bytes.count), from: node.present)
        case .data, .name: break
        }
      }
      nodes[number]?.durable.grow(to: node.present.size)
    } else {
      for change in taken { commit(change) }
    }
    switch profile.nameCommit {
    case .none: break
    case .all: for change in takePending(where: { $0.sequence <= boundary && $0.isName }) { commit(change) }
    case .own: commitNames(upTo: boundary) { $0.node == number }
    }
  }

  /// Makes durable every change of names in a directory made up to `boundary`.
  mutating func syncDirectory(_ number: NodeNumber, upTo boundary: UInt64 = .max) {
    if profile.nameCommit == .all {
      for change in takePending(where: { $0.sequence <= boundary && $0.isName }) { commit(change) }
    } else {
      commitNames(upTo: boundary) { $0.places.contains { $0.directory == number } }
    }
  }

  /// Commits the selected name changes and every earlier one that concerns a name they touch, so that a later power loss cannot
  /// replay an older change over a newer one.
  private mutating func commitNames(upTo boundary: UInt64, where isSelected: (NameChange) -> Bool) {
    var places: Set<NamePlace> = []
    var sequences: Set<UInt64> = []
    for change in pending.reversed() where change.sequence <= boundary {
      guard case .name(let name) = change.kind else { continue }
      guard isSelected(name) || name.places.contains(where: places.contains) else { continue }
      places.formUnion(name.places)
      sequences.insert(change.sequence)
    }
    for change in takePending(where: { sequences.contains($0.sequence) }) { commit(change) }
  }

  /// The device refused a file's pending bytes: they count as clean and are never written. Handles that were open learn of it once.
  mutating func failWriteback(_ number: NodeNumber) {
    let lost = takePending { if case .data(number, _) = $0.kind { true } else { false } }
    guard var node = nodes.removeValue(forKey: number) else { return }
    node.failures += 1
    switch profile.failedBytes {
    case .old:
      node.present = node.durable
      node.hasDiverged = false
    case .new:
      // The length is metadata and went through the journal; the bytes did not.
      node.durable.grow(to: node.present.size)
      if !lost.isEmpty { node.hasDiverged = true }
    }
    nodes[number] = node
  }

  /// Drops clean bytes from memory: reads see the device's, with the pending changes over them.
  mutating func evict(_ number: NodeNumber) {
    guard let node = nodes[number], node.hasDiverged else { return }
    var image = node.durable
    for change in pending {
      if case .data(number, let data) = change.kind { Self.apply(data, to: &image) }
    }
    nodes[number]?.present = image
    nodes[number]?.hasDiverged = false
  }
}

extension PendingChange {
  var isName: Bool { if case .name = kind { true } else { false } }
}

extension NameChange {
  var node: NodeNumber {
    switch self {
    case .add(_, _, let node), .remove(_, _, let node), .move(_, _, let node, _): node
    }
  }

  /// The names the change touches.
  var places: [NamePlace] {
    switch self {
    case .add(let directory, let name, _), .remove(let directory, let name, _): [NamePlace(directory: directory, name: name)]
    case .move(let source, let target, _, _): [source, target]
    }
  }
}
