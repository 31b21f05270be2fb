import StrataDisk

/// A protocol participant without I/O, clock or randomness of its own: what happens to it comes in as an ``Input``, what it wants done
/// goes out as ``Effects``, and nothing else passes.
///
/// A node is a value: it can be copied, forked and compared, so a simulator may run a whole cluster in one thread under virtual time, and
/// an explorer may try every next event from the same state. The same type runs for real on a host.
///
/// **What a runner promises.** `receive` is called by one thread at a time, never from inside itself: a message is delivered later, never
/// in its sender's call stack. Messages may be lost, delayed, repeated and reordered. `now` never decreases during one incarnation. A
/// timer fires once, at or after its time, unless it was cancelled or set again. Writes become durable in the order they were given, and
/// `persisted(ticket)` comes only after the records of that write *and all before it* are durable.
///
/// **What a node promises.** Its behaviour is a function of its inputs, `now` and `random`: no clock, no task, no iteration order of a set
/// or dictionary, no hash value, no address and no floating point decides anything. A message that must follow durability is sent when
/// `persisted` arrives, never beside the write.
public protocol Node: Sendable {
  /// What nodes send each other.
  associatedtype Message: Sendable
  /// What a client asks of a node.
  associatedtype Request: Sendable
  /// What a node answers a client.
  associatedtype Response: Sendable
  /// The names of the node's timers. A timer set again under the same name replaces the one before.
  associatedtype Timer: Hashable & Sendable
  /// What a node writes to its log and finds there again after a crash.
  associatedtype Record: Sendable
  /// The settings of the protocol.
  associatedtype Knobs: NodeKnobs = NoKnobs

  /// A node as it comes up, with what its log still held. A first start has an empty log.
  ///
  /// - Parameters:
  ///   - id: the node's name.
  ///   - peers: the members the cluster was founded with, in ascending order, `id` among them. A protocol that changes its members keeps
  ///     them in its records and looks here only if the log is empty.
  ///   - durable: what the log still held.
  ///   - random: the node's own stream of random numbers.
  /// - Throws: ``RecoveryError`` if the log makes no sense; the node then stays down.
  static func recover(
    id: NodeID, peers: [NodeID], durable: DurableState<Record>, knobs: Knobs, at now: Instant, random: inout Random,
    _ out: inout Effects<Self>
  ) throws(RecoveryError) -> Self

  /// Takes one input and says what follows from it.
  mutating func receive(_ input: Input<Self>, at now: Instant, random: inout Random, _ out: inout Effects<Self>)

  /// Takes one of several inputs that have come together; what follows from it may wait for ``settle(at:random:_:)``. A node that has to do less
  /// for many inputs at once than for each has its own; for the others it is `receive`.
  mutating func absorb(_ input: Input<Self>, at now: Instant, random: inout Random, _ out: inout Effects<Self>)

  /// Says what follows from all inputs absorbed since the last time. A runner calls it soon after the last of them, before it waits for anything;
  /// to absorb one input and settle is to receive it.
  mutating func settle(at now: Instant, random: inout Random, _ out: inout Effects<Self>)
}

extension Node {
  /// Receives the input.
  @inlinable
  public mutating func absorb(_ input: Input<Self>, at now: Instant, random: inout Random, _ out: inout Effects<Self>) {
    receive(input, at: now, random: &random, &out)
  }

  /// Nothing is left to say.
  @inlinable
  public mutating func settle(at now: Instant, random: inout Random, _ out: inout Effects<Self>) {}
}

/// What happens to a node.
public enum Input<N: Node>: Sendable {
  /// A message arrived. `from` is who says to have sent it: a transport has authenticated it.
  case message(from: NodeID, N.Message)
  /// A timer has run out.
  case timer(N.Timer)
  /// Every record written up to and with this ticket's is durable.
  case persisted(Ticket)
  /// This ticket's records may be lost, and so may all later ones: the log takes nothing more in this incarnation.
  case persistFailed(Ticket, DiskError)
  /// A client asks. Reply under its session, or never: a client that hears nothing knows nothing.
  case request(SessionID, N.Request)
  /// The client of this session has gone; a reply reaches nobody.
  case cancelled(SessionID)
}

/// The settings of a protocol, which tests shrink to reach deep paths with little data.
public protocol NodeKnobs: Sendable {
  /// The settings a product would choose.
  init()

  /// Draws settings at random, small ones preferred, that must not change what the protocol promises.
  mutating func randomize(_ random: inout Random)
}

/// The settings of a protocol that has none.
public struct NoKnobs: NodeKnobs {
  /// Nothing.
  public init() {}

  /// Nothing.
  public mutating func randomize(_ random: inout Random) {}
}
