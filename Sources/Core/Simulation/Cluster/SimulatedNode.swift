import StrataNodes

/// The clock of one node: it starts anywhere and runs a little fast or slow.
@usableFromInline
struct DriftingClock {
  /// What it showed at `since`.
  @usableFromInline var base: UInt64
  @usableFromInline var since: UInt64
  /// How many millionths it runs fast; slow where negative.
  @usableFromInline var drift: Int64

  @inlinable
  init(showing base: UInt64, at time: UInt64, drift: Int64) {
    self.base = base
    self.since = time
    self.drift = drift
  }

  @inlinable
  func reading(at time: UInt64) -> Instant {
    let elapsed = Int64(clamping: time &- since)
    return Instant(nanoseconds: base &+ UInt64(elapsed) &+ UInt64(bitPattern: Self.part(elapsed, drift)))
  }

  /// How long `duration` on this clock takes in true time.
  @inlinable
  func trueTime(of duration: Int64) -> UInt64 { UInt64(clamping: duration - Self.part(duration, drift)) }

  mutating func setDrift(_ drift: Int64, at time: UInt64) {
    base = reading(at: time).nanoseconds
    since = time
    self.drift = drift
  }

  /// The machine slept, or its clock was set ahead.
  mutating func jump(_ ahead: UInt64) { base &+= ahead }

  @inlinable
  static func part(_ duration: Int64, _ millionths: Int64) -> Int64 {
    let (product, overflow) = duration.multipliedReportingOverflow(by: millionths)
    return overflow ? duration / 1_000_000 * millionths : product / 1_000_000
  }
}

/// One place in the cluster: a node that runs, or the log of one that is down.
@usableFromInline
struct SimulatedNode<N: Node> {
  @usableFromInline
  enum Condition: Hashable {
    case running, paused, down
  }

  @usableFromInline let id: NodeID
  /// The settings it comes up with next.
  @usableFromInline var knobs: N.Knobs
  @usableFromInline var condition = Condition.down
  /// The node, while it runs.
  @usableFromInline var node: N?
  /// Counts starts; what was meant for an earlier one is dropped.
  @usableFromInline var incarnation: UInt32 = 0
  @usableFromInline var log = SimulatedLog<N.Record>()
  @usableFromInline var clock = DriftingClock(showing: 0, at: 0, drift: 0)
  /// Which setting of each timer counts.
  @usableFromInline var timers: [N.Timer: UInt64] = [:]
  @usableFromInline var timerSettings: UInt64 = 0
  /// Draws what the node itself asks for.
  @usableFromInline var random: Random
  /// Draws how long its disk takes and what a crash leaves.
  @usableFromInline var diskRandom: Random
  /// What arrived while it was paused, in order.
  @usableFromInline var backlog: [ClusterEvent<N>] = []
  /// A slow node takes this long for each input.
  @usableFromInline var inputTime: UInt64 = 0
  @usableFromInline var busyUntil: UInt64 = 0
  /// The disk answers nothing before this moment.
  @usableFromInline var diskStalledUntil: UInt64 = 0

  @inlinable
  init(id: NodeID, knobs: N.Knobs, random: Random, diskRandom: Random) {
    self.id = id
    self.knobs = knobs
    self.random = random
    self.diskRandom = diskRandom
  }
}

/// What lies in the simulator's queue.
@usableFromInline
enum ClusterEvent<N: Node> {
  case delivery(from: Int, to: Int, N.Message, cause: UInt64)
  case arrival(link: Int, generation: UInt64)
  case clog(Int, until: UInt64)
  case timer(Int, N.Timer, setting: UInt64, incarnation: UInt32, cause: UInt64)
  case synced(Int, incarnation: UInt32, cause: UInt64)
  case request(Int, SessionID, N.Request, cause: UInt64)
  case cancellation(Int, SessionID)
  case reply(SessionID, N.Response, cause: UInt64)
  case loss(SessionID, known: Bool)
  case alarm(UInt64)
}
