import NIOCore

/// One client: reads requests, runs them in order, sends the replies that may be shown.
///
/// Everything happens on the connection's event loop. A read cycle parses and runs every complete command of the receive buffer and then
/// writes and flushes once. The connection stops reading, which closes the TCP window, while
/// - a command runs on a disk thread (`isOffloaded`),
/// - the engine has no room for more writes (`waitsForRoom`),
/// - the client does not take its replies, or too many of them wait for durability (`isSlow`).
// Used on its event loop only; `NIOLoopBound` checks that where another thread reaches it.
final class ClientHandler: ChannelDuplexHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  /// Replies held back or unread beyond this pause the client.
  static let pauseBytes = 1 << 20
  /// Replies of one read cycle beyond this are sent before the cycle goes on.
  static let cycleBytes = 64 << 10
  /// Commands with more arguments than this run on a disk thread, so that they do not hold up the loop's other clients.
  static let maxInlineArguments = 4096

  let server: ServerState
  let loopState: LoopState
  let table = CommandTable.shared
  var context: CommandContext
  var parser: RequestParser
  var input = ByteBuffer()
  /// Commands of this read cycle that go through the group's log, or wait for its word, together.
  var batch = CommandBatch()
  var client: ClientRecord?
  var channelContext: ChannelHandlerContext?
  var isAuthenticated: Bool
  var isOffloaded = false
  var waitsForRoom = false
  /// Waiting for room has failed: the next commands run all the same, so that reads go on and writes learn the reason.
  var ignoresRoom = false
  var isSlow = false
  var isWaiting = false
  var isProcessing = false
  /// No more commands are run; the connection closes once every reply has left.
  var isClosing = false
  var readIsPending = false
  /// Closing has been asked for.
  var isClosed = false

  init(server: ServerState, loop: LoopState) {
    self.server = server
    loopState = loop
    context = CommandContext(
      keyspace: server.keyspace, reply: ReplyWriter(buffer: ByteBufferAllocator().buffer(capacity: 4096), limit: server.options.outputLimit))
    context.maxValueBytes = server.options.maxBulkBytes
    parser = RequestParser(limits: server.options.requestLimits)
    isAuthenticated = server.current.password == nil
  }

  // MARK: channel events

  func handlerAdded(context: ChannelHandlerContext) {
    channelContext = context
    if context.channel.isActive { activate(context) }
  }

  func channelActive(context: ChannelHandlerContext) {
    activate(context)
    context.fireChannelActive()
  }

  private func activate(_ context: ChannelHandlerContext) {
    guard client == nil, !isClosing else { return }
    let now = server.keyspace.clock()
    let record = server.clients.add(limit: server.current.maxClients) { id in
      ClientRecord(
        id: id, address: Self.text(context.channel.remoteAddress), localAddress: Self.text(context.channel.localAddress), now: now,
        channel: context.channel, handler: self)
    }
    guard let record else {
      loopState.counters.add(.rejected)
      server.logger.warning("client refused, the limit is reached", metadata: ["limit": "\(server.current.maxClients)"])
      return fail("ERR max number of clients reached")
    }
    client = record
    loopState.counters.add(.connections)
    server.logger.debug("client connected", metadata: ["id": "\(record.id)", "address": "\(record.address)"])
    if server.isDraining.load(ordering: .relaxed) { drain() }
  }

  private static func text(_ address: SocketAddress?) -> String {
    guard let address, let ip = address.ipAddress, let port = address.port else { return "" }
    return ip.contains(":") ? "[\(ip)]:\(port)" : "\(ip):\(port)"
  }

  func channelInactive(context: ChannelHandlerContext) {
    isClosing = true
    if let client {
      server.clients.remove(client.id)
      if client.isMonitor.exchange(false, ordering: .relaxed) { server.monitors.subtract(1, ordering: .relaxed) }
      server.logger.debug("client disconnected", metadata: ["id": "\(client.id)"])
    }
    input = ByteBuffer()
    context.fireChannelInactive()
  }

  func handlerRemoved(context: ChannelHandlerContext) { channelContext = nil }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard !isClosing else { return }
    var incoming = unwrapInboundIn(data)
    loopState.counters.add(.inputBytes, incoming.readableBytes)
    if input.readableBytes == 0 {
      input = incoming
    } else {
      guard input.readableBytes + incoming.readableBytes <= server.options.maxQueryBytes else {
        server.logger.warning("client closed, its query buffer is full", metadata: ["id": "\(client?.id ?? 0)"])
        isClosing = true
        context.close(promise: nil)
        return
      }
      // What is consumed goes before the buffer grows for the rest of a long value.
      if input.readerIndex > input.readableBytes { input.discardReadBytes() }
      input.writeBuffer(&incoming)
    }
    process()
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    flush()
    context.fireChannelReadComplete()
  }

  func read(context: ChannelHandlerContext) {
    // While the group is at a command, what a client sends next is taken once: not to read costs two calls of the system for each command.
    let readsAhead = isOffloaded && !waitsForRoom && !isSlow && input.readableBytes == 0 && loopState.desk != nil
    if isPaused, !readsAhead { readIsPending = true } else { context.read() }
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    if context.channel.isWritable { resumeSoon() } else { isSlow = true }
    context.fireChannelWritabilityChanged()
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    // The client will send no more; what it asked is still answered.
    if let event = event as? ChannelEvent, event == .inputClosed { closeWhenSent() }
    context.fireUserInboundEventTriggered(event)
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    server.logger.debug("connection failed", metadata: ["id": "\(client?.id ?? 0)", "reason": "\(error)"])
    isClosing = true
    context.close(promise: nil)
  }

  // MARK: pausing

  var isPaused: Bool { isOffloaded || waitsForRoom || isSlow }

  /// Goes on with what was received while paused, then reads again. In a task of its own, as it may be asked for in the middle of a write.
  func resumeSoon() {
    guard let channelContext else { return }
    let bound = NIOLoopBound(self, eventLoop: channelContext.eventLoop)
    channelContext.eventLoop.execute { bound.value.resume() }
  }

  func resume() {
    guard let channelContext, channelContext.channel.isActive else { return }
    if isSlow, channelContext.channel.isWritable, context.reply.count < Self.pauseBytes { isSlow = false }
    process()
    flush()
    if !isPaused, readIsPending {
      readIsPending = false
      channelContext.read()
    }
  }

  // MARK: running commands

  /// Runs every complete command that was received.
  func process() {
    guard !isProcessing else { return }
    isProcessing = true
    defer { isProcessing = false }
    while !isPaused, !isClosing, input.readableBytes > 0 {
      guard ignoresRoom || server.keyspace.engine.hasRoom else {
        waitForRoom()
        break
      }
      ignoresRoom = false
      let cycleIsFull = runBuffered()
      if !cycleIsFull { break }
      flush()
    }
    publishCounts()
    client?.queryBytes.store(input.readableBytes, ordering: .relaxed)
    client?.lastActive.store(context.now, ordering: .relaxed)
  }

  /// Runs commands from the buffer until it is used up, the connection pauses, or enough replies are there to be sent. True in the last case.
  private func runBuffered() -> Bool {
    let bytes = input
    var consumed = 0
    var cycleIsFull = false
    context.now = server.keyspace.clock()
    bytes.withUnsafeReadableBytes { bytes in
      var before = Clocks.nanoseconds()
      scan: while consumed < bytes.count {
        let rest = UnsafeRawBufferPointer(rebasing: bytes[consumed...])
        switch parser.parse(rest, authenticated: isAuthenticated) {
        case .needMore: break scan
        case .failed(let error):
          protocolFailed(error)
          break scan
        case .nothing: break
        case .command:
          guard let base = rest.baseAddress else { break }
          let call = Invocation(base: base, parser.arguments)
          if mustSubmit(before: call) {
            // It is parsed again when the commands before it are done.
            parser.next()
            break scan
          }
          execute(call, &before)
        case .inline:
          parser.inlineBytes.withUnsafeBytes { inline in
            // Every argument may be empty, and then there is no memory to point to.
            let call = Invocation(base: inline.baseAddress ?? bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 1)!, parser.arguments)
            execute(call, &before)
            submit()
          }
        }
        consumed += parser.consumed
        parser.next()
        if isOffloaded || isClosing { break }
        if context.reply.count >= Self.cycleBytes {
          cycleIsFull = true
          break
        }
      }
    }
    submit()
    input.moveReaderIndex(forwardBy: min(consumed, input.readableBytes))
    if input.readableBytes == 0 { input = ByteBuffer() }
    return cycleIsFull
  }

  private func execute(_ call: Invocation, _ before: inout UInt64) {
    guard let index = table.find(call[0]) else { return rejectUnknown(call) }
    let rule = table.rules[index]
    guard rule.accepts(call.count) else {
      loopState.counters.rejected(rule.id)
      return replyError(CommandError.wrongArity(table.specs[index].name).text)
    }
    guard isAuthenticated || rule.flags.contains(.noAuth) else {
      loopState.counters.rejected(rule.id)
      return replyError("NOAUTH Authentication required.")
    }
    client?.lastCommand.store(index, ordering: .relaxed)
    if server.monitors.load(ordering: .relaxed) > 0 { feedMonitors(rule.id, call) }
    if rule.id.rawValue <= CommandID.flushall.rawValue {
      if let desk = loopState.desk {
        // A read needs no word of the group while this member's lease holds, unless it comes behind commands that wait for one.
        guard batch.isEmpty, !rule.flags.contains(.write), desk.isReadable else { return collect(rule, call) }
      }
      if rule.flags.contains(.slow) || call.count > Self.maxInlineArguments { return offload(rule.id, call) }
      do throws(CommandError) { try context.run(rule.id, call) } catch {
        switch error {
        case .notCached, .noRoom: return offload(rule.id, call)
        case .failed, .engine: break
        }
        loopState.counters.failed(rule.id)
        replyError(error.text)
      }
    } else {
      runServerCommand(rule.id, call)
    }
    let after = Clocks.nanoseconds()
    finish(rule.id, call, nanoseconds: after &- before)
    before = after
  }

  /// Accounts for a command that has run.
  func finish(_ id: CommandID, _ call: Invocation, nanoseconds: UInt64) {
    loopState.counters.add(.commands)
    loopState.counters.ran(id, nanoseconds: nanoseconds)
    let threshold = server.slowLog.threshold.load(ordering: .relaxed)
    let microseconds = nanoseconds / 1000
    if threshold >= 0, microseconds >= UInt64(threshold) {
      server.slowLog.add(
        call, microseconds: microseconds, unixSeconds: context.now / 1000, address: client?.address ?? "",
        clientName: client?.names.withLock { $0.name } ?? "")
    }
    if microseconds >= 1000 { server.latency.add("command", milliseconds: microseconds / 1000, unixSeconds: context.now / 1000) }
  }

  /// Hands what the context counted to the loop's counters.
  func publishCounts() {
    loopState.counters.add(.hits, context.hits)
    loopState.counters.add(.misses, context.misses)
    context.hits = 0
    context.misses = 0
  }

  func replyError(_ text: String) {
    loopState.counters.add(.errors)
    context.reply.error(text)
  }

  private func rejectUnknown(_ call: Invocation) {
    let name = call[0]
    // Web pages that are made to talk to a local Redis speak HTTP; nothing behind such a line is a command.
    if call.matches(0, "POST") || call.matches(0, "HOST:") {
      server.logger.warning("connection closed, it speaks HTTP", metadata: ["address": "\(client?.address ?? "")"])
      isClosing = true
      channelContext?.close(promise: nil)
      return
    }
    var arguments = ""
    for index in 1..<max(1, call.count) where arguments.utf8.count < 128 {
      arguments += "'\(String(decoding: call[index].prefix(128 - arguments.utf8.count), as: UTF8.self))' "
    }
    replyError("ERR unknown command '\(String(decoding: name.prefix(128), as: UTF8.self))', with args beginning with: \(arguments)")
  }

  private func protocolFailed(_ error: ProtocolError) {
    server.logger.debug("protocol error", metadata: ["id": "\(client?.id ?? 0)", "reason": "\(error.text)"])
    fail("ERR Protocol error: \(error.text)")
  }

  /// Replies with an error and closes once it has left.
  func fail(_ text: String) {
    replyError(text)
    isClosing = true
    resumeSoon()
  }
}
