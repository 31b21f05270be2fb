import NIOCore
import NIOSSL
import StrataBytes

/// The near end of a connection over which this member sends: says hello, hears welcome or refusal, and then nothing.
// Used on its event loop alone.
final class OutboundHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  private static let maxAnswerBytes = 4096

  private let link: PeerLink
  private let shared: TransportShared
  private var received = ByteBuffer()
  private var isAnswered = false
  private var deadline: Scheduled<Void>?

  init(link: PeerLink, shared: TransportShared) {
    self.link = link
    self.shared = shared
  }

  func channelActive(context: ChannelHandlerContext) {
    let hello = Hello(oldestVersion: WireFrame.version, newestVersion: WireFrame.version, incarnation: shared.incarnation)
    var buffer = context.channel.allocator.buffer(capacity: 64)
    WireFrame.write(
      .hello, cluster: shared.options.cluster, from: shared.options.node.rawValue, to: link.peer.rawValue, head: hello.encoded, into: &buffer)
    context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
    let channel = context.channel
    deadline = context.eventLoop.scheduleTask(in: TimeAmount(shared.options.connectTimeout)) { channel.close(promise: nil) }
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    var bytes = unwrapInboundIn(data)
    received.writeBuffer(&bytes)
    do throws(WireError) {
      while let frame = try WireFrame.read(from: &received, limit: Self.maxAnswerBytes) { try take(frame, context) }
    } catch {
      shared.counters.add(\.connectionsMalformed)
      shared.logger.warning("the answer of a peer makes no sense", metadata: link.metadata("\(error)"))
      context.close(promise: nil)
    }
  }

  private func take(_ frame: WireFrame, _ context: ChannelHandlerContext) throws(WireError) {
    guard !isAnswered else { throw .outOfPlace(frame.kind) }
    switch frame.kind {
    case .welcome:
      guard frame.cluster == shared.options.cluster else { throw .wrongCluster(frame.cluster) }
      guard frame.from == link.peer.rawValue, frame.to == shared.options.node.rawValue else { throw .wrongNode(from: frame.from, to: frame.to) }
      isAnswered = true
      deadline?.cancel()
      link.welcomed()
    case .refusal:
      isAnswered = true
      deadline?.cancel()
      link.refused(try frame.decode { (reader) throws(DecodeError) in try Refusal(decoding: &reader) })
      context.close(promise: nil)
    case .hello, .message, .messageWithFiles, .fetch, .chunk, .missing: throw .outOfPlace(frame.kind)
    }
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    if context.channel.isWritable, isAnswered { link.flush() }
    context.fireChannelWritabilityChanged()
  }

  func channelInactive(context: ChannelHandlerContext) {
    deadline?.cancel()
    context.fireChannelInactive()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    if error is NIOSSLError || error is BoringSSLError { shared.counters.add(\.tlsFailures) }
    shared.logger.debug("the connection to a peer has failed", metadata: link.metadata("\(error)"))
    context.close(promise: nil)
  }
}
