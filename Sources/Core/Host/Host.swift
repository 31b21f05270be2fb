import StrataJobs
import StrataNodes

/// Runs nodes for real: one thread, its own or an executor's, that gives any number of nodes, of any types, what happens to them, and carries out
/// what they want done.
///
/// It is the other runner of what the simulator runs. It keeps every promise of ``Node``: a node's inputs come one at a time and on this one
/// thread, `now` is a monotonic clock, and `persisted` comes when the node's ``NodeLog`` says so. The thread never waits for a disk or a network:
/// logs and transports take what they are given and answer later.
///
/// All functions may be called from any thread. Those that wait say so; they must not be called on the host's own thread, where completions run.
public final class Host: Sendable {
  let loop: HostLoop
  private let worker: Monitor<Worker?>

  /// A host with a thread of its own, which `name` names.
  public init(name: String = "host") {
    let loop = HostLoop()
    self.loop = loop
    worker = Monitor(Worker(name: name) { loop.run() })
  }

  /// A host on a thread of somebody else's, which its nodes share with whatever else runs there.
  public init(on executor: any HostExecutor) {
    let loop = HostLoop(on: executor)
    self.loop = loop
    worker = Monitor(nil)
    executor.begin { loop.turn() }
  }

  deinit { loop.stop() }

  /// Recovers a node from its log and runs it.
  ///
  /// Reads the log on the calling thread, so it waits for the disk. When it returns the node runs, and hears its timers and its peers.
  ///
  /// - Parameters:
  ///   - id: the node's name.
  ///   - group: what it has in common with the nodes it talks to; at most one node of a group per transport.
  ///   - peers: the members the cluster was founded with, in ascending order, `id` among them.
  ///   - log: what it writes to and recovers from. The caller goes on owning it and closes it after the node has stopped.
  ///   - codec: how its messages look on the wire.
  ///   - transport: how it reaches the others; a node without one hears only itself.
  ///   - seed: where its random numbers come from; drawn from the system where `nil`.
  ///   - observer: called on the host's thread after each turn of the node, with the node as it then is. Must be short.
  /// - Throws: ``HostError/cannotStart(_:)`` naming what the log or the transport said; ``HostError/unavailable(_:)`` after ``stop()``.
  public func run<N: Node>(
    _ type: N.Type = N.self, as id: NodeID, in group: GroupID = 0, peers: [NodeID], knobs: N.Knobs, log: any NodeLog<N.Record>,
    codec: any MessageCodec<N.Message>, over transport: (any Transport)? = nil, options: NodeOptions = NodeOptions(), seed: UInt64? = nil,
    observer: (@Sendable (borrowing N) -> Void)? = nil
  ) throws(HostError) -> HostedNode<N> {
    try run(
      type, as: id, in: group, log: log, codec: codec, over: transport, options: options, seed: seed, observer: observer
    ) { durable, now, random, out throws(RecoveryError) in
      try N.recover(id: id, peers: peers, durable: durable, knobs: knobs, at: now, random: &random, &out)
    }
  }

  /// As ``run(_:as:in:peers:knobs:log:codec:over:options:seed:observer:)``, for a node that needs more than its log to come up: `recover` makes it,
  /// in the place of ``Node/recover(id:peers:durable:knobs:at:random:_:)`` and under its rules.
  public func run<N: Node>(
    _ type: N.Type = N.self, as id: NodeID, in group: GroupID = 0, log: any NodeLog<N.Record>, codec: any MessageCodec<N.Message>,
    over transport: (any Transport)? = nil, options: NodeOptions = NodeOptions(), seed: UInt64? = nil,
    observer: (@Sendable (borrowing N) -> Void)? = nil,
    recover: (DurableState<N.Record>, Instant, inout Random, inout Effects<N>) throws(RecoveryError) -> N
  ) throws(HostError) -> HostedNode<N> {
    var random = Random(seed: seed ?? Self.drawnSeed())
    var out = Effects<N>()
    let node: N
    do throws(RecoveryError) {
      node = try recover(try log.recover(), Instant(nanoseconds: MonotonicClock.now()), &random, &out)
    } catch { throw .cannotStart(error.description) }
    let cell = NodeCell(
      node, id: id, group: group, random: random, out: out, log: log, codec: codec, transport: transport, options: options, observer: observer,
      loop: loop)
    if let transport {
      do throws(TransportError) { try transport.register(cell, for: group) } catch { throw .cannotStart(error.description) }
    }
    guard loop.schedule(cell) else {
      transport?.unregister(group)
      throw .unavailable(.stopped)
    }
    return HostedNode(cell: cell)
  }

  private static func drawnSeed() -> UInt64 {
    var generator = SystemRandomNumberGenerator()
    return generator.next()
  }

  /// Stops every node, as ``HostedNode/stop()`` does, and ends the thread. Waits until it has ended.
  public func stop() {
    loop.stop()
    worker.withLock { worker in
      worker?.join()
      worker = nil
    }
    loop.waitUntilFinished()
  }

  /// What the host has done since it was made.
  public var statistics: HostStatistics { loop.statistics }
}
