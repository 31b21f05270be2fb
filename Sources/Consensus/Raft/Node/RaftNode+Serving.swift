import StrataNodes

// The client's side.
extension RaftNode {
  mutating func begin(_ request: Request, _ client: SessionID, _ out: inout Effects<RaftNode>) {
    switch request {
    case .command(let bytes):
      guard bytes.count <= core.config.maxEntryBytes - ReplicatedMachine<Machine>.commandOverhead else {
        return out.reply(client, .refused("the command has \(bytes.count) bytes; at most \(core.config.maxEntryBytes) fit an entry"))
      }
      if let oversized, core.log.bytes >= 4 * knobs.compactBytes {
        return out.reply(
          client,
          .refused(
            "the machine's state of \(oversized.bytes) bytes exceeds maxSnapshotBytes (\(knobs.maxSnapshotBytes)), and its log has grown to "
              + "\(core.log.bytes): restart the members with a greater limit, or keep the state in files"))
      }
      guard hasRoom(&out, client) else { return }
      openBytes += bytes.count
      waiting.append(OpenCommands.Command(client: client, bytes: bytes, asked: 0))
    case .query(let bytes):
      guard hasRoom(&out, client) else { return }
      questions.fresh.append(OpenQuestions.Question(client: client, bytes: bytes))
    case .staleQuery(let bytes, let limit):
      if let fresh = freshAsOf, core.now - fresh <= limit, machine.takesQuestions { return out.reply(client, .answer(machine.machine.query(bytes))) }
      begin(.query(bytes), client, &out)
    case .change(let change): answer(client, &out) { core throws(RaftError) in _ = try core.proposeConfChange(change) }
    case .transfer(let target): answer(client, &out) { core throws(RaftError) in try core.transferLeadership(to: target) }
    case .snapshot: out.reply(client, compactNow(&out).map { .refused($0) } ?? .proposed)
    }
  }

  /// Until when, on this member's clock, a question put to the machine in whatever state it then is sees every command answered before it was
  /// asked, without anybody being asked: while this member leads under a lease and has applied all it has committed. Nothing otherwise.
  ///
  /// It holds for whoever learns of it before this member's next messages and answers leave, and so before anybody can have seen more than
  /// this member has applied: a host's observer is in time.
  public var readableUntil: Instant? {
    guard machine.takesQuestions, machine.applied >= core.log.committed, held.isEmpty, !hasFailed else { return nil }
    return core.leaseEnd
  }

  /// As of when the machine's state is at least as new as what was committed; nothing while it cannot be asked.
  public var isFreshAsOf: Instant? { machine.takesQuestions && held.isEmpty && !hasFailed ? freshAsOf : nil }

  private func hasRoom(_ out: inout Effects<RaftNode>, _ client: SessionID) -> Bool {
    guard waiting.count + open.count + questions.count < knobs.maxOpenRequests, openBytes < knobs.maxOpenBytes else {
      out.reply(client, .refused("\(waiting.count + open.count + questions.count) requests are open at this member; ask again later"))
      return false
    }
    return true
  }

  private mutating func answer(_ client: SessionID, _ out: inout Effects<RaftNode>, _ body: (inout RaftCore) throws(RaftError) -> Void) {
    do {
      try body(&core)
      out.reply(client, .proposed)
    } catch {
      out.reply(client, .refused(error.description))
    }
  }

  /// Proposes what waits, together, as far as the session and one message have room; opens a session first where there is none. What cannot be
  /// proposed, because nobody leads, goes on waiting. Says whether something was proposed.
  mutating func proposeWaiting() -> Bool {
    guard !waiting.isEmpty else { return false }
    guard let session else {
      guard openingAsked == nil else { return false }
      let opening = ReplicatedMachine<Machine>.opening(opener, window: UInt32(clamping: knobs.sessionWindow))
      do { try core.propose([opening]) } catch { return false }
      openingAsked = ticks
      return false
    }
    let room = UInt64(knobs.sessionWindow) - min(UInt64(knobs.sessionWindow), open.next - open.oldest)
    var payloads: [[UInt8]] = []
    var size = 0
    for command in waiting.prefix(Int(room)) {
      size += command.bytes.count
      if !payloads.isEmpty, size > knobs.maxBytesPerMessage { break }
      payloads.append(ReplicatedMachine<Machine>.command(session, open.next + UInt64(payloads.count), command.bytes))
    }
    guard !payloads.isEmpty else { return false }
    do { try core.propose(payloads) } catch { return false }
    for var command in waiting.prefix(payloads.count) {
      command.asked = ticks
      open.append(command)
    }
    waiting.removeFirst(payloads.count)
    return true
  }

  /// Asks the leader, once for all questions that have come in since the last time, from where on they may be answered.
  mutating func askQuestions() {
    guard !questions.fresh.isEmpty else { return }
    do { try core.readIndex(questions.nextName) } catch { return }
    questions.ask(tick: ticks, at: core.now)
  }

  /// Messages get lost and leaders go: what has had no answer for long is asked for again, under the same number.
  mutating func repeatWhatIsOld() {
    ticks += 1
    if session == nil, let asked = openingAsked, ticks - asked > UInt64(knobs.repeatTicks) { openingAsked = nil }
    guard ticks > UInt64(knobs.repeatTicks) else { return }
    let old = ticks - UInt64(knobs.repeatTicks) - 1
    if let session {
      var payloads: [[UInt8]] = []
      open.repeatAsked(upTo: old, now: ticks) { payloads.append(ReplicatedMachine<Machine>.command(session, $0, $1)) }
      if !payloads.isEmpty { _ = try? core.propose(payloads) }
    }
    var names: [UInt64] = []
    questions.repeatAsked(upTo: old, now: ticks) { names.append($0) }
    for name in names { try? core.readIndex(name) }
  }

  mutating func conclude(_ event: ReplicatedMachine<Machine>.Event, _ out: inout Effects<RaftNode>) {
    switch event {
    case .opened(let opener, let session):
      guard opener == self.opener, self.session == nil else { return }
      self.session = session
    case .answered(let session, let number, let answer):
      guard session == self.session, let command = open.remove(number) else { return }
      openBytes -= command.bytes.count
      out.reply(command.client, .answer(answer))
    case .tooOld(let session, let number):
      if session == self.session, let command = open.remove(number) { openBytes -= command.bytes.count }
    case .unknown(let session):
      guard session == self.session else { return }
      // Whether the open commands were applied before the session was forgotten nobody knows: they may not be asked for again under another.
      open.removeAll()
      openBytes = waiting.reduce(0) { $0 + $1.bytes.count }
      self.session = nil
      openingAsked = nil
    }
  }

  mutating func answerQuestions(_ out: inout Effects<RaftNode>) {
    guard machine.takesQuestions else { return }
    for batch in questions.take(applied: machine.applied) {
      // What the leader had committed when it was asked is applied: this member's state is no older than the question.
      freshAsOf = freshAsOf.map { max($0, batch.began) } ?? batch.began
      for question in batch.questions { out.reply(question.client, .answer(machine.machine.query(question.bytes))) }
    }
  }

  mutating func forget(_ client: SessionID) {
    waiting.removeAll { command in
      guard command.client == client else { return false }
      openBytes -= command.bytes.count
      return true
    }
    questions.forget(client)
    // A command that was proposed stays open: it is asked for again until its number is used up, so that the window moves on.
  }
}
