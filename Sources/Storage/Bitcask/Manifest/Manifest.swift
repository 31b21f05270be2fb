import StrataBytes
import StrataDisk
import StrataJobs
import SystemPackage

/// The truth about which segments make up the store: an edit log in `MANIFEST-<n>`, named by `CURRENT`.
///
/// Every edit is durable on return. A failed one is final: what is on the device is then unknown, so every later edit is refused.
/// Safe from any thread; edits are one at a time.
final class Manifest: Sendable {
  struct State: Sendable {
    var store: StoreID
    var options: ManifestOptions
    var segments: [UInt32: SegmentFacts] = [:]
    var nextSegment: UInt32 = 1
    var nextSequence: UInt64 = 1

    mutating func apply(_ edit: ManifestEdit) {
      if let store = edit.store { self.store = store }
      if let options = edit.options { self.options = options }
      for facts in edit.added { segments[facts.id] = facts }
      for id in edit.removed { segments[id] = nil }
      if let next = edit.nextSegment { nextSegment = max(nextSegment, next) }
      if let next = edit.nextSequence { nextSequence = max(nextSequence, next) }
    }

    /// One edit that makes all of this from nothing.
    var snapshot: ManifestEdit {
      ManifestEdit(
        store: store, options: options, added: segments.values.sorted { $0.id < $1.id }, nextSegment: nextSegment, nextSequence: nextSequence)
    }
  }

  private struct Log {
    var state: State
    var file: any File
    var number: UInt32
    var offset: UInt64
    var snapshotBytes: UInt64
    var failure: DiskError?
  }

  /// Edits beyond this many bytes (and four times the snapshot's) are folded into a new file.
  private static let rewriteBytes: UInt64 = 1 << 20

  private let directory: FilePath
  private let fileSystem: any FileSystem
  private let log: Monitor<Log>

  /// Writes a new manifest file with `state`, makes it current and removes every other one.
  init(_ state: State, number: UInt32, in directory: FilePath, on fileSystem: any FileSystem) throws(DiskError) {
    self.directory = directory
    self.fileSystem = fileSystem
    let (file, end) = try Self.write(state, number, directory, fileSystem)
    log = Monitor(Log(state: state, file: file, number: number, offset: end, snapshotBytes: end))
  }

  deinit { log.withLock { try? $0.file.close() } }

  var state: State { log.withLock { $0.state } }

  /// The name of the current file.
  var fileName: FileName { log.withLock { .manifest($0.number) } }

  /// Takes the next segment number; `nil` when there is none left. Numbers taken and not used are gaps, no more.
  func takeSegmentNumber() -> UInt32? {
    log.withLock { log in
      guard log.state.nextSegment <= Location.maxSegment else { return nil }
      defer { log.state.nextSegment += 1 }
      return log.state.nextSegment
    }
  }

  /// Makes a change durable as a whole. The segment counter goes along with every edit.
  func apply(_ edit: ManifestEdit) throws(DiskError) {
    try log.withLock { (log) throws(DiskError) in
      if let failure = log.failure { throw .poisoned(first: failure) }
      var edit = edit
      edit.nextSegment = log.state.nextSegment
      do throws(DiskError) {
        if log.offset > Self.rewriteBytes, log.offset > log.snapshotBytes * 4 {
          var state = log.state
          state.apply(edit)
          let (file, end) = try Self.write(state, log.number + 1, directory, fileSystem)
          try? log.file.close()
          log = Log(state: state, file: file, number: log.number + 1, offset: end, snapshotBytes: end)
        } else {
          let bytes = ManifestFormat.encode(edit, number: log.number, at: log.offset)
          try log.file.write(bytes, at: log.offset)
          try log.file.sync(.full)
          log.offset += UInt64(bytes.count)
          log.state.apply(edit)
        }
      } catch {
        log.failure = error
        throw error
      }
    }
  }

  private static func write(
    _ state: State, _ number: UInt32, _ directory: FilePath, _ fileSystem: any FileSystem
  ) throws(DiskError) -> (any File, UInt64) {
    let path = FileName.manifest(number).path(in: directory)
    let file = try fileSystem.open(path, .create)
    let header = ManifestFormat.header(number)
    let bytes = header + ManifestFormat.encode(state.snapshot, number: number, at: UInt64(header.count))
    try file.truncate(to: 0)
    try file.write(bytes, at: 0)
    try file.sync(.full)
    try fileSystem.syncDirectory(directory)
    try fileSystem.atomicReplace(FileName.current.path(in: directory), with: currentText(number))
    for name in try fileSystem.list(directory) {
      if case .manifest(let other) = FileName(name), other != number { try fileSystem.remove(directory.appending(name)) }
    }
    return (file, UInt64(bytes.count))
  }

  /// The content of `CURRENT`: the manifest's name and a checksum of it.
  static func currentText(_ number: UInt32) -> [UInt8] {
    let name = FileName.manifest(number).text
    let digits = String(crc32c(Array(name.utf8).span.bytes), radix: 16)
    return Array("\(name) \(String(repeating: "0", count: 8 - digits.utf8.count))\(digits)\n".utf8)
  }
}

/// What loading found.
struct LoadedManifest {
  var state: Manifest.State
  var number: UInt32
  /// Bytes behind the last sound edit: the remains of one that a crash cut short, or damage.
  var tornBytes: UInt64
  var tornAt: UInt64
}

extension Manifest {
  /// Reads the current manifest; `nil` where there is none and no data either.
  static func load(_ directory: FilePath, on fileSystem: any FileSystem) throws(BitcaskError) -> LoadedManifest? {
    let current = FileName.current.path(in: directory)
    guard try disk({ () throws(DiskError) in try fileSystem.exists(current) }) else {
      let names = try disk { () throws(DiskError) in try fileSystem.list(directory) }
      let data = names.first { if case .data = FileName($0) { true } else { false } }
      if let data { throw .damaged(current, offset: 0, reason: "missing, though there is \(data)") }
      return nil
    }
    let text = try disk { () throws(DiskError) in try fileSystem.readAll(current, limit: 4096) }
    let name = String(decoding: text.prefix { $0 != 0x20 }, as: UTF8.self)
    guard case .manifest(let number) = FileName(name), text == currentText(number) else {
      throw .damaged(current, offset: 0, reason: "it does not name a manifest")
    }
    return try load(number, directory, fileSystem)
  }

  private static func load(_ number: UInt32, _ directory: FilePath, _ fileSystem: any FileSystem) throws(BitcaskError) -> LoadedManifest {
    let path = FileName.manifest(number).path(in: directory)
    let bytes: [UInt8]
    do throws(DiskError) { bytes = try fileSystem.readAll(path, limit: ManifestFormat.maxBytes) } catch {
      if case .notFound = error { throw .damaged(path, offset: 0, reason: "missing, though CURRENT names it") }
      throw BitcaskError(error)
    }
    let header = ManifestFormat.header(number)
    guard bytes.starts(with: header) else {
      if let version = foreignVersion(bytes) { throw .unsupportedVersion(path, found: version, supported: Int(ManifestFormat.version)) }
      throw .damaged(path, offset: 0, reason: "the header is not sound")
    }
    guard let (first, behind) = ManifestFormat.decode(bytes, number: number, at: header.count), let store = first.store,
      let options = first.options
    else { throw .damaged(path, offset: UInt64(header.count), reason: "the first edit is not sound") }
    var state = State(store: store, options: options)
    state.apply(first)
    var offset = behind
    while let (edit, next) = ManifestFormat.decode(bytes, number: number, at: offset) {
      state.apply(edit)
      offset = next
    }
    var probe = offset + 8
    while probe < bytes.count {
      if ManifestFormat.decode(bytes, number: number, at: probe) != nil {
        throw .damaged(path, offset: UInt64(offset), reason: "an edit is not sound, though later ones are")
      }
      probe += 8
    }
    return LoadedManifest(state: state, number: number, tornBytes: UInt64(bytes.count - offset), tornAt: UInt64(offset))
  }

  private static func foreignVersion(_ bytes: [UInt8]) -> Int? {
    guard bytes.count >= ManifestFormat.headerBytes else { return nil }
    var reader = ByteReader(bytes.span.bytes.extracting(0..<ManifestFormat.headerBytes))
    guard (try? reader.readMagic("STRMAN01")) != nil, let version = try? reader.readUInt16(), version != ManifestFormat.version,
      (try? reader.skip(18)) != nil, (try? reader.readChecksum(since: 0)) != nil
    else { return nil }
    return Int(version)
  }
}
