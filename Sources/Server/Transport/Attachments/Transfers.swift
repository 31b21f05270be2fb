import Logging
import StrataBytes
import StrataDisk
import StrataHost
import StrataJobs
import StrataNodes
import Synchronization
import struct SystemPackage.FilePath

/// Fetches the files that messages of peers name, and delivers each message when its files are there, verified and durable.
///
/// One set per peer and group at a time: a repetition of its message takes the message's place, another set has to be named again later. A file is
/// fetched from its beginning to its end in chunks, some of them on their way at once; what does not come, or comes out of order, is asked for again
/// from where the file ends here.
// `waiting` is atomic; everything else is touched by the worker alone.
final class Transfers: @unchecked Sendable {
  private struct Key: Hashable {
    var peer: NodeID
    var group: GroupID
  }

  private struct Transfer {
    let set: AttachmentSet
    var message: [UInt8]
    let directory: FilePath
    /// Index of the file that is being fetched, the file, and the checksum of what there is of it.
    var index = 0
    var file: (any File)?
    var checksum: UInt32 = 0
    /// How far the file is there, and how far it was asked for.
    var written: UInt64 = 0
    var asked: UInt64 = 0
    /// The name under which the answers come: another after each repetition, so that late answers to what was asked before are known.
    var number: UInt64 = 0
    var askedAt: UInt64 = 0
    var progressAt: UInt64
  }

  private static let maxWaiting = 4096
  /// A transfer that has not moved for so long is given up.
  private static let giveUpNanoseconds: UInt64 = 300_000_000_000

  private let shared: TransportShared
  private let store: any AttachmentStore
  private let worker: SerialWorker
  private let chunkBytes: UInt64
  private let waiting = Atomic<Int>(0)
  private var transfers: [Key: Transfer] = [:]
  private var numbers: [UInt64: Key] = [:]
  private var lastNumber: UInt64 = 0
  private var lastDirectory = 0
  /// Before this moment the limit of bytes per second allows nothing more.
  private var allowedAt: UInt64 = 0

  /// Removes what an earlier run has left.
  init(_ shared: TransportShared, _ store: any AttachmentStore, _ worker: SerialWorker) throws(TCPTransportError) {
    self.shared = shared
    self.store = store
    self.worker = worker
    chunkBytes = UInt64(min(max(shared.options.chunkBytes, 1), Int(Fetch.maxBytes)))
    do throws(DiskError) {
      let files = store.fileSystem
      for name in try files.list(store.stagingDirectory) { try Self.remove(store.stagingDirectory.appending(name), on: files) }
    } catch { throw .staging(error.description) }
  }

  private static func remove(_ path: FilePath, on files: any FileSystem) throws(DiskError) {
    guard try files.status(path)?.isDirectory == true else { return try files.remove(path) }
    // A set has files and no directories.
    for name in try files.list(path) { try files.remove(path.appending(name)) }
    try files.removeDirectory(path)
  }

  // MARK: Any thread

  func begin(_ set: AttachmentSet, _ message: [UInt8], _ group: GroupID, from peer: NodeID) {
    onWorker { self.start(set, message, Key(peer: peer, group: group)) }
  }

  func arrived(_ head: ChunkHead, _ bytes: [UInt8], from peer: NodeID) { onWorker { self.take(head, bytes, peer) } }

  func isMissing(_ number: UInt64, from peer: NodeID) {
    onWorker {
      guard let key = self.numbers[number], key.peer == peer else { return }
      self.drop(key, "it is not there any more at the sender")
    }
  }

  /// What was on its way to or from a peer is lost.
  func reconnected(_ peer: NodeID) {
    onWorker {
      for key in self.transfers.keys where key.peer == peer { self.repeatFetch(key) }
    }
  }

  /// Asks again for what has been away too long, and asks for what the limit of bytes per second has held back.
  func turn() {
    onWorker {
      let now = MonotonicClock.now()
      let timeout = UInt64(max(0, self.shared.options.chunkTimeout.nanoseconds))
      for (key, transfer) in self.transfers {
        if now - transfer.progressAt > Self.giveUpNanoseconds {
          self.drop(key, "it has not moved for long")
        } else if transfer.asked > transfer.written, now - transfer.askedAt > timeout {
          self.repeatFetch(key)
        } else {
          self.ask(key)
        }
      }
    }
  }

  private func onWorker(_ body: @escaping @Sendable () -> Void) {
    guard waiting.add(1, ordering: .relaxed).newValue <= Self.maxWaiting else {
      waiting.subtract(1, ordering: .relaxed)
      return
    }
    let isTaken = worker.add {
      self.waiting.subtract(1, ordering: .relaxed)
      body()
    }
    if !isTaken { waiting.subtract(1, ordering: .relaxed) }
  }

  // MARK: The worker

  private func start(_ set: AttachmentSet, _ message: [UInt8], _ key: Key) {
    if let present = transfers[key] {
      if present.set == set { transfers[key]?.message = message } else { shared.counters.add(\.attachmentsDropped) }
      return
    }
    let files = store.fileSystem
    guard set.bytes <= shared.options.maxAttachmentBytes, transfers.count < shared.options.maxTransfers else {
      return refuse(set, key, "there are too many, or too large")
    }
    lastDirectory += 1
    let directory = store.stagingDirectory.appending("\(lastDirectory)-\(key.peer.rawValue)-\(key.group.rawValue)")
    do throws(DiskError) {
      guard try files.freeSpace(store.stagingDirectory) > set.bytes else { return refuse(set, key, "there is no room for them") }
      try files.makeDirectory(directory)
    } catch { return refuse(set, key, error.description) }
    transfers[key] = Transfer(set: set, message: message, directory: directory, progressAt: MonotonicClock.now())
    shared.logger.info("files are fetched", metadata: metadata(key, set))
    beginFile(key)
  }

  private func metadata(_ key: Key, _ set: AttachmentSet) -> Logger.Metadata {
    ["peer": "\(key.peer)", "group": "\(key.group)", "set": "\(set.id)", "files": "\(set.files.count)", "bytes": "\(set.bytes)"]
  }

  private func refuse(_ set: AttachmentSet, _ key: Key, _ reason: String) {
    shared.counters.add(\.attachmentsDropped)
    var metadata = metadata(key, set)
    metadata["reason"] = "\(reason)"
    shared.logger.warning("a message is dropped with its files", metadata: metadata)
  }

  private func drop(_ key: Key, _ reason: String) {
    guard let transfer = transfers.removeValue(forKey: key) else { return }
    numbers[transfer.number] = nil
    try? transfer.file?.close()
    refuse(transfer.set, key, reason)
    // What cannot be removed now is removed at the next start.
    try? Self.remove(transfer.directory, on: store.fileSystem)
  }

  /// Goes on with the file whose turn it is; empty ones need nobody's help.
  private func beginFile(_ key: Key) {
    while let transfer = transfers[key] {
      guard transfer.index < transfer.set.files.count else { return finish(key) }
      let wanted = transfer.set.files[transfer.index]
      do throws(DiskError) {
        let file = try store.fileSystem.open(transfer.directory.appending(wanted.name), .createNew)
        transfers[key]?.file = file
      } catch { return drop(key, error.description) }
      transfers[key]?.written = 0
      transfers[key]?.checksum = 0
      if wanted.bytes > 0 { return repeatFetch(key, isRepetition: false) }
      guard endFile(key) else { return }
    }
  }

  /// The file is there to its end: says whether it is what it should be.
  private func endFile(_ key: Key) -> Bool {
    guard let transfer = transfers[key], let file = transfer.file else { return false }
    guard transfer.checksum == transfer.set.files[transfer.index].crc32c else {
      drop(key, "\(transfer.set.files[transfer.index].name) does not have the checksum it should")
      return false
    }
    do throws(DiskError) {
      try file.sync(.full)
      try file.close()
    } catch {
      drop(key, error.description)
      return false
    }
    transfers[key]?.file = nil
    transfers[key]?.index += 1
    return true
  }

  /// Asks from where the file ends here, under a new name.
  private func repeatFetch(_ key: Key, isRepetition: Bool = true) {
    guard let transfer = transfers[key], transfer.file != nil else { return }
    if isRepetition { shared.counters.add(\.chunksRepeated) }
    numbers[transfer.number] = nil
    lastNumber += 1
    numbers[lastNumber] = key
    transfers[key]?.number = lastNumber
    transfers[key]?.asked = transfer.written
    ask(key)
  }

  /// Asks for as many chunks as may be on their way.
  private func ask(_ key: Key) {
    guard let transfer = transfers[key], transfer.file != nil else { return }
    // Where nobody hears, nothing is asked: the connection that comes asks again.
    guard let link = shared.link(to: key.peer), link.isConnected else { return }
    let wanted = transfer.set.files[transfer.index]
    let window = chunkBytes * UInt64(max(1, shared.options.chunkWindow))
    var asked = transfer.asked
    while asked < wanted.bytes, asked - transfer.written < window {
      let bytes = min(chunkBytes, wanted.bytes - asked)
      guard mayFetch(bytes) else { break }
      let fetch = Fetch(number: transfer.number, id: transfer.set.id, file: wanted.name, offset: asked, bytes: UInt32(bytes))
      link.send([PeerLink.Queued(kind: .fetch, group: key.group.rawValue, head: fetch.encoded, payload: [])])
      asked += bytes
    }
    if asked != transfer.asked { transfers[key]?.askedAt = MonotonicClock.now() }
    transfers[key]?.asked = asked
  }

  /// Whether the limit of bytes per second allows `bytes` more now; counts them if so. The next turn asks again if not.
  private func mayFetch(_ bytes: UInt64) -> Bool {
    guard let limit = shared.options.maxFetchedBytesPerSecond else { return true }
    let now = MonotonicClock.now()
    guard now >= allowedAt else { return false }
    let (product, _) = bytes.multipliedReportingOverflow(by: 1_000_000_000)
    allowedAt = max(allowedAt, now - min(now, 100_000_000)) + product / UInt64(max(1, limit))
    return true
  }

  private func take(_ head: ChunkHead, _ bytes: [UInt8], _ peer: NodeID) {
    guard let key = numbers[head.number], key.peer == peer, let transfer = transfers[key], let file = transfer.file else { return }
    let wanted = transfer.set.files[transfer.index]
    // A chunk before it was lost, or it is not what was asked for: the time-out asks again.
    guard head.offset == transfer.written, UInt64(bytes.count) == min(chunkBytes, wanted.bytes - transfer.written) else { return }
    do throws(DiskError) { try file.write(bytes, at: transfer.written) } catch { return drop(key, error.description) }
    shared.counters.add(\.attachmentBytesReceived, bytes.count)
    let written = transfer.written + UInt64(bytes.count)
    let now = MonotonicClock.now()
    transfers[key]?.written = written
    transfers[key]?.checksum = crc32c(bytes.span.bytes, continuing: transfer.checksum)
    transfers[key]?.progressAt = now
    transfers[key]?.askedAt = now
    guard written == wanted.bytes else { return ask(key) }
    if endFile(key) { beginFile(key) }
  }

  /// All files are there.
  private func finish(_ key: Key) {
    guard let transfer = transfers[key] else { return }
    do throws(DiskError) {
      try store.fileSystem.syncDirectory(transfer.directory)
      try store.fileSystem.syncDirectory(store.stagingDirectory)
    } catch { return drop(key, error.description) }
    transfers[key] = nil
    numbers[transfer.number] = nil
    guard let receiver = shared.receiver(of: key.group) else {
      shared.counters.add(\.framesForUnknownGroups)
      try? Self.remove(transfer.directory, on: store.fileSystem)
      return
    }
    shared.counters.add(\.attachmentsReceived)
    shared.counters.add(\.framesDelivered)
    receiver.receive(
      transfer.message.span.bytes, from: key.peer, attachments: StagedAttachments(set: transfer.set, directory: transfer.directory))
  }
}
