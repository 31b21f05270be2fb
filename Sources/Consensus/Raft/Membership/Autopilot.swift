import StrataNodes

/// What a leader may change about the members by itself, for those who ask for it: a voter that has been silent for long goes, a learner
/// that has kept up for a while gets a vote. One change at a time, and never below three voters.
///
/// It decides by what the leader knows itself: whom it has heard, and how far each member's log is. Whoever drives it shows it the leader's
/// status every second or so and proposes what it says; a change that is refused is said again.
public struct Autopilot: Sendable {
  /// How patient it is.
  public struct Settings: Hashable, Sendable {
    /// How long a voter must have been silent, under one leader and with unchanged members, before it is removed.
    public var silence: Duration = .seconds(600)
    /// How long a learner must have kept up before it gets a vote.
    public var inSync: Duration = .seconds(10)
    /// Entries by which a learner that keeps up may be behind at the moment of a look.
    public var maxLag: UInt64 = 1000

    /// Ten minutes, ten seconds.
    public init() {}
  }

  /// The least number of voters that a removal leaves.
  public static let minVoters = 3

  /// What it is.
  public let settings: Settings
  private var term: Term = 0
  private var conf = ConfState()
  /// When each member was last heard, or last found behind, since this leader began to lead with these members.
  private var heard: [NodeID: Instant] = [:]
  private var behind: [NodeID: Instant] = [:]

  /// An autopilot that has seen nothing.
  public init(_ settings: Settings = Settings()) { self.settings = settings }

  /// Looks at how the leader stands and says what to change, if anything. At a member that does not lead it forgets what it has seen.
  public mutating func look(at status: RaftStatus, now: Instant) -> ConfChange? {
    guard status.role == .leader, !status.confState.isJoint, status.transferee == 0 else {
      self = Autopilot(settings)
      return nil
    }
    if status.term != term || status.confState != conf {
      (term, conf) = (status.term, status.confState)
      let members = Dictionary(uniqueKeysWithValues: conf.members.map { ($0, now) })
      (heard, behind) = (members, members)
      return nil
    }
    for member in status.progress {
      if member.progress.isActive || member.id == status.id { heard[member.id] = now }
      if !isInSync(member.progress, status) { behind[member.id] = now }
    }
    return removal(status, now) ?? promotion(status, now)
  }

  private func isInSync(_ progress: Progress, _ status: RaftStatus) -> Bool {
    progress.isActive && progress.state == .replicate && progress.match + settings.maxLag >= status.commit
  }

  private func removal(_ status: RaftStatus, _ now: Instant) -> ConfChange? {
    let voters = conf.voters
    guard voters.count > Self.minVoters else { return nil }
    let silent = voters.filter { now - (heard[$0] ?? now) >= settings.silence }
    // A leader that does not hear a majority of those that would be left had better change nothing.
    let alive = status.progress.count { voters.contains($0.id) && ($0.progress.isActive || $0.id == status.id) }
    guard let oldest = silent.min(by: { (heard[$0] ?? now, $0) < (heard[$1] ?? now, $1) }), alive > (voters.count - 1) / 2 else { return nil }
    return ConfChange([.remove(oldest)])
  }

  private func promotion(_ status: RaftStatus, _ now: Instant) -> ConfChange? {
    let ready = conf.learners.first { now - (behind[$0] ?? now) >= settings.inSync }
    return ready.map { ConfChange([.addVoter($0)]) }
  }
}
