import StrataJobs

/// The bounds of one hosted node.
public struct NodeOptions: Sendable {
  /// Requests without an answer; more are refused with ``HostError/overloaded(limit:)``.
  public var maxOpenRequests = 100_000
  /// Messages that wait for the node's turn; what arrives beyond that is dropped and counted.
  public var maxQueuedMessages = 65_536
  /// Bytes of messages that wait for the node's turn; what arrives beyond that is dropped and counted, but one message always fits.
  public var maxQueuedBytes = 256 << 20
  /// How much later than asked a timer may run out, so that those of many nodes run out together: one turn then serves all of them, and what they
  /// send one peer leaves in one batch. A node with nothing else to do wakes for its timers at multiples of it; zero for each at its own time.
  public var timerSlack: Duration = .zero
  /// Where the node's latencies are counted; in histograms of its own where `nil`, which take 8 KiB. Nodes of one host may share theirs.
  public var latencies: NodeLatencies?
  /// How long a request waits for its answer if it does not say.
  public var deadline: Duration = .seconds(10)

  /// The defaults.
  public init() {}
}

/// How long things took at a node, or at several of one host.
public final class NodeLatencies: Sendable {
  /// From a request's turn to its answer.
  public let answers = LatencyHistogram()
  /// From a write to its durability.
  public let syncs = LatencyHistogram()

  /// Nothing recorded.
  public init() {}
}

/// What a ``Host`` has done.
public struct HostStatistics: Hashable, Sendable {
  /// How often the thread found something to do.
  public internal(set) var turns: UInt64 = 0
  /// How often a node was given what had come for it.
  public internal(set) var nodeTurns: UInt64 = 0
  /// Batches of frames given to transports.
  public internal(set) var batchesSent: UInt64 = 0
  /// Nodes that run.
  public internal(set) var nodes = 0
  /// The longest turn, in nanoseconds: what every node on the host may have to wait.
  public internal(set) var longestTurnNanoseconds: UInt64 = 0

  init() {}
}

/// What happened at one hosted node since it came up.
public struct NodeStatistics: Hashable, Sendable {
  /// Messages it was given.
  public internal(set) var messagesReceived: UInt64 = 0
  /// Messages dropped because too many waited.
  public internal(set) var messagesDropped: UInt64 = 0
  /// Frames that were no message.
  public internal(set) var framesUndecodable: UInt64 = 0
  /// Messages it sent, those to itself counted.
  public internal(set) var messagesSent: UInt64 = 0
  /// Messages it wanted to send without a transport.
  public internal(set) var messagesUnsendable: UInt64 = 0
  /// Requests it was given.
  public internal(set) var requests: UInt64 = 0
  /// Requests it answered.
  public internal(set) var replies: UInt64 = 0
  /// Answers to requests that were answered or given up before.
  public internal(set) var repliesDropped: UInt64 = 0
  /// Requests refused because too many were open.
  public internal(set) var requestsRefused: UInt64 = 0
  /// Requests whose deadline passed.
  public internal(set) var requestsExpired: UInt64 = 0
  /// Requests that were given up.
  public internal(set) var requestsCancelled: UInt64 = 0
  /// Timers that ran out.
  public internal(set) var timersFired: UInt64 = 0
  /// Writes it asked for.
  public internal(set) var writes: UInt64 = 0
  /// Units they were given to the log in.
  public internal(set) var writeBatches: UInt64 = 0
  /// Checkpoints it asked for.
  public internal(set) var checkpoints: UInt64 = 0
  /// Writes dropped because the log had failed.
  public internal(set) var writesDropped: UInt64 = 0

  init() {}
}
