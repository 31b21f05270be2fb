import StrataBytes
import StrataDisk
import StrataHost
import StrataJobs
import StrataNodes
import Synchronization

/// Reads chunks of this member's files for its peers, on the disk's thread.
///
/// A file once asked for stays open while it is being fetched, so that it can be removed meanwhile.
// `waiting` is atomic; everything else is touched by the worker alone.
final class FileServer: @unchecked Sendable {
  private struct Key: Hashable {
    var group: GroupID
    var id: String
    var file: String
  }

  private struct Opened {
    var file: any File
    var usedAt: UInt64
  }

  private static let maxWaiting = 1024
  private static let maxOpen = 32
  private static let idleNanoseconds: UInt64 = 60_000_000_000

  private let shared: TransportShared
  private let store: any AttachmentStore
  private let worker: SerialWorker
  private let waiting = Atomic<Int>(0)
  private var opened: [Key: Opened] = [:]

  init(_ shared: TransportShared, _ store: any AttachmentStore, _ worker: SerialWorker) {
    self.shared = shared
    self.store = store
    self.worker = worker
  }

  /// Answers with a chunk, or that the file is missing. Beyond its bound it answers nothing: the peer asks again.
  func serve(_ fetch: Fetch, of group: GroupID, to peer: NodeID) {
    guard waiting.add(1, ordering: .relaxed).newValue <= Self.maxWaiting else {
      waiting.subtract(1, ordering: .relaxed)
      return
    }
    let isTaken = worker.add {
      self.waiting.subtract(1, ordering: .relaxed)
      self.answer(fetch, group, peer)
    }
    if !isTaken { waiting.subtract(1, ordering: .relaxed) }
  }

  private func answer(_ fetch: Fetch, _ group: GroupID, _ peer: NodeID) {
    guard let link = shared.link(to: peer) else { return shared.counters.add(\.framesWithoutPeer) }
    let key = Key(group: group, id: fetch.id, file: fetch.file)
    do throws(DiskError) {
      let bytes = try file(key).readExactly(at: fetch.offset, count: Int(fetch.bytes))
      shared.counters.add(\.chunksServed)
      let head = ChunkHead(number: fetch.number, offset: fetch.offset).encoded
      link.send([PeerLink.Queued(kind: .chunk, group: group.rawValue, head: head, payload: bytes)])
    } catch {
      shared.logger.warning(
        "a file a peer fetches is not there", metadata: ["peer": "\(peer)", "file": "\(fetch.id)/\(fetch.file)", "reason": "\(error)"])
      opened[key] = nil
      var writer = ByteWriter(capacity: 8)
      writer.writeUInt64(fetch.number)
      link.send([PeerLink.Queued(kind: .missing, group: group.rawValue, head: writer.finish(), payload: [])])
    }
  }

  private func file(_ key: Key) throws(DiskError) -> any File {
    let now = MonotonicClock.now()
    if let found = opened[key] {
      opened[key]?.usedAt = now
      return found.file
    }
    for (key, file) in opened where now - file.usedAt > Self.idleNanoseconds { close(key) }
    if opened.count >= Self.maxOpen, let oldest = opened.min(by: { $0.value.usedAt < $1.value.usedAt })?.key { close(oldest) }
    let file = try store.open(key.id, key.file, of: key.group)
    opened[key] = Opened(file: file, usedAt: now)
    return file
  }

  private func close(_ key: Key) { try? opened.removeValue(forKey: key)?.file.close() }
}
