import StrataBytes
import StrataDisk
import StrataHost
import StrataJobs
import StrataNodes
import SystemPackage

/// The files of a replicated store: the live store, which is thrown away and built anew at each start; the checkpoints that snapshots name; and
/// what is being fetched from other members.
///
/// `live/` the engine's directory; `checkpoints/ID/` a checkpoint each; `incoming/` the transport's. A checkpoint is never changed once its snapshot
/// is named anywhere; its tables share their bytes with those of the live store.
final class StoreDirectory: Sendable {
  let path: FilePath
  let fileSystem: any FileSystem
  /// Checkpoints that have come from other members and were not taken over yet, the newest last. The lock is held while checkpoints come or go.
  private let arrived = Monitor<[String]>([])

  var live: FilePath { path.appending("live") }
  var checkpoints: FilePath { path.appending("checkpoints") }
  var incoming: FilePath { path.appending("incoming") }

  init(_ path: FilePath, on fileSystem: any FileSystem) throws(DiskError) {
    self.path = path
    self.fileSystem = fileSystem
    for directory in [path.appending("checkpoints"), path.appending("incoming")] { try fileSystem.makeDirectories(directory) }
  }

  func checkpoint(_ id: String) -> FilePath { checkpoints.appending(id) }

  /// The log of a store is a directory within its directory, for which names of attachments have no room.
  private static let logPrefix = "log+"

  /// Where a file of a checkpoint lies.
  func file(_ name: String, ofCheckpoint id: String) -> FilePath {
    guard name.hasPrefix(Self.logPrefix) else { return checkpoint(id).appending(name) }
    return checkpoint(id).appending("log").appending(String(name.dropFirst(Self.logPrefix.count)))
  }

  /// The files of a checkpoint with their lengths and checksums. Tables never change, so a table that `known` names is not read again.
  func files(ofCheckpoint id: String, known: inout [String: AttachmentSet.File]) throws(DiskError) -> [AttachmentSet.File] {
    var names = try fileSystem.list(checkpoint(id)).filter { $0 != "log" && $0 != "LOCK" }
    names += try fileSystem.list(checkpoint(id).appending("log")).filter { $0 != "LOCK" }.map { Self.logPrefix + $0 }
    var files: [AttachmentSet.File] = []
    for name in names {
      if let file = known[name] {
        files.append(file)
        continue
      }
      let file = try describe(name, ofCheckpoint: id)
      files.append(file)
      if name.hasSuffix(".sst") { known[name] = file }
    }
    let present = Set(names)
    known = known.filter { present.contains($0.key) }
    return files
  }

  private func describe(_ name: String, ofCheckpoint id: String) throws(DiskError) -> AttachmentSet.File {
    let file = try fileSystem.open(self.file(name, ofCheckpoint: id), .read)
    var checksum: UInt32 = 0
    var offset: UInt64 = 0
    while case let bytes = try file.read(at: offset, count: 1 << 20), !bytes.isEmpty {
      checksum = crc32c(bytes.span.bytes, continuing: checksum)
      offset += UInt64(bytes.count)
    }
    try file.close()
    return AttachmentSet.File(name: name, bytes: offset, crc32c: checksum)
  }

  /// Makes a directory of fetched files the checkpoint it is.
  func adopt(_ staged: StagedAttachments) throws(DiskError) {
    try arrived.withLock { (arrived) throws(DiskError) in
      try move(staged)
      // Of those that nobody took over, the group's log will name the newest if any.
      arrived = (arrived.filter { $0 != staged.set.id } + [staged.set.id]).suffix(2)
    }
  }

  /// The store is what a checkpoint says: it keeps account of it itself.
  func isTaken(_ id: String) { arrived.withLock { $0.removeAll { $0 == id } } }

  private func move(_ staged: StagedAttachments) throws(DiskError) {
    let target = checkpoint(staged.set.id)
    if try fileSystem.status(target) != nil { return try remove(staged.directory) }
    let unfinished = checkpoints.appending("\(staged.set.id).tmp")
    try remove(unfinished)
    try fileSystem.makeDirectories(unfinished.appending("log"))
    for file in staged.set.files {
      let name = file.name.hasPrefix(Self.logPrefix) ? "log/\(file.name.dropFirst(Self.logPrefix.count))" : file.name
      try fileSystem.rename(staged.path(file.name), to: unfinished.pushing(FilePath(name)), replacing: true)
    }
    try fileSystem.syncDirectory(unfinished.appending("log"))
    try fileSystem.syncDirectory(unfinished)
    try fileSystem.rename(unfinished, to: target, replacing: false)
    try fileSystem.syncDirectory(checkpoints)
    try remove(staged.directory)
  }

  /// Makes the live store one with the content of a checkpoint, or an empty directory. Tables get a second name, everything else is copied.
  func makeLive(from id: String?) throws(DiskError) {
    try remove(live)
    try fileSystem.makeDirectories(live)
    guard let id else { return }
    try fileSystem.makeDirectories(live.appending("log"))
    let source = checkpoint(id)
    for name in try fileSystem.list(source) where name != "log" && name != "LOCK" {
      if name.hasSuffix(".sst") {
        try fileSystem.link(source.appending(name), to: live.appending(name))
      } else {
        try copy(source.appending(name), to: live.appending(name))
      }
    }
    for name in try fileSystem.list(source.appending("log")) where name != "LOCK" {
      try copy(source.appending("log").appending(name), to: live.appending("log").appending(name))
    }
  }

  private func copy(_ source: FilePath, to target: FilePath) throws(DiskError) {
    let from = try fileSystem.open(source, .read)
    let to = try fileSystem.open(target, .createNew)
    var offset: UInt64 = 0
    while case let bytes = try from.read(at: offset, count: 1 << 20), !bytes.isEmpty {
      try to.write(bytes, at: offset)
      offset += UInt64(bytes.count)
    }
    try to.close()
    try from.close()
  }

  /// Removes a directory with all that is in it, if it is there.
  func remove(_ directory: FilePath) throws(DiskError) {
    guard let status = try fileSystem.status(directory) else { return }
    guard status.isDirectory else { return try fileSystem.remove(directory) }
    for name in try fileSystem.list(directory) { try remove(directory.appending(name)) }
    try fileSystem.removeDirectory(directory)
  }

  /// Removes every checkpoint but those that have just come and those that `ids` names once none can come any more.
  func retain(_ ids: () -> Set<String>) throws(DiskError) {
    try arrived.withLock { (arrived) throws(DiskError) in
      let kept = ids().union(arrived)
      for name in try fileSystem.list(checkpoints) where !kept.contains(name) { try remove(checkpoints.appending(name)) }
    }
  }
}
