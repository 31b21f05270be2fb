import NIOCore

/// What leaves, and when.
extension ClientHandler {
  /// Sends every reply whose sequence is acknowledged, and asks to be called for the rest.
  func flush() {
    guard let channelContext else { return }
    if context.reply.overflowed { return overflow() }
    if !context.reply.isEmpty {
      let acknowledged = context.reply.nextGate == nil ? UInt64.max : server.keyspace.engine.acknowledgedSequence
      if let bytes = context.reply.take(acknowledged: acknowledged) { send(bytes, channelContext) }
      if let sequence = context.reply.nextGate, !isWaiting {
        isWaiting = true
        loopState.wait(self, for: sequence)
      }
    }
    if context.reply.count >= Self.pauseBytes { isSlow = true }
    if isClosing, context.reply.isEmpty, !isOffloaded, !isClosed {
      isClosed = true
      closeAfterWrites(channelContext)
    }
  }

  private func send(_ bytes: ByteBuffer, _ channelContext: ChannelHandlerContext) {
    loopState.counters.add(.outputBytes, bytes.readableBytes)
    channelContext.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
    // The socket took everything, or little enough is left, while the channel is writable.
    guard !channelContext.channel.isWritable, channelContext.channel.isActive else { return }
    isSlow = true
    let unsent = try? channelContext.channel.syncOptions?.getOption(.bufferedWritableBytes)
    client?.outputBytes.store(unsent ?? 0, ordering: .relaxed)
    if (unsent ?? 0) > server.options.outputLimit { overflow() }
  }

  /// Something this connection waits for may have been acknowledged.
  func acknowledged(_ error: EngineError?) {
    isWaiting = false
    guard let channelContext, channelContext.channel.isActive else { return }
    if let error, let gate = context.reply.nextGate, gate > server.keyspace.engine.acknowledgedSequence { return lose(error) }
    flush()
    if isSlow { resume() }
  }

  /// The replies that wait can never be given: says why instead and closes.
  private func lose(_ error: EngineError) {
    guard let channelContext else { return }
    server.logger.error("a write could not be made durable", metadata: ["id": "\(client?.id ?? 0)", "reason": "\(error)"])
    if let ready = context.reply.take(acknowledged: server.keyspace.engine.acknowledgedSequence) { send(ready, channelContext) }
    context.reply = ReplyWriter(buffer: channelContext.channel.allocator.buffer(capacity: 256), limit: server.options.outputLimit)
    isClosing = true
    replyError(error.replyText)
    flush()
  }

  private func overflow() {
    server.logger.warning(
      "client closed, it does not take its replies",
      metadata: ["id": "\(client?.id ?? 0)", "limit": "\(server.options.outputLimit)"])
    isClosing = true
    channelContext?.close(promise: nil)
  }

  private func closeAfterWrites(_ channelContext: ChannelHandlerContext) {
    // An empty write completes after every write before it.
    let done = channelContext.eventLoop.makePromise(of: Void.self)
    let channel = channelContext.channel
    done.futureResult.whenComplete { _ in channel.close(promise: nil) }
    channelContext.writeAndFlush(wrapOutboundOut(ByteBuffer()), promise: done)
  }

  /// No more commands; closes when everything asked so far is answered.
  func closeWhenSent() {
    if !isPaused { process() }
    isClosing = true
    flush()
  }

  /// The server stops: commands received so far are answered, then the connection closes.
  func drain() { closeWhenSent() }

  /// Sends a line that is not a reply (MONITOR). Bounded like replies.
  func push(_ line: ByteBuffer) {
    guard let channelContext, !isClosing else { return }
    send(line, channelContext)
  }

  // MARK: waiting for room

  /// What a paused client asks room for.
  private static var roomBytes: Int { 64 << 10 }

  /// Stops reading until the engine takes writes again.
  func waitForRoom() {
    guard let channelContext, !waitsForRoom else { return }
    waitsForRoom = true
    let bound = NIOLoopBound(self, eventLoop: channelContext.eventLoop)
    let loop = channelContext.eventLoop
    server.keyspace.engine.whenRoom(forBytes: Self.roomBytes) { error in
      loop.execute {
        bound.value.ignoresRoom = error != nil
        bound.value.waitsForRoom = false
        bound.value.resume()
      }
    }
  }
}
