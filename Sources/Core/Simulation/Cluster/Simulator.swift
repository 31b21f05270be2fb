import StrataDisk
import StrataNodes

/// A cluster of nodes in one thread under virtual time, in which everything that chance decides follows from one seed.
///
/// The simulator runs nodes exactly as a host would: it delivers messages late, twice or never, fires timers by drifting clocks, makes
/// writes durable some time after they were asked for, and lets nodes crash between any two inputs. Nothing sent is handled inside its
/// sender's call. Each concern (every link, every disk, every node, every buggify site, the order of equal times) has a random stream of
/// its own, so that taking one fault out of a run does not reshuffle the others.
///
/// ```swift
/// let cluster = Simulator<Register>(nodes: 3, seed: 7)
/// cluster.isolate(1)
/// let session = cluster.ask(2, .write(5))
/// try cluster.run(until: { $0.answer(to: session) != nil }, within: .seconds(2))
/// ```
///
/// One thread at a time may use it.
public final class Simulator<N: Node> {
  /// What the world outside the cluster notices.
  public enum Happening {
    /// A client's answer arrived.
    case reply(SessionID, N.Response)
    /// A client's connection broke. If `refused` the request had no effect; otherwise it may or may not have one, now or later.
    case lost(SessionID, refused: Bool)
    /// An alarm of ``setAlarm(_:after:)`` is due.
    case alarm(UInt64)
  }

  /// The seed everything follows from.
  public let seed: UInt64
  /// How links treat messages; may be changed at any time.
  @inlinable public var network: NetworkConditions {
    get { core.pointee.network }
    set {
      core.pointee.network = newValue
      core.pointee.linkConditions = []
    }
  }
  /// How disks behave; may be changed at any time.
  @inlinable public var disk: LogConditions {
    get { core.pointee.disk }
    set { core.pointee.disk = newValue }
  }
  /// True time since the run began, in nanoseconds.
  @inlinable public var now: UInt64 { core.pointee.time }
  /// Events carried out so far.
  @inlinable public var eventCount: UInt64 { core.pointee.eventNumber }
  /// What became of the messages.
  public var networkStatistics: NetworkStatistics { core.pointee.networkCounts }
  /// The first broken invariant; the simulator stops there.
  @inlinable public var failure: SimulationFailure? { core.pointee.firstFailure }
  /// What the run leaves behind for a reader, if it is to leave anything.
  public var trace: Trace? { core.pointee.trace }
  /// A digest of everything that happened, equal for equal runs.
  public var digest: TraceDigest { core.pointee.digest }
  /// What the nodes noted and broke, and where they may take unlikely ways.
  @usableFromInline let probe: Probe
  /// How messages look on the wire; nothing carries them as values.
  @usableFromInline let wire: SimulatedWire<N.Message>?
  @usableFromInline let ids: [NodeID]
  /// Allocated once and owned by the simulator: a node is called in place, with its random stream beside it.
  @usableFromInline let nodes: UnsafeMutableBufferPointer<SimulatedNode<N>>
  /// Everything else that changes, behind a pointer of the simulator's own: each access to a stored property of a class is checked at run time,
  /// which took half of an event's time.
  @usableFromInline let core: UnsafeMutablePointer<SimulatorCore<N>>

  /// A cluster of `nodes` fresh nodes, named 1 ... `nodes`, all of which start at once.
  ///
  /// - Parameters:
  ///   - wire: how messages look on the wire, if they are to travel as bytes.
  ///   - buggify: whether sites of ``Effects/buggify(_:fires:in:)`` may fire.
  @inlinable
  public init(
    nodes count: Int, seed: UInt64, knobs: N.Knobs = N.Knobs(), wire: SimulatedWire<N.Message>? = nil, trace: Trace? = nil, buggify: Bool = true
  ) {
    precondition((1...256).contains(count), "a cluster has 1 to 256 nodes")
    let random = Random(seed: seed)
    self.seed = seed
    self.wire = wire
    probe = Probe(random: random.fork("buggify"), isTracing: trace != nil, buggifies: buggify)
    ids = (1...count).map { NodeID(UInt64($0)) }
    nodes = .allocate(capacity: count)
    for index in 0..<count {
      (nodes.baseAddress! + index).initialize(
        to: SimulatedNode(
          id: NodeID(UInt64(index + 1)), knobs: knobs, random: random.fork("node", index), diskRandom: random.fork("disk", index)))
    }
    core = .allocate(capacity: 1)
    core.initialize(
      to: SimulatorCore(
        links: (0..<count * count).map { Link(random: random.fork("link", $0)) }, effects: Effects(observer: probe),
        ties: random.fork("ties"), clients: random.fork("clients"), trace: trace))
    for index in 0..<count { start(index) }
  }

  deinit {
    nodes.deinitialize()
    nodes.deallocate()
    core.deinitialize(count: 1)
    core.deallocate()
  }

  /// The names of all nodes, in ascending order.
  public var nodeIDs: [NodeID] { ids }

  /// The node as it is now, or nothing while it is down.
  public func node(_ id: NodeID) -> N? { index(of: id).flatMap { nodes[$0].node } }

  /// Whether the node runs and is not paused.
  public func isRunning(_ id: NodeID) -> Bool { index(of: id).map { nodes[$0].condition == .running } ?? false }

  /// The records of the node that no crash can take.
  public func durableRecords(of id: NodeID) -> [N.Record] { index(of: id).map { nodes[$0].log.durable } ?? [] }

  /// How often each situation that nodes call ``Effects/sometimes(_:_:)`` came up, by name.
  public var situations: [String: Int] { probe.situations }

  @inlinable
  func index(of id: NodeID) -> Int? {
    let index = Int(truncatingIfNeeded: id.rawValue) - 1
    return nodes.indices.contains(index) ? index : nil
  }

  /// Carries out events up to and with the moment `limit`, and returns as soon as something outside the cluster happens. Returns nothing when the
  /// moment is reached or an invariant is broken.
  @inlinable
  public func next(until limit: UInt64) -> Happening? {
    while core.pointee.firstFailure == nil, let time = core.pointee.queue.nextTime, time <= limit {
      let (time, event) = core.pointee.queue.pop()
      core.pointee.time = time
      core.pointee.eventNumber += 1
      if let happening = carryOut(event) { return happening }
    }
    if failure == nil, limit > now, limit != .max { core.pointee.time = limit }
    return nil
  }

  @inlinable
  func push(_ event: consuming ClusterEvent<N>, at time: UInt64) {
    core.pointee.queue.push(event, at: time, tie: UInt32(truncatingIfNeeded: core.pointee.ties.next()))
  }

  /// Stops the run because of a broken invariant.
  public func fail(_ kind: String, _ explanation: String, at id: NodeID? = nil) {
    guard failure == nil else { return }
    core.pointee.firstFailure = SimulationFailure(kind: kind, explanation: explanation, node: id, time: now, event: eventCount)
    record(.failure, node: id.flatMap(index(of:)) ?? -1, cause: eventCount, text: "\(kind): \(explanation)")
  }

  // MARK: Clients

  /// Sends a request to a node and returns the session under which the answer, or the loss of it, is reported. It travels as long as a
  /// message does; a node that is down refuses it.
  @discardableResult
  public func ask(_ id: NodeID, _ request: N.Request) -> SessionID {
    core.pointee.sessions += 1
    let session = SessionID(core.pointee.sessions)
    guard let index = index(of: id) else {
      push(.loss(session, known: true), at: now)
      return session
    }
    core.pointee.openSessions[session] = index
    record(.ask, node: index, cause: 0, text: "\(session) \(request)")
    let delay = network.minimumLatency + core.pointee.clients.exponential(mean: network.meanExtraLatency)
    push(.request(index, session, request, cause: eventCount), at: now &+ delay)
    return session
  }

  /// The client of `session` gives up; its node hears of it unless it has gone itself.
  public func cancel(_ session: SessionID) {
    guard let index = core.pointee.openSessions.removeValue(forKey: session) else { return }
    push(.cancellation(index, session), at: now &+ network.minimumLatency)
  }

  /// Makes ``next(until:)`` return `.alarm(name)` after `delay` nanoseconds.
  public func setAlarm(_ name: UInt64, after delay: UInt64) { push(.alarm(name), at: now &+ delay) }
}

/// A broken invariant.
public struct SimulationFailure: Error, Hashable, Sendable, CustomStringConvertible {
  /// Which one: the same for the same defect, whatever the numbers.
  public let kind: String
  /// What happened, with the numbers.
  public let explanation: String
  /// At which node, if at one.
  public let node: NodeID?
  /// When, in nanoseconds of true time.
  public let time: UInt64
  /// After how many events.
  public let event: UInt64

  /// The invariant, the node, the moment and what happened.
  public var description: String {
    "\(kind)\(node.map { " at \($0)" } ?? "") after \(Instant(nanoseconds: time)) (event \(event)): \(explanation)"
  }
}
