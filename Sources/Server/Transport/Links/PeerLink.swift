import Logging
import NIOCore
import NIOPosix
import NIOSSL
import StrataJobs
import StrataNodes
import Synchronization

/// The connection to one peer over which this member sends: it queues frames, dials, says hello, and dials again when the connection ends.
// `queue` is guarded by its lock, `connected` is atomic; everything else is touched on `loop` alone.
final class PeerLink: @unchecked Sendable {
  /// A frame that waits.
  struct Queued {
    var kind: FrameKind
    var group: UInt64
    var head: [UInt8]
    var payload: [UInt8]

    var bytes: Int { WireFrame.headerBytes + head.count + payload.count }
  }

  private struct Queue {
    var frames = CircularBuffer<Queued>()
    var bytes = 0
    var isScheduled = false
  }

  /// Frames of one write together have about so many bytes.
  private static let writeBytes = 256 << 10

  let peer: NodeID
  private let shared: TransportShared
  private let loop: any EventLoop
  private let queue = Monitor(Queue())
  private let connected = Atomic(false)
  private var address: PeerAddress
  private var channel: (any Channel)?
  private var isWelcome = false
  private var isDialing = false
  private var isClosed = false
  private var failures = 0
  private var redial: Scheduled<Void>?
  private var random: Random

  init(_ peer: NodeID, at address: PeerAddress, _ shared: TransportShared, on loop: any EventLoop) {
    self.peer = peer
    self.address = address
    self.shared = shared
    self.loop = loop
    random = Random(seed: shared.incarnation).fork("redial", Int(truncatingIfNeeded: peer.rawValue))
  }

  // MARK: Any thread

  /// Queues frames; the oldest make room where there is none.
  func send(_ frames: [Queued]) {
    let options = shared.options
    let (dropped, mustSchedule) = queue.withLock { queue -> (Int, Bool) in
      for frame in frames {
        queue.frames.append(frame)
        queue.bytes += frame.bytes
      }
      var dropped = 0
      while queue.frames.count > options.maxQueuedFrames || (queue.bytes > options.maxQueuedBytes && queue.frames.count > 1) {
        queue.bytes -= queue.frames.removeFirst().bytes
        dropped += 1
      }
      defer { queue.isScheduled = true }
      return (dropped, !queue.isScheduled)
    }
    if dropped > 0 { shared.counters.add(\.framesDropped, dropped) }
    guard mustSchedule else { return }
    if loop.inEventLoop { flush() } else { loop.execute { self.flush() } }
  }

  /// Whether the peer would hear now.
  var isConnected: Bool { connected.load(ordering: .relaxed) }

  func start() { loop.execute { self.dial() } }

  func move(to address: PeerAddress) {
    loop.execute {
      guard address != self.address else { return }
      self.address = address
      self.failures = 0
      self.redial?.cancel()
      self.redial = nil
      if let channel = self.channel { channel.close(promise: nil) } else { self.dial() }
    }
  }

  func cut() { loop.execute { self.channel?.close(promise: nil) } }

  func close() -> EventLoopFuture<Void> {
    loop.flatSubmit {
      self.isClosed = true
      self.redial?.cancel()
      guard let channel = self.channel else { return self.loop.makeSucceededVoidFuture() }
      channel.close(promise: nil)
      return channel.closeFuture
    }
  }

  // MARK: The loop

  private func dial() {
    guard !isClosed, channel == nil, !isDialing, redial == nil else { return }
    isDialing = true
    var bootstrap = ClientBootstrap(group: loop)
      .connectTimeout(TimeAmount(shared.options.connectTimeout))
      .channelOption(.tcpOption(.tcp_nodelay), value: 1)
      .channelOption(.socketOption(.so_keepalive), value: 1)
      .channelOption(.writeBufferWaterMark, value: ChannelOptions.Types.WriteBufferWaterMark(low: 256 << 10, high: 1 << 20))
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          if let context = self.shared.clientTLS {
            try channel.pipeline.syncOperations.addHandler(NIOSSLClientHandler(context: context, serverHostname: nil))
          }
          try channel.pipeline.syncOperations.addHandler(OutboundHandler(link: self, shared: self.shared))
        }
      }
    #if os(Linux)
      // TCP_USER_TIMEOUT: a peer that is gone, or a network that swallows everything, is found out long before retransmission gives up.
      let timeout = ChannelOptions.Types.SocketOption(level: .tcp, name: NIOBSDSocket.Option(rawValue: 18))
      bootstrap = bootstrap.channelOption(timeout, value: .init(clamping: shared.options.deadPeerTimeout.nanoseconds / 1_000_000))
    #endif
    bootstrap.connect(host: address.host, port: address.port).whenComplete { result in
      self.isDialing = false
      switch result {
      case .success(let channel): self.hasConnected(channel)
      case .failure(let error):
        self.shared.counters.add(\.dialsFailed)
        self.shared.logger.debug("a peer cannot be reached", metadata: self.metadata("\(error)"))
        self.dialLater()
      }
    }
  }

  private func hasConnected(_ channel: any Channel) {
    guard !isClosed, channel.isActive else {
      channel.close(promise: nil)
      return dialLater()
    }
    self.channel = channel
    channel.closeFuture.whenComplete { _ in self.ended(channel) }
    flush()
  }

  private func ended(_ channel: any Channel) {
    guard self.channel === channel else { return }
    if !isWelcome { shared.counters.add(\.dialsFailed) }
    self.channel = nil
    isWelcome = false
    connected.store(false, ordering: .relaxed)
    dialLater()
  }

  /// Dials again after a pause that doubles with each failure, half of it drawn at random so that peers do not dial in step.
  private func dialLater() {
    guard !isClosed, redial == nil else { return }
    let range = shared.options.redial
    let longest = max(1, range.upperBound.nanoseconds)
    let pause = min(longest, max(1, range.lowerBound.nanoseconds) << Int64(min(failures, 16)))
    failures += 1
    let drawn = pause / 2 + Int64(random.below(Int(clamping: pause / 2 + 1)))
    redial = loop.scheduleTask(in: .nanoseconds(drawn)) {
      self.redial = nil
      self.dial()
    }
  }

  /// The peer has answered the hello.
  func welcomed() {
    isWelcome = true
    connected.store(true, ordering: .relaxed)
    failures = 0
    shared.counters.add(\.connectionsMade)
    shared.logger.info("connected to a peer", metadata: metadata(nil))
    shared.transfers?.reconnected(peer)
    flush()
  }

  func refused(_ refusal: Refusal) {
    // It will say the same again until somebody changes something.
    failures = max(failures, 16)
    shared.counters.add(\.refusalsReceived)
    shared.logger.error("a peer refuses this node", metadata: metadata("\(refusal)"))
  }

  func metadata(_ reason: String?) -> Logger.Metadata {
    var metadata: Logger.Metadata = ["peer": "\(peer)", "address": "\(address)"]
    if let reason { metadata["reason"] = "\(reason)" }
    return metadata
  }

  /// Writes what is queued, as far as the connection takes it; a turn's frames go in as few writes as may be.
  func flush() {
    queue.withLock { $0.isScheduled = false }
    guard let channel, isWelcome, channel.isActive else { return }
    var hasWritten = false
    while channel.isWritable {
      let batch = take()
      if batch.isEmpty { break }
      var buffer = channel.allocator.buffer(capacity: batch.reduce(0) { $0 + $1.bytes })
      for frame in batch {
        WireFrame.write(
          frame.kind, cluster: shared.options.cluster, group: frame.group, from: shared.options.node.rawValue, to: peer.rawValue,
          head: frame.head, payload: frame.payload, into: &buffer)
      }
      shared.counters.change { counters in
        counters.writes += 1
        counters.bytesSent += UInt64(buffer.readableBytes)
        counters.framesSent += UInt64(batch.count { $0.kind == .message || $0.kind == .messageWithFiles })
      }
      channel.write(buffer, promise: nil)
      hasWritten = true
    }
    if hasWritten { channel.flush() }
  }

  private func take() -> [Queued] {
    queue.withLock { queue in
      var batch: [Queued] = []
      var bytes = 0
      while bytes < Self.writeBytes, let frame = queue.frames.popFirst() {
        bytes += frame.bytes
        batch.append(frame)
      }
      queue.bytes -= bytes
      return batch
    }
  }
}

extension TimeAmount {
  init(_ duration: Duration) { self = .nanoseconds(duration.nanoseconds) }
}
