import Logging
import NIOCore
import NIOSSL
import StrataBytes
import StrataHost
import StrataNodes

/// A connection over which a peer sends: judges its hello, then delivers its frames.
// Used on its event loop alone.
final class InboundHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  /// Before its hello nobody may make this member hold more.
  private static let maxHelloBytes = 4096

  private let shared: TransportShared
  private var received = ByteBuffer()
  private var peer: NodeID?
  private var isClosing = false
  private var deadline: Scheduled<Void>?

  init(shared: TransportShared) { self.shared = shared }

  func channelActive(context: ChannelHandlerContext) {
    let channel = context.channel
    deadline = context.eventLoop.scheduleTask(in: TimeAmount(shared.options.connectTimeout)) { channel.close(promise: nil) }
    context.fireChannelActive()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard !isClosing else { return }
    var bytes = unwrapInboundIn(data)
    shared.counters.add(\.bytesReceived, bytes.readableBytes)
    if received.readableBytes == 0 { received = bytes } else { received.writeBuffer(&bytes) }
    do throws(WireError) {
      while !isClosing {
        let limit = peer == nil ? Self.maxHelloBytes : shared.options.maxFrameBytes
        guard let frame = try WireFrame.read(from: &received, limit: limit) else { break }
        try take(frame, context)
      }
    } catch { close(error, context) }
    if received.readableBytes == 0 { received = ByteBuffer() } else if received.readerIndex > 1 << 20 { received.discardReadBytes() }
  }

  private func take(_ frame: WireFrame, _ context: ChannelHandlerContext) throws(WireError) {
    guard let peer else { return try greet(frame, context) }
    guard frame.cluster == shared.options.cluster else { throw .wrongCluster(frame.cluster) }
    guard frame.from == peer.rawValue, frame.to == shared.options.node.rawValue else { throw .wrongNode(from: frame.from, to: frame.to) }
    switch frame.kind {
    case .message: deliver(frame, from: peer)
    case .messageWithFiles:
      guard shared.receiver(of: GroupID(frame.group)) != nil else { return shared.counters.add(\.framesForUnknownGroups) }
      let (set, payload) = try Self.split(frame)
      shared.transfer(set, payload, GroupID(frame.group), from: peer)
    case .fetch:
      let fetch = try frame.decode { (reader) throws(DecodeError) in try Fetch(decoding: &reader) }
      shared.server?.serve(fetch, of: GroupID(frame.group), to: peer)
    case .chunk:
      let (head, bytes) = try frame.decode { (reader) throws(DecodeError) in
        let head = ChunkHead(number: try reader.readUInt64(), offset: try reader.readUInt64())
        return (head, reader.readRest().withUnsafeBytes { Array($0) })
      }
      shared.transfers?.arrived(head, bytes, from: peer)
    case .missing:
      let number = try frame.decode { (reader) throws(DecodeError) in try reader.readUInt64() }
      shared.transfers?.isMissing(number, from: peer)
    case .hello, .welcome, .refusal: throw .outOfPlace(frame.kind)
    }
  }

  private static func split(_ frame: WireFrame) throws(WireError) -> (AttachmentSet, [UInt8]) {
    try frame.decode { (reader) throws(DecodeError) in
      let set = try AttachmentSet(decoding: &reader)
      return (set, reader.readRest().withUnsafeBytes { Array($0) })
    }
  }

  private func deliver(_ frame: WireFrame, from peer: NodeID) {
    guard let receiver = shared.receiver(of: GroupID(frame.group)) else { return shared.counters.add(\.framesForUnknownGroups) }
    shared.counters.add(\.framesDelivered)
    frame.payload.withUnsafeReadableBytes { receiver.receive(RawSpan(_unsafeBytes: $0), from: peer, attachments: nil) }
  }

  /// Judges the first frame and answers it.
  private func greet(_ frame: WireFrame, _ context: ChannelHandlerContext) throws(WireError) {
    guard frame.kind == .hello else { throw .outOfPlace(frame.kind) }
    let hello = try frame.decode { (reader) throws(DecodeError) in try Hello(decoding: &reader) }
    deadline?.cancel()
    let options = shared.options
    var buffer = context.channel.allocator.buffer(capacity: 128)
    guard let refusal = Refusal.judging(frame, hello, node: options.node.rawValue, cluster: options.cluster) else {
      let peer = NodeID(frame.from)
      self.peer = peer
      shared.counters.add(\.connectionsAccepted)
      shared.logger.info("a peer has connected", metadata: ["peer": "\(peer)"])
      shared.took(context.channel, of: peer)
      WireFrame.write(.welcome, cluster: options.cluster, from: options.node.rawValue, to: frame.from, head: [WireFrame.version], into: &buffer)
      return context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
    }
    isClosing = true
    shared.counters.add(\.connectionsRefused)
    let address = context.remoteAddress.map { "\($0)" } ?? "?"
    shared.logger.error("a connection is refused", metadata: ["from": "n\(frame.from)", "address": "\(address)", "reason": "\(refusal)"])
    WireFrame.write(.refusal, cluster: options.cluster, from: options.node.rawValue, to: frame.from, head: refusal.encoded, into: &buffer)
    let channel = context.channel
    context.writeAndFlush(wrapOutboundOut(buffer)).whenComplete { _ in channel.close(promise: nil) }
  }

  private func close(_ error: WireError, _ context: ChannelHandlerContext) {
    isClosing = true
    shared.counters.add(\.connectionsMalformed)
    let address = context.remoteAddress.map { "\($0)" } ?? "?"
    shared.logger.warning(
      "a connection is closed, what came over it makes no sense",
      metadata: ["peer": "\(peer.map { "\($0)" } ?? "unknown")", "address": "\(address)", "reason": "\(error)"])
    context.close(promise: nil)
  }

  func channelInactive(context: ChannelHandlerContext) {
    deadline?.cancel()
    if let peer { shared.lost(context.channel, of: peer) }
    context.fireChannelInactive()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    if error is NIOSSLError || error is BoringSSLError { shared.counters.add(\.tlsFailures) }
    shared.logger.debug("a connection of a peer has failed", metadata: ["peer": "\(peer.map { "\($0)" } ?? "unknown")", "reason": "\(error)"])
    context.close(promise: nil)
  }
}
