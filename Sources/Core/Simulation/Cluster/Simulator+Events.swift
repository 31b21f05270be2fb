import StrataDisk
import StrataJobs
import StrataNodes

extension Simulator {
  /// Carries out one event and returns what the world outside sees of it.
  @inlinable
  func carryOut(_ event: consuming ClusterEvent<N>) -> Happening? {
    switch consume event {
    case .delivery(let from, let to, let message, let cause): deliver(message, from: from, to: to, cause: cause)
    case .arrival(let link, let generation): arrive(link, generation: generation)
    case .clog(let index, let until): clogAll(index, until: until)
    case .timer(let index, let timer, let setting, let incarnation, let cause):
      fire(timer, at: index, setting: setting, incarnation: incarnation, cause: cause)
    case .synced(let index, let incarnation, let cause): endSync(at: index, incarnation: incarnation, cause: cause)
    case .request(let index, let session, let request, let cause): ask(request, session, at: index, cause: cause)
    case .cancellation(let index, let session):
      if isReady(index, or: .cancellation(index, session)) { give(.cancelled(session), to: index, .cancel, cause: 0) { "\(session)" } }
    case .reply(let session, let response, let cause):
      guard core.pointee.openSessions.removeValue(forKey: session) != nil else { return nil }
      record(.reply, node: -1, cause: cause, text: "\(session) \(response)")
      if core.pointee.keepsAnswers { core.pointee.answers[session] = response }
      return .reply(session, response)
    case .loss(let session, let known):
      core.pointee.openSessions.removeValue(forKey: session)
      record(.lost, node: -1, cause: 0, text: "\(session)\(known ? " refused" : "")")
      return .lost(session, refused: known)
    case .alarm(let name): return .alarm(name)
    }
    return nil
  }

  @inlinable
  func deliver(_ message: N.Message, from: Int, to: Int, cause: UInt64) {
    let link = from * ids.count + to
    if core.pointee.links[link].cuts > 0 {
      core.pointee.links[link].inFlight -= 1
      core.pointee.networkCounts.inFlight -= 1
      core.pointee.networkCounts.cut += 1
      record(.cut, node: to, peer: from, cause: cause, text: text(of: message))
      return
    }
    if core.pointee.links[link].cloggedUntil > now {
      push(.delivery(from: from, to: to, message, cause: cause), at: core.pointee.links[link].cloggedUntil)
      return
    }
    if nodes[to].condition != .down, !isReady(to, or: .delivery(from: from, to: to, message, cause: cause)) { return }
    core.pointee.links[link].inFlight -= 1
    core.pointee.networkCounts.inFlight -= 1
    guard nodes[to].condition == .running else {
      core.pointee.networkCounts.refused += 1
      record(.refused, node: to, peer: from, cause: cause, text: text(of: message))
      return
    }
    core.pointee.networkCounts.delivered += 1
    give(.message(from: ids[from], message), to: to, .receive, peer: from, cause: cause) { text(of: message) }
  }

  @inlinable
  func fire(_ timer: N.Timer, at index: Int, setting: UInt64, incarnation: UInt32, cause: UInt64) {
    guard nodes[index].incarnation == incarnation, nodes[index].timers[timer] == setting else { return }
    guard isReady(index, or: .timer(index, timer, setting: setting, incarnation: incarnation, cause: cause)) else { return }
    nodes[index].timers[timer] = nil
    give(.timer(timer), to: index, .timer, cause: cause) { "\(timer)" }
  }

  @inlinable
  func ask(_ request: N.Request, _ session: SessionID, at index: Int, cause: UInt64) {
    guard core.pointee.openSessions[session] != nil else { return }
    guard nodes[index].condition != .down else {
      push(.loss(session, known: true), at: now &+ network.minimumLatency)
      return
    }
    guard isReady(index, or: .request(index, session, request, cause: cause)) else { return }
    give(.request(session, request), to: index, .request, cause: cause) { "\(session) \(request)" }
  }

  @inlinable
  func endSync(at index: Int, incarnation: UInt32, cause: UInt64) {
    guard nodes[index].incarnation == incarnation, nodes[index].condition != .down else { return }
    if nodes[index].diskStalledUntil > now {
      push(.synced(index, incarnation: incarnation, cause: cause), at: nodes[index].diskStalledUntil)
      return
    }
    guard isReady(index, or: .synced(index, incarnation: incarnation, cause: cause)) else { return }
    switch nodes[index].log.endSync() {
    case .durable(let tickets, let startsAgain):
      if startsAgain { startSync(at: index, cause: cause) }
      for ticket in tickets where nodes[index].incarnation == incarnation && failure == nil {
        give(.persisted(ticket), to: index, .persisted, cause: cause) { "\(ticket)" }
      }
    case .failed(let tickets):
      for ticket in tickets where nodes[index].incarnation == incarnation && failure == nil {
        give(.persistFailed(ticket, simulatedSyncError), to: index, .persistFailed, cause: cause) { "\(ticket)" }
      }
    }
  }

  @inlinable
  func startSync(at index: Int, cause: UInt64) {
    nodes[index].log.startSync()
    let time = disk.minimumSync + nodes[index].diskRandom.exponential(mean: disk.meanExtraSync)
    push(.synced(index, incarnation: nodes[index].incarnation, cause: cause), at: now &+ time)
  }

  /// Whether the node can take an input now. If it is paused or busy the input is kept for later.
  @inlinable
  func isReady(_ index: Int, or event: @autoclosure () -> ClusterEvent<N>) -> Bool {
    switch nodes[index].condition {
    case .down: return false
    case .paused:
      nodes[index].backlog.append(event())
      return false
    case .running:
      if nodes[index].inputTime == 0 { return true }
      if nodes[index].busyUntil > now {
        push(event(), at: nodes[index].busyUntil)
        return false
      }
      nodes[index].busyUntil = now &+ nodes[index].inputTime
      return true
    }
  }

  /// Hands the node an input and carries out what it wants.
  @inlinable
  func give(
    _ input: consuming Input<N>, to index: Int, _ kind: TraceEvent.Kind, peer: Int = -1, cause: UInt64, _ text: () -> String
  ) {
    let instant = nodes[index].clock.reading(at: now)
    record(kind, node: index, peer: peer, cause: cause, text: text())
    probe.node = index
    nodes[index].node!.receive(consume input, at: instant, random: &nodes[index].random, &core.pointee.effects)
    nodes[index].node!.settle(at: instant, random: &nodes[index].random, &core.pointee.effects)
    finishCall(of: index)
  }

  /// What follows every call of a node: its notes, its effects, its state for the trace.
  @inlinable
  func finishCall(of index: Int) {
    if probe.isTracing {
      for line in probe.takeLines() { record(.note, node: index, cause: eventCount, text: line) }
      if core.pointee.trace?.keepsStates == true { core.pointee.trace?.setState(nodes[index].node.map(core.pointee.describe) ?? "-") }
    }
    if let name = probe.takeBroken() { fail("always \(name)", "a node said what must always hold does not", at: ids[index]) }
    if !core.pointee.effects.pending.isEmpty { carryOutEffects(of: index) }
    if let afterInput = core.pointee.afterInput, core.pointee.firstFailure == nil { afterInput(ids[index]) }
  }

  @inlinable
  func carryOutEffects(of index: Int) {
    defer { core.pointee.effects.removeAll() }
    for position in core.pointee.effects.pending.indices {
      switch core.pointee.effects.pending[position] {
      case .send(let to, let message): send(message, from: index, to: to)
      case .setTimer(let timer, let after): setTimer(timer, at: index, after: after)
      case .cancelTimer(let timer): nodes[index].timers[timer] = nil
      case .persist(let records, let ticket, let persistence):
        write(.init(records: records, ticket: ticket, wantsReport: persistence == .sync, replacesAll: false), at: index)
      case .checkpoint(let records, let ticket):
        write(.init(records: records, ticket: ticket, wantsReport: true, replacesAll: true), at: index)
      case .reply(let session, let response):
        guard core.pointee.openSessions[session] == index else { continue }
        let delay = network.minimumLatency + core.pointee.clients.exponential(mean: network.meanExtraLatency)
        push(.reply(session, response, cause: eventCount), at: now &+ delay)
      case .halt(let reason): return fail("halt", reason, at: ids[index])
      }
    }
  }

  @inlinable
  func send(_ message: N.Message, from: Int, to id: NodeID) {
    core.pointee.networkCounts.sent += 1
    guard let to = index(of: id) else {
      core.pointee.networkCounts.refused += 1
      return
    }
    let link = from * ids.count + to
    record(.send, node: from, peer: to, cause: eventCount, text: text(of: message))
    let conditions = conditions(of: link)
    if core.pointee.links[link].inFlight >= conditions.capacity || isKept(message, from, to) {
      core.pointee.networkCounts.lost += 1
      record(.dropped, node: to, peer: from, cause: eventCount, text: text(of: message))
      return
    }
    if conditions.carriage == .streams { return write(message, from: from, to: to, link) }
    if core.pointee.links[link].random.happens(conditions.loss) {
      core.pointee.networkCounts.lost += 1
      record(.dropped, node: to, peer: from, cause: eventCount, text: text(of: message))
      return
    }
    post(message, from: from, to: to, link, later: 0)
    if core.pointee.links[link].random.happens(conditions.duplication) {
      core.pointee.networkCounts.duplicated += 1
      post(message, from: from, to: to, link, later: 0)
    }
    if core.pointee.links[link].random.happens(conditions.replay) {
      core.pointee.networkCounts.duplicated += 1
      post(message, from: from, to: to, link, later: UInt64(core.pointee.links[link].random.below(Int(clamping: max(1, conditions.replayWindow)))))
    }
  }

  @inlinable
  func conditions(of link: Int) -> NetworkConditions {
    core.pointee.linkConditions.isEmpty ? core.pointee.network : core.pointee.linkConditions[link]
  }

  @inlinable
  func isKept(_ message: N.Message, _ from: Int, _ to: Int) -> Bool {
    if let filter = core.pointee.filter { filter(ids[from], ids[to], message) } else { false }
  }

  @inlinable
  func post(_ message: N.Message, from: Int, to: Int, _ link: Int, later: UInt64) {
    let conditions = conditions(of: link)
    let delay = conditions.minimumLatency + core.pointee.links[link].random.exponential(mean: conditions.meanExtraLatency) + later
    guard let message = wire == nil ? message : carried(message, from: from, to: to, link) else { return }
    core.pointee.links[link].inFlight += 1
    core.pointee.networkCounts.inFlight += 1
    push(.delivery(from: from, to: to, message, cause: eventCount), at: now &+ delay)
  }

  /// The message as the receiver will read it from its bytes; nothing if they were damaged and are refused.
  @usableFromInline
  func carried(_ message: N.Message, from: Int, to: Int, _ link: Int) -> N.Message? {
    guard let wire else { return message }
    var frame = wire.frame(message)
    flip(&frame, link)
    switch wire.open(frame, from: ids[from]) {
    case .message(let message): return message
    case .wrong(let why): fail("codec", why, at: ids[from])
    case .damaged: record(.dropped, node: to, peer: from, cause: eventCount, text: "\(text(of: message)) (damaged)")
    }
    core.pointee.networkCounts.corrupted += 1
    return nil
  }

  @inlinable
  func setTimer(_ timer: N.Timer, at index: Int, after: Duration) {
    nodes[index].timerSettings += 1
    let setting = nodes[index].timerSettings
    nodes[index].timers[timer] = setting
    let delay = nodes[index].clock.trueTime(of: max(0, after.nanoseconds))
    push(
      .timer(index, timer, setting: setting, incarnation: nodes[index].incarnation, cause: eventCount),
      at: now.addingReportingOverflow(delay).overflow ? .max : now + delay)
  }

  @inlinable
  func write(_ write: SimulatedLog<N.Record>.Write, at index: Int) {
    if nodes[index].log.isPoisoned {
      if write.wantsReport {
        nodes[index].log.refuse(write.ticket)
        push(.synced(index, incarnation: nodes[index].incarnation, cause: eventCount), at: now &+ disk.minimumSync)
      }
      return
    }
    if nodes[index].log.write(write) { startSync(at: index, cause: eventCount) }
  }

  @inlinable
  func text(of message: N.Message) -> String { core.pointee.describeMessage(message) }

  /// Notes an event in the digest and, if there is one, the trace.
  @inlinable
  func record(_ kind: TraceEvent.Kind, node: Int, peer: Int = -1, cause: UInt64, text: @autoclosure () -> String) {
    core.pointee.digest.mix(
      now, UInt64(kind.rawValue) << 48 ^ UInt64(UInt16(truncatingIfNeeded: node)) << 16 ^ UInt64(UInt16(truncatingIfNeeded: peer)))
    guard probe.isTracing else { return }
    let text = text()
    core.pointee.digest.mix(text)
    core.pointee.trace?.append(TraceEvent(event: eventCount, time: now, kind: kind, node: node, peer: peer, cause: cause, text: text))
  }
}

/// What a node hears when a simulated sync fails.
@usableFromInline let simulatedSyncError = DiskError.io(errno: 5, operation: .sync, path: "log", offset: 0)
