import NIOCore
import StrataRaft

// Commands of the log. On the host's thread they run as on a connection's event loop, without waiting; from the first one on that has to wait, for
// the disk or for room, the rest of its batch runs as a job, while the host goes on.
extension ReplicatedStore {
  /// A command of the log: the first byte says what it is.
  enum Command {
    /// A ``CommandBatch``.
    static let batch: UInt8 = 1
    /// A member's addresses: `id u64 | peer | client`, texts with a length of one byte.
    static let address: UInt8 = 2
    /// A ``CommandGroup``.
    static let group: UInt8 = 3
  }

  /// How far a command is.
  private struct CommandRun: Sendable {
    /// In a group, where the batch begins that is being carried out, and the answers to those before it.
    var offset = 1
    var answers: [UInt8] = []
    /// Of the batch, so many commands are done, with these replies.
    var done = 0
    var reply: ReplyWriter

    init(_ limit: Int) { reply = ReplyWriter(buffer: ByteBufferAllocator().buffer(capacity: 64), limit: limit) }
  }

  /// Carries out a command and answers it, now or by ``finished()``; what it does depends on the command and the store only.
  func apply(_ command: [UInt8]) -> MachineOutcome? {
    switch command.first {
    case Command.batch, Command.group:
      var run = CommandRun(limit)
      guard !carryOut(command, &run, mayWait: false) else { return .applied(answer(command, run)) }
      let begun = run
      return beside("store.apply", unless: .applied([])) {
        var run = begun
        _ = self.carryOut(command, &run, mayWait: true)
        self.finish(.applied(self.answer(command, run)))
      }
    case Command.address: return .applied(noteAddress(command))
    default: return .applied([])
    }
  }

  private func answer(_ command: [UInt8], _ run: CommandRun) -> [UInt8] { command.first == Command.group ? run.answers : replies(run) }

  private func replies(_ run: CommandRun) -> [UInt8] {
    guard !run.reply.overflowed else { return Array("-ERR the replies are longer than \(limit) bytes; the commands were carried out\r\n".utf8) }
    return Array(run.reply.buffer.readableBytesView)
  }

  /// Carries out what is left of a command. Says whether all of it is done: not where something would have to wait and may not.
  private func carryOut(_ command: [UInt8], _ run: inout CommandRun, mayWait: Bool) -> Bool {
    command.withUnsafeBytes { bytes in
      guard bytes.first == Command.group else { return carryOut(bytes, &run, mayWait: mayWait) }
      while let batch = CommandGroup.piece(of: bytes, at: run.offset) {
        guard carryOut(batch, &run, mayWait: mayWait) else { return false }
        CommandGroup.append(replies(run), to: &run.answers)
        run.offset += 4 + batch.count
        run.done = 0
        run.reply = ReplyWriter(buffer: ByteBufferAllocator().buffer(capacity: 64), limit: limit)
      }
      return true
    }
  }

  /// Carries out what is left of a batch. Says whether all of it is done: not where a command would have to wait and may not.
  private func carryOut(_ bytes: UnsafeRawBufferPointer, _ run: inout CommandRun, mayWait: Bool) -> Bool {
    guard bytes.first == Command.batch, var batch = CommandBatchReader(UnsafeRawBufferPointer(rebasing: bytes.dropFirst())) else { return true }
    let now = max(logTime, batch.now)
    time.advance(to: now)
    // One writer at a time owns the bytes, so that they are not copied.
    var reply = ReplyWriter(buffer: ByteBuffer(), limit: limit)
    swap(&reply, &run.reply)
    var context = CommandContext(keyspace: keyspace, reply: reply)
    reply = run.reply
    defer { run.reply = context.reply }
    context.database = batch.database
    context.reply.resp3 = batch.resp3
    context.now = now
    context.mayWait = mayWait
    // The same at every member: what a command builds has to fit where a client's own value would.
    context.maxValueBytes = Replication.maxBulkBytes
    var place = 0
    while let call = batch.next() {
      if place >= run.done {
        guard carryOut(call, &context) else { return false }
        run.done += 1
      }
      place += 1
    }
    return true
  }

  /// Carries out one command. Says whether it is done.
  private func carryOut(_ call: Invocation, _ context: inout CommandContext) -> Bool {
    guard let index = CommandTable.shared.find(call[0]) else {
      context.reply.error("ERR unknown command '\(call.text(0))'")
      return true
    }
    let rule = CommandTable.shared.rules[index]
    guard rule.accepts(call.count), rule.id.rawValue <= CommandID.flushall.rawValue else {
      context.reply.error("ERR '\(call.text(0))' is not a command for the log")
      return true
    }
    let failure: String?
    if context.mayWait {
      failure = context.carryOut(rule, call)
    } else {
      switch context.tryOut(rule, call) {
      case .mustWait: return false
      case .done(let why): failure = why
      }
    }
    if let failure { fail(failure) }
    return true
  }
}
