/// What a node wants done, collected during one call and carried out by its runner afterwards.
///
/// Only the order of effects with one destination counts: two messages to one peer, two writes, the last setting of one timer. A runner
/// may batch, pipeline and commit in groups, so whatever must wait for durability waits for ``Input/persisted(_:)``.
public struct Effects<N: Node> {
  /// One thing to do.
  public enum Effect {
    /// Send a message; it may arrive never, once or several times. A message to the node itself takes the same way.
    case send(to: NodeID, N.Message)
    /// Fire a timer once, after a time on the node's own clock.
    case setTimer(N.Timer, after: Duration)
    /// Forget a timer.
    case cancelTimer(N.Timer)
    /// Add records to the log, all or none, and report `persisted` under the ticket when they are durable.
    case persist([N.Record], Ticket, Persistence)
    /// Replace everything the log holds by these records, all or none, and report `persisted` under the ticket.
    case checkpoint([N.Record], Ticket)
    /// Answer a client.
    case reply(SessionID, N.Response)
    /// Stop: an invariant of the node is broken, and going on could make it worse.
    case halt(reason: String)
  }

  /// What to do, in the order it was asked for. A runner takes it and empties it.
  @inlinable public var pending: [Effect] { list }
  @usableFromInline var list: [Effect] = []

  /// What a simulator listens to; absent outside one.
  @usableFromInline let observer: (any EffectsObserver)?

  /// An empty list, with the simulator that watches if there is one.
  @inlinable
  public init(observer: (any EffectsObserver)? = nil) { self.observer = observer }

  /// Sends `message` to `node`.
  @inlinable
  public mutating func send(to node: NodeID, _ message: N.Message) { list.append(.send(to: node, message)) }

  /// Fires `timer` once when `duration` has passed on the node's clock; at once where it is negative. Replaces the same timer's earlier setting.
  @inlinable
  public mutating func setTimer(_ timer: N.Timer, after duration: Duration) { list.append(.setTimer(timer, after: duration)) }

  /// Forgets `timer`; nothing happens if it was not set.
  @inlinable
  public mutating func cancelTimer(_ timer: N.Timer) { list.append(.cancelTimer(timer)) }

  /// Adds `records` to the log, all or none.
  ///
  /// With `.sync` the runner makes them durable now and reports `persisted(ticket)`. With `.buffered` they go along with the next write
  /// that is synced and nothing is reported on their own; they may be lost in a crash until then.
  @inlinable
  public mutating func persist(_ records: [N.Record], _ ticket: Ticket, _ persistence: Persistence = .sync) {
    list.append(.persist(records, ticket, persistence))
  }

  /// Makes `records` the whole content of the log, in one atomic step: after a crash either the old log is there or the new one. Reports
  /// `persisted(ticket)`.
  @inlinable
  public mutating func checkpoint(_ records: [N.Record], _ ticket: Ticket) { list.append(.checkpoint(records, ticket)) }

  /// Answers the client of `session`. A session is answered once; the runner drops what comes after, and what comes after it has gone.
  @inlinable
  public mutating func reply(_ session: SessionID, _ response: N.Response) { list.append(.reply(session, response)) }

  /// Stops the node because an invariant is broken. `reason` says which, with the numbers. Effects after this one are not carried out.
  @inlinable
  public mutating func halt(_ reason: String) { list.append(.halt(reason: reason)) }

  /// Removes all effects and keeps the memory.
  @inlinable
  public mutating func removeAll() { list.removeAll(keepingCapacity: true) }

  /// A line for the trace of a simulated run. The text is made only if somebody reads it.
  @inlinable
  public func trace(_ text: @autoclosure () -> String) {
    if let observer, observer.isTracing { observer.trace(text()) }
  }

  /// Whether to take an unlikely but allowed way here: to flush early, to answer with less, to time out at once. Always false outside a
  /// simulator. In one, a quarter of all runs make a site active, and an active site fires with the probability given.
  @inlinable
  public func buggify(_ site: StaticString, fires: Int = 1, in visits: Int = 4) -> Bool {
    guard let observer else { return false }
    return observer.buggify(site, fires: fires, in: visits)
  }

  /// Notes that a situation worth reaching was reached if `condition` holds. A long hunt in which a named situation never came up fails:
  /// it has not tested what it says.
  @inlinable
  public func sometimes(_ name: StaticString, _ condition: Bool = true) {
    if let observer { observer.sometimes(name, condition) }
  }

  /// States what must always hold; a simulator stops at the first time it does not.
  @inlinable
  public func always(_ name: StaticString, _ condition: Bool) {
    if let observer, !condition { observer.broken(name) }
  }
}

/// When records given to ``Effects/persist(_:_:_:)`` become durable.
public enum Persistence: Hashable, Sendable {
  /// Now; the node is told when.
  case sync
  /// Together with the next write that is synced.
  case buffered
}

/// The side of a simulator that a node's effects talk to while it runs.
public protocol EffectsObserver: AnyObject {
  /// Whether traces are kept.
  var isTracing: Bool { get }
  /// Takes one line of the running node's trace.
  func trace(_ text: String)
  /// Decides whether a site fires.
  func buggify(_ site: StaticString, fires: Int, in visits: Int) -> Bool
  /// Counts a situation.
  func sometimes(_ name: StaticString, _ condition: Bool)
  /// Hears of a broken invariant.
  func broken(_ name: StaticString)
}
