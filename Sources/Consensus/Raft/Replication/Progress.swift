import StrataNodes

/// What a leader knows about one member.
public struct Progress: Hashable, Sendable {
  /// How a leader sends to it.
  public enum State: Hashable, Sendable {
    /// One append at a time, to find where the logs agree.
    case probe
    /// As many appends as the window holds, without waiting.
    case replicate
    /// Nothing before it has the snapshot that ends at this index.
    case snapshot(pending: LogIndex)
  }

  /// Everything up to here is durable at the member. Never decreases during a term.
  public internal(set) var match: LogIndex
  /// The next entry to send; always greater than ``match`` once the member was heard.
  public internal(set) var next: LogIndex
  /// How it is sent to.
  public internal(set) var state = State.probe
  /// Whether it was heard since the last check of the quorum.
  public internal(set) var isActive: Bool
  /// Whether it counts for nothing.
  public internal(set) var isLearner: Bool
  /// Whether a probe is out.
  var isProbing = false
  /// Ticks since a snapshot was sent.
  var snapshotAge = 0
  /// The greatest commit mark it was sent by an append.
  var toldCommit: LogIndex = 0
  /// The greatest round of heartbeats it has answered.
  var round: UInt64 = 0
  /// The greatest round of heartbeats in whose answer it said that it rests.
  var restedRound: UInt64 = 0
  var inflights: Inflights

  init(next: LogIndex, isLearner: Bool, isActive: Bool, inflights: Inflights) {
    match = 0
    self.next = next
    self.isLearner = isLearner
    self.isActive = isActive
    self.inflights = inflights
  }

  /// How many appends it has not answered.
  public var inFlight: Int { inflights.count }

  /// Whether nothing may be sent to it now.
  public var isPaused: Bool {
    switch state {
    case .probe: isProbing
    case .replicate: inflights.isFull
    case .snapshot: true
    }
  }

  private mutating func reset(_ state: State) {
    self.state = state
    isProbing = false
    snapshotAge = 0
    inflights.reset()
  }

  mutating func becomeProbe() {
    if case .snapshot(let pending) = state {
      // The snapshot may have arrived although nobody said so.
      next = max(match + 1, pending + 1)
    } else {
      next = match + 1
    }
    reset(.probe)
  }

  mutating func becomeReplicate() {
    reset(.replicate)
    next = match + 1
  }

  mutating func becomeSnapshot(_ index: LogIndex) { reset(.snapshot(pending: index)) }

  /// A snapshot could not be delivered.
  mutating func snapshotFailed() {
    reset(.probe)
    next = match + 1
  }

  /// Everything up to `index` is durable there. Says whether that is news.
  mutating func acknowledge(_ index: LogIndex) -> Bool {
    next = max(next, index + 1)
    guard index > match else { return false }
    match = index
    isProbing = false
    return true
  }

  /// An append behind `rejected` was refused; the logs may agree at `hint`. Says whether the answer is to what was sent last and not to
  /// something older.
  mutating func reject(_ rejected: LogIndex, hint: LogIndex) -> Bool {
    // It holds what it once acknowledged, so this is an old answer; or it lost that without knowing, and would refuse whatever it is sent now:
    // were it sent more for each refusal, the two would go on as fast as the network does. Heartbeats ask again.
    if rejected <= match { return false }
    if case .replicate = state {
      next = match + 1
      return true
    }
    guard next == rejected + 1 else { return false }
    next = max(min(rejected, hint + 1), match + 1)
    isProbing = false
    return true
  }

  /// Notes that entries up to `last` were sent.
  mutating func sent(upTo last: LogIndex, count: Int, bytes: Int) {
    switch state {
    case .replicate:
      if count > 0 {
        next = last + 1
        inflights.add(last: last, bytes: bytes)
      }
    case .probe: isProbing = true
    case .snapshot: break
    }
  }
}

/// The members of a group and what a leader knows about each, in ascending order of their names.
struct Members {
  private(set) var conf = ConfState()
  private(set) var ids: [NodeID] = []
  var progress: [Progress] = []

  func place(of id: NodeID) -> Int? {
    for place in ids.indices where ids[place] == id { return place }
    return nil
  }

  subscript(id: NodeID) -> Progress? { place(of: id).map { progress[$0] } }

  /// Adopts a configuration; who stays keeps what is known about it.
  mutating func adopt(_ new: ConfState, next: LogIndex, inflights: Inflights) {
    let members = new.members
    progress = members.map { id in
      var known = self[id] ?? Progress(next: next, isLearner: false, isActive: true, inflights: inflights)
      known.isLearner = !new.isVoter(id)
      return known
    }
    ids = members
    conf = new
  }

  /// The index a quorum has reached.
  func committed() -> LogIndex {
    Quorum.reached(by: conf) { id in self.place(of: id).map { self.progress[$0].match } ?? 0 }
  }

  /// The round of heartbeats a quorum has answered.
  func confirmedRound() -> UInt64 {
    Quorum.reached(by: conf) { id in self.place(of: id).map { self.progress[$0].round } ?? 0 }
  }

  /// Whether a quorum was heard lately; `id` hears itself.
  func isQuorumActive(seenBy id: NodeID) -> Bool {
    Quorum.vote(of: conf) { member in self.place(of: member).map { member == id || self.progress[$0].isActive } ?? false } == .won
  }

  /// A tick has passed: snapshots that have been on their way for `limit` ticks are taken for lost.
  mutating func ageSnapshots(limit: Int) {
    for place in progress.indices {
      guard case .snapshot = progress[place].state else { continue }
      progress[place].snapshotAge += 1
      if progress[place].snapshotAge >= limit { progress[place].snapshotFailed() }
    }
  }

  /// Begins a new interval of listening.
  mutating func forgetActivity() {
    for place in progress.indices { progress[place].isActive = false }
  }
}
