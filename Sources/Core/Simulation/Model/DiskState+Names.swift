import StrataDisk
import SystemPackage

// The namespace calls, with the refusals of Linux.
extension DiskState {
  /// The file at a path, created when missing.
  mutating func openCreating(_ path: FilePath, isExclusive: Bool) throws(DiskError) -> NodeNumber {
    let place: NamePlace
    do { place = try self.place(path, .open) } catch {
      // The root has no place but does exist.
      if case .io(Errno.resourceBusy.rawValue, _, _, _) = error {
        throw isExclusive ? .exists(path) : Self.failure(.isDirectory, .open, path)
      }
      throw error
    }
    if let number = occupant(place) {
      if isExclusive { throw .exists(path) }
      return number
    }
    return create(place, isDirectory: false, path: path)
  }

  mutating func rename(_ source: FilePath, to target: FilePath, replacing: Bool) throws(DiskError) {
    // Errors name the source, as the operating system's single result for both paths does.
    let from: NamePlace
    let to: NamePlace
    do {
      from = try place(source, .rename)
      to = try place(target, .rename)
    } catch { throw error.renamed(source) }
    guard let number = occupant(from) else { throw .notFound(source) }
    if let victim = occupant(to) {
      guard replacing else { throw .exists(target) }
      if victim == number { return }
      let isDirectory = nodes[number]?.isDirectory == true
      if isDirectory, isInside(to.directory, number) { throw Self.failure(.invalidArgument, .rename, source) }
      switch (isDirectory, nodes[victim]?.isDirectory == true) {
      case (true, false): throw Self.failure(.notDirectory, .rename, source)
      case (false, true): throw Self.failure(.isDirectory, .rename, source)
      case (true, true) where nodes[victim]?.names.isEmpty == false: throw Self.failure(.directoryNotEmpty, .rename, source)
      default: break
      }
    } else if nodes[number]?.isDirectory == true, isInside(to.directory, number) {
      throw Self.failure(.invalidArgument, .rename, source)
    }
    move(from, to: to, path: target)
  }

  private func isInside(_ inner: NodeNumber, _ outer: NodeNumber) -> Bool {
    var frontier = [outer]
    while let number = frontier.popLast() {
      if number == inner { return true }
      if let node = nodes[number] { frontier += node.names.values }
    }
    return false
  }

  mutating func link(_ existing: FilePath, to target: FilePath) throws(DiskError) {
    let number: NodeNumber
    let place: NamePlace
    do {
      number = try node(existing, .link)
      place = try self.place(target, .link)
    } catch { throw error.renamed(existing) }
    guard occupant(place) == nil else { throw .exists(target) }
    guard nodes[number]?.isDirectory == false else { throw .readOnly(existing) }
    addLink(place, to: number, path: target)
  }

  mutating func remove(_ path: FilePath) throws(DiskError) {
    let place = try self.place(path, .remove)
    guard let number = occupant(place) else { throw .notFound(path) }
    guard nodes[number]?.isDirectory == false else { throw Self.failure(.isDirectory, .remove, path) }
    removeName(place, path: path)
  }

  mutating func makeDirectory(_ path: FilePath) throws(DiskError) {
    let place: NamePlace
    do { place = try self.place(path, .makeDirectory) } catch {
      if case .io(Errno.resourceBusy.rawValue, _, _, _) = error { throw .exists(path) }
      throw error
    }
    guard occupant(place) == nil else { throw .exists(path) }
    _ = create(place, isDirectory: true, path: path)
  }

  mutating func removeDirectory(_ path: FilePath) throws(DiskError) {
    let place = try self.place(path, .removeDirectory)
    guard let number = occupant(place), let node = nodes[number] else { throw .notFound(path) }
    guard node.isDirectory else { throw Self.failure(.notDirectory, .removeDirectory, path) }
    guard node.names.isEmpty else { throw Self.failure(.directoryNotEmpty, .removeDirectory, path) }
    removeName(place, path: path)
  }

  func list(_ directory: FilePath) throws(DiskError) -> [String] {
    let number = try node(directory, .list)
    guard let node = nodes[number], node.isDirectory else { throw Self.failure(.notDirectory, .list, directory) }
    return node.names.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  func status(_ path: FilePath) throws(DiskError) -> FileStatus? {
    do {
      let number = try node(path, .status)
      guard let node = nodes[number] else { return nil }
      return FileStatus(size: node.present.size, isDirectory: node.isDirectory)
    } catch {
      switch error {
      case .notFound, .io(Errno.notDirectory.rawValue, _, _, _): return nil
      default: throw error
      }
    }
  }
}

extension DiskError {
  /// The same refusal about another path.
  func renamed(_ path: FilePath) -> DiskError {
    switch self {
    case .notFound: .notFound(path)
    case .io(let code, let operation, _, let offset): .io(errno: code, operation: operation, path: path, offset: offset)
    default: self
    }
  }
}
