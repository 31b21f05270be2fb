import StrataNodes

/// The settings of a ``RaftNode``.
public struct RaftKnobs: NodeKnobs, Hashable {
  /// How long a tick takes.
  public var tick: Duration = .milliseconds(15)
  /// Ticks between heartbeats.
  public var heartbeatTicks = 1
  /// The least number of ticks without a leader before an election.
  public var electionTicks = 10
  /// Ticks without anything to do after which a group rests: no timer, no message and no work until something is asked of it. That its leader is gone
  /// then shows when somebody asks, so it is for hosts of many groups; 0 for never.
  public var restTicks = 0
  /// Whether elections are preceded by a question.
  public var preVote = true
  /// Whether leaders check that they are heard.
  public var checkQuorum = true
  /// How reads are made sure of.
  public var readMode = ReadMode.readIndex
  /// Bytes of entries in one message.
  public var maxBytesPerMessage = 1 << 20
  /// Appends one follower may leave unanswered.
  public var maxInflightMessages = 256
  /// Entries applied since the last snapshot that make a new one worth while.
  public var compactEntries = 100_000
  /// Bytes of entries in memory that make a new snapshot worth while.
  public var compactBytes = 64 << 20
  /// Bytes of state one snapshot may hold; it travels in one message, so the transport's bound on frames has to be above it. A larger state belongs
  /// into files that the snapshot names. A machine beyond it is not snapshotted; its log then grows to four times ``compactBytes``, from where on
  /// commands are refused.
  public var maxSnapshotBytes = 48 << 20
  /// Entries kept behind a snapshot for members that are a little behind.
  public var keptEntries = 10_000
  /// Ticks without an answer after which a request is repeated.
  public var repeatTicks = 20
  /// Requests a member holds; more are refused.
  public var maxOpenRequests = 10_000
  /// Bytes of commands a member holds; beyond it more are refused.
  public var maxOpenBytes = 64 << 20
  /// Commands a member may have open at once: the answers to so many are kept in the machine of every member.
  public var sessionWindow = 64
  /// Entries after which an unused session is forgotten. The same at every member.
  public var sessionLifetime: UInt64 = 1 << 20
  /// Sessions that are kept. The same at every member.
  public var maxSessions = 4096
  /// What is wrong on purpose, if anything.
  package var flaw: RaftFlaw?
  /// Whether sessions are ignored: a defect on purpose.
  package var appliesTwice = false
  /// Whether questions are answered while the machine is at work: a defect on purpose.
  package var asksAtWork = false

  /// The settings a product would choose.
  public init() {}

  /// Draws small windows, short logs and unlucky timing. Pre-vote, check-quorum and leases, without which liveness is not promised on
  /// every network, stay as they are.
  public mutating func randomize(_ random: inout Random) {
    // No election can succeed whose timeout is shorter than a few round trips and syncs.
    (tick, electionTicks) = [(.milliseconds(15), 10), (.milliseconds(15), 20), (.milliseconds(50), 4), (.milliseconds(40), 10)][random.below(4)]
    maxBytesPerMessage = [0, 200, 1 << 20][random.below(3)]
    maxInflightMessages = [1, 2, 256][random.below(3)]
    compactEntries = [4, 20, 100, 100_000][random.below(4)]
    keptEntries = [0, 3, 20][random.below(3)]
    repeatTicks = [5, 20, 60][random.below(3)]
    sessionLifetime = [10, 100, 1 << 20][random.below(3)]
    restTicks = [0, 0, 4, 12][random.below(4)]
  }

  func config(id: NodeID, seed: UInt64) -> RaftConfig {
    var config = RaftConfig(id: id, seed: seed)
    config.tick = tick
    config.heartbeatTicks = heartbeatTicks
    config.electionTicks = electionTicks
    config.preVote = preVote
    config.restTicks = restTicks
    config.checkQuorum = checkQuorum
    config.readMode = readMode
    config.maxBytesPerMessage = maxBytesPerMessage
    config.maxInflightMessages = maxInflightMessages
    config.asyncStorage = true
    config.combinesCommits = true
    config.flaw = flaw
    return config
  }
}
