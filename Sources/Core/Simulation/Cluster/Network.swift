import StrataNodes

/// How the links of a simulated network treat a message.
public struct NetworkConditions: Hashable, Sendable {
  /// What nodes send their messages through.
  public enum Carriage: Hashable, Sendable {
    /// Each message travels on its own: it may be lost, overtaken or doubled, and nothing else is touched by that.
    case datagrams
    /// Each direction between two nodes is a connection that keeps its order and breaks, as TCP: what is lost is everything behind some place, in the
    /// midst of a message perhaps, until there is a new connection. Loss, duplication and replay do not apply.
    case streams
  }

  /// What nodes send their messages through.
  public var carriage = Carriage.datagrams
  /// The least time a message travels, in nanoseconds.
  public var minimumLatency: UInt64 = 200_000
  /// The mean of what comes on top, exponentially distributed: what makes messages overtake each other.
  public var meanExtraLatency: UInt64 = 300_000
  /// How many messages are lost.
  public var loss: Probability = .never
  /// How many messages arrive twice.
  public var duplication: Probability = .never
  /// How many messages are delivered once more much later, up to ``replayWindow`` nanoseconds.
  public var replay: Probability = .never
  /// How late a replayed message may come.
  public var replayWindow: UInt64 = 2_000_000_000
  /// How many messages one link holds; one more pushes a random one out.
  public var capacity: Int = 4096
  /// How many messages a connection breaks under, of streams.
  public var resets: Probability = .never
  /// The mean time until there is a new connection, in nanoseconds, on top of a way there and back.
  public var meanReconnect: UInt64 = 5_000_000
  /// How many messages have bits flipped on their way; without effect where the simulator knows no ``SimulatedWire``.
  public var corruption: Probability = .never

  /// A quick network that loses nothing and keeps no order.
  public init() {}

  /// A network on which everything that may happen does.
  public static var hostile: NetworkConditions {
    var conditions = NetworkConditions()
    conditions.meanExtraLatency = 2_000_000
    conditions.loss = .percent(2)
    conditions.duplication = .percent(2)
    conditions.replay = Probability(partsPerMillion: 5000)
    return conditions
  }
}

/// One direction between two nodes.
@usableFromInline
struct Link {
  /// Draws everything that happens on this link and nothing else.
  @usableFromInline var random: Random
  /// How many partitions cut it now.
  @usableFromInline var cuts = 0
  /// Nothing arrives before this moment.
  @usableFromInline var cloggedUntil: UInt64 = 0
  @usableFromInline var inFlight = 0

  @inlinable
  init(random: Random) { self.random = random }
}

/// What became of the messages of a run. `sent + duplicated` equals `delivered + lost + corrupted + cut + refused` plus what is still travelling.
public struct NetworkStatistics: Hashable, Sendable {
  /// Messages nodes sent.
  public var sent = 0
  /// Copies the network made.
  public var duplicated = 0
  /// Messages that reached a running node.
  public var delivered = 0
  /// Messages the network lost, a filter kept, or that went with a connection or out of a full link.
  public var lost = 0
  /// Messages whose bytes were changed on their way, and which were refused for that.
  public var corrupted = 0
  /// Messages that ended at a partition.
  public var cut = 0
  /// Messages that reached a node that was down, or nobody.
  public var refused = 0
  /// Messages travelling.
  public var inFlight = 0

  /// Nothing yet.
  @inlinable
  public init() {}
}
