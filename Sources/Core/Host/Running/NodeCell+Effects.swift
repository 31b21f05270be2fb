import StrataDisk
import StrataJobs
import StrataNodes

// What a node wants done. Timers, messages and answers are noted at once, so that what comes later in the same turn finds them as the node left them;
// writes are collected until the turn's end and given to the log as one batch.
extension NodeCell {
  func carryOut(_ now: Instant) {
    for effect in out.pending {
      if ended != nil { break }
      switch effect {
      case .send(let peer, let message): send(message, to: peer)
      case .setTimer(let timer, let delay): set(timer, at: delay > .zero ? now + delay : now)
      case .cancelTimer(let timer): timers[timer] = nil
      case .persist(let records, let ticket, let persistence): write(records, ticket, persistence)
      case .checkpoint(let records, let ticket): replaceLog(records, ticket)
      case .reply(let session, let response):
        if close(session, .success(response)) { statistics.replies += 1 } else { statistics.repliesDropped += 1 }
      case .halt(let reason): ended = .halted(reason)
      }
    }
    out.removeAll()
  }

  // MARK: Writes

  private func write(_ records: [N.Record], _ ticket: Ticket, _ persistence: Persistence) {
    statistics.writes += 1
    guard !hasLogFailed else { return statistics.writesDropped += 1 }
    writes.append(records)
    if persistence == .sync { tickets.append(ticket) }
  }

  /// Gives the log what was written in this turn.
  func flushWrites() {
    guard !writes.isEmpty, ended == nil, let log else { return }
    statistics.writeBatches += 1
    var batch: [[N.Record]] = []
    swap(&batch, &writes)
    if tickets.isEmpty { return log.append(batch, whenDurable: nil) }
    log.append(batch, whenDurable: beginFlight())
  }

  private func replaceLog(_ records: [N.Record], _ ticket: Ticket) {
    statistics.checkpoints += 1
    guard !hasLogFailed else { return statistics.writesDropped += 1 }
    flushWrites()
    tickets.append(ticket)
    log?.checkpoint(records, whenDurable: beginFlight())
  }

  /// Takes the tickets collected so far; what it returns hears when they are durable.
  private func beginFlight() -> @Sendable (DiskError?) -> Void {
    lastFlight += 1
    let number = lastFlight
    flights.append(Flight(number: number, tickets: tickets, began: MonotonicClock.now()))
    tickets = []
    return { error in self.reportDurable(number, error) }
  }

  /// The log has answered for a flight, and so for all before it.
  func wentDurable(_ number: UInt64, _ error: DiskError?, _ now: Instant) {
    guard !hasLogFailed else { return }
    if let error { return logFailed(error, now) }
    while let flight = flights.first, flight.number <= number, ended == nil {
      flights.removeFirst()
      latencies.syncs.record(nanoseconds: MonotonicClock.now() &- flight.began)
      for ticket in flight.tickets where ended == nil { give(.persisted(ticket), now) }
    }
  }

  /// Nothing is acknowledged any more: the node hears it once, whoever waits is told, and no request is taken.
  private func logFailed(_ error: DiskError, _ now: Instant) {
    hasLogFailed = true
    inbox.withLock { $0.refusal = .logFailed(error) }
    let ticket = flights.first?.tickets.first
    flights = []
    statistics.writesDropped += UInt64(writes.count)
    writes = []
    tickets = []
    if let ticket { give(.persistFailed(ticket, error), now) }
    closeAll(.logFailed(error))
  }

  // MARK: Time

  private func set(_ timer: N.Timer, at time: Instant) {
    lastGeneration += 1
    timers[timer] = lastGeneration
    wakeUps.insert(.timer(timer, generation: lastGeneration), at: time.nanoseconds)
  }

  /// Fires what is due, but nothing that was set meanwhile: a timer that sets itself again at once waits for the next turn.
  func fireDue(_ now: Instant) {
    let newest = wakeUps.newest
    while let first = wakeUps.first, first.at <= now.nanoseconds, first.order <= newest, ended == nil, let entry = wakeUps.removeFirst() {
      switch entry.element {
      case .timer(let timer, let generation):
        guard timers[timer] == generation else { continue }
        timers[timer] = nil
        statistics.timersFired += 1
        give(.timer(timer), now)
      case .deadline(let session):
        guard close(session, .failure(.outcomeUnknown(.deadline))) else { continue }
        statistics.requestsExpired += 1
        give(.cancelled(session), now)
      }
    }
  }

  /// Says when the cell wants its next turn, and clears out entries that mean nothing any more once they are the greater part.
  func schedule() {
    if wakeUps.count > 2 * (timers.count + sessions.count) + 64 {
      wakeUps.keep { wakeUp in
        switch wakeUp {
        case .timer(let timer, let generation): timers[timer] == generation
        case .deadline(let session): sessions[session] != nil
        }
      }
    }
    wakesAt = wakeUps.first.map { slackened($0.at) } ?? .max
  }

  /// The next moment at which this host's nodes with the same slack wake together.
  private func slackened(_ time: UInt64) -> UInt64 {
    guard slack > 1 else { return time }
    let (raised, isBeyond) = time.addingReportingOverflow(slack - 1)
    return isBeyond ? .max : raised / slack * slack
  }
}
