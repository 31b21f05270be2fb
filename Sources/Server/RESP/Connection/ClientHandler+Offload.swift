import NIOCore

/// A command's arguments in memory of their own, for running it elsewhere.
struct OwnedCall: Sendable {
  private let bytes: [UInt8]
  private let entries: [(offset: Int, count: Int)]

  init(_ call: Invocation) {
    var bytes: [UInt8] = []
    var entries: [(offset: Int, count: Int)] = []
    bytes.reserveCapacity((0..<call.count).reduce(0) { $0 + call[$1].count })
    entries.reserveCapacity(call.count)
    for index in 0..<call.count {
      entries.append((bytes.count, call[index].count))
      bytes.append(contentsOf: call[index])
    }
    self.bytes = bytes
    self.entries = entries
  }

  /// A command that is put together here.
  init(_ arguments: [[UInt8]]) {
    var entries: [(offset: Int, count: Int)] = []
    var offset = 0
    for argument in arguments {
      entries.append((offset, argument.count))
      offset += argument.count
    }
    bytes = Array(arguments.joined())
    self.entries = entries
  }

  func withInvocation<R>(_ body: (Invocation) -> R) -> R {
    let list = ArgumentList()
    for entry in entries { list.append(offset: entry.offset, count: entry.count) }
    // One byte more, so that there is a base address even if every argument is empty.
    return (bytes + [0]).withUnsafeBytes { body(Invocation(base: $0.baseAddress ?? UnsafeRawPointer(bitPattern: 1)!, list)) }
  }
}

/// Commands that may wait for the disk: they run on a disk thread while the connection stands still.
extension ClientHandler {
  /// How often a command that holds the keyspace's lock is tried with its keys brought into memory beforehand, before it reads under the lock.
  private static let attempts = 4

  func offload(_ id: CommandID, _ call: Invocation) {
    guard let channelContext else { return }
    isOffloaded = true
    loopState.counters.add(.offloaded)
    let owned = OwnedCall(call)
    let database = context.database
    let resp3 = context.reply.resp3
    let server = server
    let started = Clocks.nanoseconds()
    let loop = channelContext.eventLoop
    let bound = NIOLoopBound(self, eventLoop: loop)
    server.pool.submit { state in
      guard case .active = state else { return }
      let result = owned.withInvocation { Self.run(id, $0, server, database: database, resp3: resp3) }
      loop.execute { bound.value.offloaded(id, owned, result, nanoseconds: Clocks.nanoseconds() &- started) }
    }
  }

  /// What a disk thread brings back.
  struct OffloadResult: Sendable {
    var reply: ReplyWriter
    var failed: Bool
    var hits: Int
    var misses: Int
  }

  private static func run(_ id: CommandID, _ call: Invocation, _ server: ServerState, database: Int, resp3: Bool) -> OffloadResult {
    var context = CommandContext(
      keyspace: server.keyspace, reply: ReplyWriter(buffer: ByteBufferAllocator().buffer(capacity: 256), limit: server.options.outputLimit))
    context.database = database
    context.reply.resp3 = resp3
    context.maxValueBytes = server.options.maxBulkBytes
    let takesLock =
      CommandTable.shared.rules[Int(id.rawValue)].flags.contains(.write) || [.mget, .exists, .touch].contains(id) || id.isOnFilter
    var attempt = 0
    while true {
      context.now = server.keyspace.clock()
      context.mayWait = !takesLock || attempt >= attempts
      do throws(CommandError) {
        try context.run(id, call)
        return OffloadResult(reply: context.reply, failed: false, hits: context.hits, misses: context.misses)
      } catch {
        var reason = error
        switch error {
        case .notCached where !context.mayWait:
          attempt += 1
          warm(id, call, server.keyspace, database)
          continue
        case .noRoom:
          do throws(EngineError) {
            try server.keyspace.waitForRoom(bytes(call))
            continue
          } catch { reason = .engine(error) }
        case .notCached, .failed, .engine: break
        }
        context.reply.error(reason.text)
        return OffloadResult(reply: context.reply, failed: true, hits: context.hits, misses: context.misses)
      }
    }
  }

  /// What a write of these arguments takes at most, records' headers included.
  private static func bytes(_ call: Invocation) -> Int { (0..<call.count).reduce(0) { $0 + call[$1].count + 128 } }

  /// Brings the records of a command's keys into memory. Errors show when the command itself reads.
  private static func warm(_ id: CommandID, _ call: Invocation, _ keyspace: Keyspace, _ database: Int) {
    if id.isOnFilter {
      var context = CommandContext(keyspace: keyspace, reply: ReplyWriter(buffer: ByteBuffer(), limit: 0))
      context.database = database
      context.now = keyspace.clock()
      try? context.prefetchFilter(call, items: 2..<call.count)
      return
    }
    let keys = CommandTable.shared[id].keys
    guard keys.first > 0, keys.step > 0 else { return }
    let last = keys.last < 0 ? call.count + keys.last : min(keys.last, call.count - 1)
    let scratch = KeyScratch()
    for index in stride(from: keys.first, through: last, by: keys.step) where call[index].count <= CommandContext.maxKeyBytes {
      _ = try? keyspace.engine.read(scratch.compose(database, call[index]).bytes, onlyIfCached: false) { _, _ in }
    }
  }

  private func offloaded(_ id: CommandID, _ call: OwnedCall, _ result: OffloadResult, nanoseconds: UInt64) {
    var reply = result.reply
    isOffloaded = false
    context.reply.append(&reply)
    context.hits += result.hits
    context.misses += result.misses
    if result.failed {
      loopState.counters.failed(id)
      loopState.counters.add(.errors)
    }
    context.now = server.keyspace.clock()
    call.withInvocation { finish(id, $0, nanoseconds: nanoseconds) }
    flush()
    resume()
  }

  /// Runs something that waits for the disk on a disk thread, and replies OK or with its error.
  func offload(_ work: @escaping @Sendable () throws(EngineError) -> Void) {
    offload(work) { handler, _ in handler.context.reply.ok() }
  }

  /// Runs something that waits for the disk on a disk thread, then `reply` on the loop with what it answers; its error is the reply otherwise.
  func offload<Answer: Sendable>(
    _ work: @escaping @Sendable () throws(EngineError) -> Answer, _ reply: @escaping @Sendable (ClientHandler, Answer) -> Void
  ) {
    guard let channelContext else { return }
    isOffloaded = true
    let loop = channelContext.eventLoop
    let bound = NIOLoopBound(self, eventLoop: loop)
    server.pool.submit { state in
      guard case .active = state else { return }
      let result: Result<Answer, EngineError>
      do throws(EngineError) { result = .success(try work()) } catch { result = .failure(error) }
      loop.execute {
        let handler = bound.value
        handler.isOffloaded = false
        switch result {
        case .success(let answer): reply(handler, answer)
        case .failure(let error): handler.replyError(error.replyText)
        }
        handler.resume()
      }
    }
  }
}
