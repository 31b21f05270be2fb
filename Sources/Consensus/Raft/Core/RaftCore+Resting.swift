import StrataNodes

// Rest: a group of which nothing is asked does nothing, so that one host can keep thousands. (CockroachDB calls it quiescence, TiKV hibernation.)
//
// A leader that has been idle for `restTicks` puts the last place of its log into its heartbeats. A member whose log ends there, durable, committed
// and applied, rests: its ticks stop, and it says so. When all others do, the leader rests as well. Whoever is given anything else to do wakes, and
// wakes the others by what it then sends.
//
// Nothing a member has promised depends on it. A follower that rests goes on refusing votes to others, which is more than it owes; a leader's lease
// runs out by the clock, and what is asked of it then takes a round of messages. What is given up is notice: that the leader of a resting group is
// gone shows when somebody asks the group, not before.
extension RaftCore {
  /// There is something to do: the group does not rest.
  mutating func wake() {
    idleTicks = 0
    offeredRound = 0
    guard isResting else { return }
    isResting = false
    electionElapsed = 0
    heartbeatElapsed = 0
    // Who was active then may have gone meanwhile.
    if role == .leader { members.forgetActivity() }
  }

  /// Whether a message is part of going to rest, or one that says nothing new.
  static func leavesAtRest(_ message: Message) -> Bool {
    switch message.kind {
    case .heartbeat: message.index > 0
    case .heartbeatResponse, .stored, .applied: true
    default: false
    }
  }

  /// Where a leader's log ends, if the group may rest there.
  var restingPlace: LogPlace? {
    guard config.restTicks > 0, idleTicks >= config.restTicks, role == .leader, transferee == 0, reads.count == 0 else { return nil }
    let last = log.lastPlace
    guard last.term == term, isSettled, members.conf.outgoing.isEmpty, pendingConfIndex <= log.applied else { return nil }
    for place in members.ids.indices where members.ids[place] != id {
      guard members.progress[place].state == .replicate, members.progress[place].match == last.index else { return nil }
    }
    return last
  }

  /// Whether the whole log is durable, committed and applied.
  private var isSettled: Bool {
    log.snapshot == nil && log.stable == log.last && log.committed == log.last && log.applied == log.last
  }

  /// A heartbeat has come that may let this node rest. Says whether it does.
  mutating func rest(_ message: Message) -> Bool {
    let place = LogPlace(term: message.logTerm, index: message.index)
    isResting = message.index > 0 && place == log.lastPlace && isSettled && !isRepairing && reads.count == 0
    return isResting
  }

  /// A member has answered a heartbeat; when all rest, so does the leader.
  mutating func noteRest(_ message: Message, at place: Int) {
    guard offeredRound > 0, message.index > 0, message.context >= offeredRound else { return }
    guard let last = restingPlace, last == LogPlace(term: message.logTerm, index: message.index) else { return }
    members.progress[place].restedRound = message.context
    restIfAllDo()
  }

  /// The leader rests when every other member does.
  mutating func restIfAllDo() {
    for other in members.ids.indices where members.ids[other] != id {
      if members.progress[other].restedRound < offeredRound { return }
    }
    isResting = true
    statistics.rests += 1
  }
}
