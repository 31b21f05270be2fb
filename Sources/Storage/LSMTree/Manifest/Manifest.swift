import StrataBytes
import StrataDisk
import StrataJobs
import SystemPackage

/// The truth about which tables make up the store: an edit log in `MANIFEST-<n>`, named by `CURRENT`.
///
/// An edit is durable on return. Where an append or its sync fails, what is on the device is unknown: the state goes whole into a new file,
/// whose name in `CURRENT` settles it. Where that fails too, every later edit is refused, and no file may be deleted any more on the
/// strength of an edit. A full disk is told apart: an edit that found no room was not made, and may be tried again.
/// Safe from any thread; edits are one at a time.
final class Manifest: Sendable {
  private struct Log {
    var state: ManifestState
    var file: any File
    var number: UInt64
    var offset: UInt64
    var snapshotBytes: UInt64
    var nextEdit: UInt64
    var failure: LSMError?
    var rotations = 0
  }

  /// Edits beyond this many bytes are folded into a new file, as are those beyond four times the snapshot's where that is more than `floorBytes`.
  private static let rewriteBytes: UInt64 = 64 << 20

  private let directory: FilePath
  private let fileSystem: any FileSystem
  private let floorBytes: UInt64
  private let log: Monitor<Log>

  /// Writes a new manifest file with `state` and makes it current. Other manifest files are left to whoever removes what nothing names.
  init(
    _ state: ManifestState, number: UInt64, floorBytes: UInt64, in directory: FilePath, on fileSystem: any FileSystem
  ) throws(DiskError) {
    self.directory = directory
    self.fileSystem = fileSystem
    self.floorBytes = floorBytes
    let (file, end) = try Self.write(state, number, directory, fileSystem)
    log = Monitor(Log(state: state, file: file, number: number, offset: end, snapshotBytes: end, nextEdit: 2))
  }

  deinit { log.withLock { try? $0.file.close() } }

  var state: ManifestState { log.withLock { $0.state } }
  /// The number of the current file.
  var number: UInt64 { log.withLock { $0.number } }
  /// Why edits are refused, if they are.
  var failure: LSMError? { log.withLock { $0.failure } }
  /// Files begun since opening.
  var rotations: Int { log.withLock { $0.rotations } }

  /// Makes a change durable as a whole.
  /// - Throws: `.noSpace` where nothing has changed and the same edit may succeed later; else the failure after which the store can take no
  ///   further edit.
  func apply(_ edit: ManifestEdit) throws(LSMError) {
    try log.withLock { (log) throws(LSMError) in
      if let failure = log.failure { throw .readOnly(cause: failure) }
      var state = log.state
      if let reason = state.apply(edit) {
        throw .corruptManifest(FileName.manifest(log.number).path(in: directory), offset: log.offset, reason: reason)
      }
      let isLong = log.offset > Self.rewriteBytes || (log.offset > floorBytes && log.offset > log.snapshotBytes * 4)
      if !isLong {
        let bytes = ManifestFormat.encode(edit, editNumber: log.nextEdit, file: log.number)
        var isWritten = false
        do throws(DiskError) {
          try log.file.write(bytes, at: log.offset)
          isWritten = true
          try log.file.sync(.data)
          log.offset += UInt64(bytes.count)
          log.nextEdit += 1
          log.state = state
          return
        } catch {
          // What was written of it is no whole edit, and the next one is written over it. A sync that found no room leaves it open what is there.
          if case .noSpace = error, !isWritten { throw LSMError(error) }
        }
      }
      do throws(DiskError) {
        let (file, end) = try Self.write(state, log.number + 1, directory, fileSystem)
        try? log.file.close()
        let rotations = log.rotations + 1
        log = Log(state: state, file: file, number: log.number + 1, offset: end, snapshotBytes: end, nextEdit: 2, rotations: rotations)
      } catch {
        let failure = LSMError(error)
        log.failure = failure
        throw failure
      }
    }
  }

  private static func write(
    _ state: ManifestState, _ number: UInt64, _ directory: FilePath, _ fileSystem: any FileSystem
  ) throws(DiskError) -> (any File, UInt64) {
    let path = FileName.manifest(number).path(in: directory)
    let temporary = FilePath(path.string + ".tmp")
    let bytes = ManifestFormat.header(number, state.store) + ManifestFormat.encode(state.snapshot, editNumber: 1, file: number)
    let file = try fileSystem.open(temporary, .create)
    try file.truncate(to: 0)
    try file.write(bytes, at: 0)
    try file.sync(.full)
    try fileSystem.rename(temporary, to: path, replacing: true)
    try fileSystem.syncDirectory(directory)
    try fileSystem.atomicReplace(FileName.current.path(in: directory), with: currentText(number))
    return (file, UInt64(bytes.count))
  }

  /// The content of `CURRENT`: the manifest's name and a checksum of it.
  static func currentText(_ number: UInt64) -> [UInt8] {
    let name = FileName.manifest(number).text
    let digits = String(crc32c(Array(name.utf8).span.bytes), radix: 16)
    return Array("\(name) \(String(repeating: "0", count: 8 - digits.utf8.count))\(digits)\n".utf8)
  }
}

/// What loading found.
struct LoadedManifest {
  var state: ManifestState
  var number: UInt64
  /// Edits read.
  var edits: Int
  /// Bytes behind the last sound edit: the remains of one that a crash cut short.
  var tornBytes: Int
}

extension Manifest {
  /// Reads the current manifest; `nil` where there is none and no table either.
  static func load(_ directory: FilePath, on fileSystem: any FileSystem) throws(LSMError) -> LoadedManifest? {
    let current = FileName.current.path(in: directory)
    var text: [UInt8]?
    var table: String?
    do throws(DiskError) {
      if try fileSystem.exists(current) {
        text = try fileSystem.readAll(current, limit: 4096)
      } else {
        table = try fileSystem.list(directory).first { FileName($0)?.tableNumber != nil }
      }
    } catch { throw LSMError(error) }
    if let table { throw .corruptManifest(current, offset: 0, reason: "missing, though there is \(table)") }
    guard let text else { return nil }
    let name = String(decoding: text.prefix { $0 != 0x20 }, as: UTF8.self)
    guard case .manifest(let number) = FileName(name), text == currentText(number) else {
      throw .corruptManifest(current, offset: 0, reason: "it does not name a manifest")
    }
    return try load(number, directory, fileSystem)
  }

  private static func load(_ number: UInt64, _ directory: FilePath, _ fileSystem: any FileSystem) throws(LSMError) -> LoadedManifest {
    let path = FileName.manifest(number).path(in: directory)
    let bytes: [UInt8]
    do throws(DiskError) { bytes = try fileSystem.readAll(path, limit: ManifestFormat.maxBytes) } catch {
      if case .notFound = error { throw .corruptManifest(path, offset: 0, reason: "missing, though CURRENT names it") }
      throw LSMError(error)
    }
    let span = bytes.span.bytes
    var state: ManifestState
    do throws(DecodeError) {
      let header = try ManifestFormat.readHeader(span)
      guard header.number == number else { throw .malformed(at: 32, field: "file number") }
      state = ManifestState(store: header.store)
    } catch {
      if case .unsupportedVersion(_, let version, let newest) = error {
        throw .incompatible("\(path): format version \(version), this build reads up to \(newest)")
      }
      throw .corruptManifest(path, offset: UInt64(error.offset), reason: "\(error)")
    }
    var offset = ManifestFormat.headerBytes
    var edits = 0
    while let frame = ManifestFormat.frame(span, at: offset, file: number) {
      guard frame.number == UInt64(edits) + 1 else {
        throw .corruptManifest(path, offset: UInt64(offset), reason: "edit \(frame.number) where \(edits + 1) belongs")
      }
      do throws(DecodeError) {
        let edit = try ManifestFormat.decode(span.extracting(frame.payload), base: frame.payload.lowerBound)
        if let reason = state.apply(edit) { throw .malformed(at: offset, field: reason) }
      } catch {
        throw .corruptManifest(path, offset: UInt64(error.offset), reason: "\(error)")
      }
      edits += 1
      offset = frame.payload.upperBound
    }
    guard edits > 0 else { throw .corruptManifest(path, offset: UInt64(offset), reason: "the first edit is not sound") }
    // The file was whole when its name became durable, so only edits behind the first can be cut short; one that stands before a sound one
    // was once durable itself.
    for probe in offset + 1..<max(offset + 1, bytes.count) where ManifestFormat.frame(span, at: probe, file: number) != nil {
      throw .corruptManifest(path, offset: UInt64(offset), reason: "an edit is not sound, though a later one is")
    }
    return LoadedManifest(state: state, number: number, edits: edits, tornBytes: bytes.count - offset)
  }
}
