import StrataNodes

// The client's side.
extension RaftNode {
  mutating func begin(_ request: Request, _ client: SessionID, _ out: inout Effects<RaftNode>) {
    switch request {
    case .command(let bytes):
      guard waiting.count + open.count < knobs.maxOpenRequests else { return out.reply(client, .refused("too many requests are open")) }
      waiting.append(Command(client: client, bytes: bytes))
      proposeWaiting()
    case .query(let bytes):
      guard questions.count < knobs.maxOpenRequests else { return out.reply(client, .refused("too many requests are open")) }
      lastQuestion += 1
      questions[lastQuestion] = Question(client: client, bytes: bytes)
      try? core.readIndex(lastQuestion)
    case .change(let change): answer(client, &out) { core throws(RaftError) in _ = try core.proposeConfChange(change) }
    case .transfer(let target): answer(client, &out) { core throws(RaftError) in try core.transferLeadership(to: target) }
    }
  }

  private mutating func answer(_ client: SessionID, _ out: inout Effects<RaftNode>, _ body: (inout RaftCore) throws(RaftError) -> Void) {
    do {
      try body(&core)
      out.reply(client, .proposed)
    } catch {
      out.reply(client, .refused(error.description))
    }
  }

  /// Proposes what waits, as far as the session has room; opens a session first where there is none.
  mutating func proposeWaiting() {
    guard !waiting.isEmpty else { return }
    guard let session else {
      if sessionAge == 0 {
        sessionAge = 1
        _ = try? core.propose([ReplicatedMachine<Machine>.opening(opener)])
      }
      return
    }
    let oldest = open.keys.min() ?? lastNumber + 1
    while let next = waiting.first, lastNumber + 1 < oldest + SessionTable.window {
      waiting.removeFirst()
      lastNumber += 1
      open[lastNumber] = next
      _ = try? core.propose([ReplicatedMachine<Machine>.command(session, lastNumber, next.bytes)])
    }
  }

  /// Messages get lost and leaders go: what has had no answer for long is asked for again, under the same number.
  mutating func repeatWhatIsOld() {
    if session == nil, sessionAge > 0 {
      sessionAge += 1
      if sessionAge > knobs.repeatTicks { sessionAge = 0 }
    }
    proposeWaiting()
    for number in open.keys.sorted() {
      open[number]?.age += 1
      guard let session, let command = open[number], command.age > knobs.repeatTicks else { continue }
      open[number]?.age = 0
      _ = try? core.propose([ReplicatedMachine<Machine>.command(session, number, command.bytes)])
    }
    for name in questions.keys.sorted() where questions[name]?.index == nil {
      questions[name]?.age += 1
      guard let question = questions[name], question.age > knobs.repeatTicks else { continue }
      questions[name]?.age = 0
      try? core.readIndex(name)
    }
  }

  mutating func conclude(_ event: ReplicatedMachine<Machine>.Event, _ out: inout Effects<RaftNode>) {
    switch event {
    case .opened(let opener, let session):
      guard opener == self.opener, self.session == nil else { return }
      self.session = session
      proposeWaiting()
    case .answered(let session, let number, let answer):
      guard session == self.session, let command = open.removeValue(forKey: number) else { return }
      out.reply(command.client, .answer(answer))
      proposeWaiting()
    case .tooOld(let session, let number): if session == self.session { open[number] = nil }
    case .unknown(let session):
      guard session == self.session else { return }
      // Whether the open commands were applied before the session was forgotten nobody knows: they may not be asked for again under another.
      open.removeAll()
      self.session = nil
      sessionAge = 0
    }
  }

  mutating func answerQuestions(_ out: inout Effects<RaftNode>) {
    guard !questions.isEmpty else { return }
    for name in questions.keys.sorted() {
      guard let question = questions[name], let index = question.index, index <= machine.applied else { continue }
      questions[name] = nil
      out.reply(question.client, .answer(machine.machine.query(question.bytes)))
    }
  }

  mutating func forget(_ client: SessionID) {
    waiting.removeAll { $0.client == client }
    for name in questions.keys.sorted() where questions[name]?.client == client { questions[name] = nil }
    // A command that was proposed stays open: it is asked for again until its number is used up, so that the window moves on.
  }
}
