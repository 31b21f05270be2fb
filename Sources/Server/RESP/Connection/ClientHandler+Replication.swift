import NIOCore

// Commands on keys that are replicated: they are collected over a read cycle and handed to the group together, while the connection stands still.
// So commands of one connection take effect in their order, whatever gets lost on the way and is asked for again.
extension ClientHandler {
  /// Whether a command has to wait until those before it are done: it is not one on keys, and some of these have been collected. They are submitted.
  func mustSubmit(before call: Invocation) -> Bool {
    guard !batch.isEmpty else { return false }
    if let index = table.find(call[0]), table.rules[index].id.rawValue <= CommandID.flushall.rawValue, table.rules[index].accepts(call.count) {
      return false
    }
    submit()
    return true
  }

  /// Takes a command into the batch.
  func collect(_ rule: CommandTable.Rule, _ call: Invocation) {
    batch.append(
      rule.id, call, writes: rule.flags.contains(.write), database: context.database, resp3: context.reply.resp3, now: context.now)
    if batch.isFull { submit() }
  }

  /// Hands the commands collected so far to the group.
  func submit() {
    guard !batch.isEmpty, !isOffloaded, let desk = loopState.desk else { return }
    var taken = CommandBatch()
    swap(&taken, &self.batch)
    isOffloaded = true
    let started = Clocks.nanoseconds()
    let bytes = taken.finish()
    let batch = taken
    if batch.writes {
      desk.write(bytes) { self.written(batch, $0, started) }
    } else {
      desk.confirm { self.confirmed(batch, bytes, $0, started) }
    }
  }

  private func written(_ batch: CommandBatch, _ result: Result<[UInt8], ReplicationFailure>, _ started: UInt64) {
    switch result {
    case .success(let replies): context.reply.append(replies: replies)
    case .failure(let failure): refuse(batch, failure)
    }
    finish(batch, started)
  }

  private func refuse(_ batch: CommandBatch, _ failure: ReplicationFailure) {
    let text = failure.reply(writes: batch.writes)
    for _ in 0..<batch.count { replyError(text) }
  }

  /// The store is recent enough: the commands, which only read, run on it.
  private func confirmed(_ batch: CommandBatch, _ bytes: [UInt8], _ failure: ReplicationFailure?, _ started: UInt64) {
    if let failure {
      refuse(batch, failure)
      return finish(batch, started)
    }
    context.now = server.keyspace.clock()
    let done = Self.run(bytes, skipping: 0, &context) { rule, context, call throws(CommandError) in
      if rule.flags.contains(.slow) || call.count > Self.maxInlineArguments { throw .notCached }
      try context.run(rule.id, call)
    }
    guard done < batch.count, let channelContext else { return finish(batch, started) }
    // From the first command that has to wait for the disk on, all run where waiting is allowed.
    loopState.counters.add(.offloaded)
    let server = server
    let resp3 = context.reply.resp3
    let loop = channelContext.eventLoop
    let bound = NIOLoopBound(self, eventLoop: loop)
    server.pool.submit { state in
      guard case .active = state else { return }
      var patient = CommandContext(
        keyspace: server.keyspace, reply: ReplyWriter(buffer: ByteBufferAllocator().buffer(capacity: 256), limit: server.options.outputLimit))
      patient.reply.resp3 = resp3
      patient.maxValueBytes = server.options.maxBulkBytes
      patient.now = server.keyspace.clock()
      patient.mayWait = true
      _ = Self.run(bytes, skipping: done, &patient) { rule, context, call throws(CommandError) in try context.run(rule.id, call) }
      let reply = patient.reply
      loop.execute {
        var reply = reply
        bound.value.context.reply.append(&reply)
        bound.value.finish(batch, started)
      }
    }
  }

  /// Runs the commands of a batch from one on; stops at the first that would have to wait. Returns how many are done, those skipped included.
  private static func run(
    _ bytes: [UInt8], skipping: Int, _ context: inout CommandContext,
    _ body: (CommandTable.Rule, inout CommandContext, Invocation) throws(CommandError) -> Void
  ) -> Int {
    bytes.withUnsafeBytes { bytes in
      guard var batch = CommandBatchReader(UnsafeRawBufferPointer(rebasing: bytes.dropFirst())) else { return Int.max }
      context.database = batch.database
      var done = 0
      while let call = batch.next() {
        defer { done += 1 }
        guard done >= skipping, let index = CommandTable.shared.find(call[0]) else { continue }
        do throws(CommandError) { try body(CommandTable.shared.rules[index], &context, call) } catch {
          switch error {
          case .notCached, .noRoom: return done
          case .failed, .engine: context.reply.error(error.text)
          }
        }
      }
      return done
    }
  }

  private func finish(_ batch: CommandBatch, _ started: UInt64) {
    isOffloaded = false
    let each = (Clocks.nanoseconds() &- started) / UInt64(max(1, batch.count))
    context.now = server.keyspace.clock()
    for id in batch.commands {
      loopState.counters.add(.commands)
      loopState.counters.ran(id, nanoseconds: each)
    }
    noteIfSlow(batch, nanosecondsEach: each)
    publishCounts()
    flush()
    resume()
  }

  /// Tells SLOWLOG and LATENCY of commands that took long from being handed to the group to their answer.
  private func noteIfSlow(_ batch: CommandBatch, nanosecondsEach: UInt64) {
    let microseconds = nanosecondsEach / 1000
    if microseconds >= 1000 { server.latency.add("command", milliseconds: microseconds / 1000, unixSeconds: context.now / 1000) }
    let threshold = server.slowLog.threshold.load(ordering: .relaxed)
    guard threshold >= 0, microseconds >= UInt64(threshold) else { return }
    let address = client?.address ?? ""
    let name = client?.names.withLock { $0.name } ?? ""
    batch.bytes.withUnsafeBytes { bytes in
      guard var reader = CommandBatchReader(UnsafeRawBufferPointer(rebasing: bytes.dropFirst())) else { return }
      while let call = reader.next() {
        server.slowLog.add(call, microseconds: microseconds, unixSeconds: context.now / 1000, address: address, clientName: name)
      }
    }
  }
}
