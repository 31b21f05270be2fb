import Logging
import NIOCore
import NIOPosix
import NIOSSL
import StrataHost
import StrataJobs
import StrataNodes

/// What all connections of one transport share. Safe from any thread.
// The locks guard what changes; `transfers` and `server` are set once before any connection exists.
final class TransportShared: @unchecked Sendable {
  private struct Registry {
    var receivers: [GroupID: any FrameReceiver] = [:]
    var links: [NodeID: PeerLink] = [:]
    var inbound: [NodeID: any Channel] = [:]
    var isClosed = false
  }

  let options: TransportOptions
  let logger: Logger
  let counters = TransportCounters()
  /// Differs from one life of the node to the next.
  let incarnation: UInt64
  let serverTLS: NIOSSLContext?
  let clientTLS: NIOSSLContext?
  private(set) var transfers: Transfers?
  private(set) var server: FileServer?
  private let registry = Monitor(Registry())

  init(_ options: TransportOptions, _ logger: Logger) throws(TCPTransportError) {
    self.options = options
    self.logger = logger
    var generator = SystemRandomNumberGenerator()
    incarnation = generator.next()
    do {
      serverTLS = try options.tls?.serverContext()
      clientTLS = try options.tls?.clientContext()
    } catch { throw .tls("\(error)") }
  }

  func begin(_ worker: SerialWorker, _ store: any AttachmentStore) throws(TCPTransportError) {
    transfers = try Transfers(self, store, worker)
    server = FileServer(self, store, worker)
  }

  // MARK: Groups

  func receiver(of group: GroupID) -> (any FrameReceiver)? { registry.withLock { $0.receivers[group] } }

  func register(_ receiver: any FrameReceiver, for group: GroupID) throws(TransportError) {
    try registry.withLock { (registry) throws(TransportError) in
      guard !registry.isClosed else { throw .closed }
      guard registry.receivers[group] == nil else { throw .groupTaken(group) }
      registry.receivers[group] = receiver
    }
  }

  func unregister(_ group: GroupID) { registry.withLock { $0.receivers[group] = nil } }

  // MARK: Connections

  func link(to peer: NodeID) -> PeerLink? { registry.withLock { $0.links[peer] } }

  /// The link to a peer, made by `make` where there is none; `nil` once the transport is closed.
  func link(to peer: NodeID, make: () -> PeerLink) -> (link: PeerLink, isNew: Bool)? {
    registry.withLock { registry in
      guard !registry.isClosed else { return nil }
      if let link = registry.links[peer] { return (link, false) }
      let link = make()
      registry.links[peer] = link
      return (link, true)
    }
  }

  func removeLink(to peer: NodeID) -> PeerLink? { registry.withLock { $0.links.removeValue(forKey: peer) } }

  /// A peer sends over this connection from now on: one it had before is closed, its other end is gone.
  func took(_ channel: any Channel, of peer: NodeID) {
    let (old, isClosed) = registry.withLock { registry -> ((any Channel)?, Bool) in
      defer { registry.inbound[peer] = channel }
      return (registry.inbound[peer], registry.isClosed)
    }
    old?.close(promise: nil)
    if isClosed { channel.close(promise: nil) }
    transfers?.reconnected(peer)
  }

  func lost(_ channel: any Channel, of peer: NodeID) {
    registry.withLock { registry in
      if registry.inbound[peer] === channel { registry.inbound[peer] = nil }
    }
  }

  func connections() -> (links: [PeerLink], inbound: [any Channel]) {
    registry.withLock { (Array($0.links.values), Array($0.inbound.values)) }
  }

  /// Takes nothing new and gives what is to be closed; `nil` the second time.
  func close() -> (links: [PeerLink], inbound: [any Channel])? {
    registry.withLock { registry in
      if registry.isClosed { return nil }
      registry.isClosed = true
      registry.receivers = [:]
      defer { registry.links = [:] }
      return (Array(registry.links.values), Array(registry.inbound.values))
    }
  }

  // MARK: Files

  func transfer(_ set: AttachmentSet, _ payload: [UInt8], _ group: GroupID, from peer: NodeID) {
    guard let transfers else {
      logger.error("a message names files, and this member has no place for them", metadata: ["peer": "\(peer)", "group": "\(group)"])
      return counters.add(\.attachmentsDropped)
    }
    transfers.begin(set, payload, group, from: peer)
  }
}
