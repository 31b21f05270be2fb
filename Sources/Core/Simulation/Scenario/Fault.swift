import StrataNodes

/// Something that goes wrong at a moment of a run and, where it can, ends again.
///
/// A run's faults are an explicit list, so that each can be taken out alone: what a fault draws at random (what a crash leaves of a log) comes
/// from the stream of the node it hits.
public struct Fault: Hashable, Sendable {
  /// What goes wrong.
  public enum Effect: Hashable, Sendable {
    /// A node is down, having lost what was not durable.
    case down(NodeID)
    /// Every node is down.
    case powerLoss
    /// A node stands still.
    case paused(NodeID)
    /// A node takes so many nanoseconds for each input.
    case slow(NodeID, inputTime: UInt64)
    /// Nodes of different groups hear nothing of each other.
    case partition([[NodeID]])
    /// The first node's messages do not reach the second.
    case oneWay(from: NodeID, to: NodeID)
    /// The first node's messages reach the second only afterwards.
    case clog(from: NodeID, to: NodeID)
    /// A node's next sync fails; it crashes afterwards and comes up again.
    case failedSync(NodeID)
    /// A node's disk answers nothing.
    case stalledDisk(NodeID)
    /// A node is down and loses durable records, which it notices.
    case rot(NodeID)
    /// A node is down and gets an empty disk, which it notices.
    case wiped(NodeID)
    /// A node's clock runs so many millionths fast.
    case drift(NodeID, partsPerMillion: Int)
    /// A node's clock jumps ahead by so many nanoseconds.
    case clockJump(NodeID, UInt64)
    /// Nodes are clogged one after the other and let go in another order.
    case swizzleClog([NodeID])
    /// A node is down, comes up, and loses power again before anything it wrote as it came up is durable.
    case relapse(NodeID)
    /// A node is down and comes up with other settings, where the scenario has any: ``Scenario/otherKnobs(than:random:)``.
    case otherKnobs(NodeID)
  }

  /// When it begins, in nanoseconds of true time.
  public var start: UInt64
  /// How long it lasts. Effects of a moment ignore it.
  public var duration: UInt64
  /// What goes wrong.
  public var effect: Effect

  /// A fault at a moment, for a time.
  public init(_ effect: Effect, at start: UInt64, for duration: UInt64 = 0) {
    self.effect = effect
    self.start = start
    self.duration = duration
  }

  /// Its kind.
  public var kind: FaultKind {
    switch effect {
    case .down: .crash
    case .powerLoss: .powerLoss
    case .paused: .pause
    case .slow: .slow
    case .partition: .partition
    case .oneWay: .oneWay
    case .clog: .clog
    case .failedSync: .failedSync
    case .stalledDisk: .stalledDisk
    case .rot: .rot
    case .wiped: .wipe
    case .drift: .drift
    case .clockJump: .clockJump
    case .swizzleClog: .swizzleClog
    case .relapse: .relapse
    case .otherKnobs: .otherKnobs
    }
  }

  /// The one node it hits, if it is one.
  public var node: NodeID? {
    switch effect {
    case .down(let id), .paused(let id), .slow(let id, _), .failedSync(let id), .stalledDisk(let id), .rot(let id), .wiped(let id),
      .drift(let id, _), .clockJump(let id, _), .relapse(let id), .otherKnobs(let id):
      id
    case .powerLoss, .partition, .oneWay, .clog, .swizzleClog: nil
    }
  }
}

/// The kinds of things that go wrong, each of which a run may have or not.
public enum FaultKind: String, Hashable, Sendable, CaseIterable {
  case crash, powerLoss, pause, slow, partition, oneWay, clog, failedSync, stalledDisk, rot, wipe, drift, clockJump
  case loss, duplication, replay, buggify, knobs, adversary
  case swizzleClog, relapse, otherKnobs, streams, corruption

  /// Those that are in force for a whole run, and have no moment.
  static let lasting: Set<FaultKind> = [.loss, .duplication, .replay, .buggify, .knobs, .adversary, .streams, .corruption]

  /// How many runs of four know the kind.
  var runsOfFour: Int {
    switch self {
    // An adversary has tastes of its own, of which it uses some.
    case .adversary: 3
    case .swizzleClog, .relapse, .otherKnobs, .streams, .corruption: 1
    default: 2
    }
  }
}
