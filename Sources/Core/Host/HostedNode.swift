import StrataJobs
import StrataNodes

/// A node that runs on a ``Host``: where its clients' requests go in. Safe from any thread. The host keeps the node, not this object.
public final class HostedNode<N: Node>: Sendable {
  /// What a client hears: the answer, or why there is none.
  public typealias Completion = @Sendable (Result<N.Response, HostError>) -> Void

  let cell: NodeCell<N>

  init(cell: NodeCell<N>) { self.cell = cell }

  /// The node's name.
  public var id: NodeID { cell.id }

  /// The group it belongs to.
  public var group: GroupID { cell.group }

  /// Hands a request to the node. Waits for nothing.
  ///
  /// - Parameters:
  ///   - deadline: how long to wait for the answer; then `completion` hears ``HostError/outcomeUnknown(_:)``. `nil` for the node's own default.
  ///   - completion: called once: on the host's thread, or, where the request is refused, on this one before this function returns. Must be
  ///     short; it may make further requests.
  /// - Returns: the name under which ``cancel(_:)`` knows it.
  @discardableResult
  public func request(_ request: N.Request, deadline: Duration? = nil, _ completion: @escaping Completion) -> SessionID {
    let session = cell.nextSession()
    cell.request(request, as: session, deadline: deadline, completion)
    return session
  }

  /// Hands a request to the node and suspends until it is answered, or refused, or its deadline has passed. A cancelled task gives the request up.
  ///
  /// - Throws: ``HostError``; only ``HostError/outcomeUnknown(_:)`` leaves open whether the request has its effect.
  public func request(_ request: N.Request, deadline: Duration? = nil) async throws(HostError) -> N.Response {
    let session = cell.nextSession()
    let result = await withTaskCancellationHandler {
      await withUnsafeContinuation { continuation in
        cell.request(request, as: session, deadline: deadline) { continuation.resume(returning: $0) }
        // A cancellation that came before the request was there has found nothing to give up.
        if Task.isCancelled { cell.cancel(session) }
      }
    } onCancel: {
      cell.cancel(session)
    }
    return try result.get()
  }

  /// Gives a request up: its completion hears ``HostError/Loss/cancelled`` unless it was called before, and the node is told.
  public func cancel(_ session: SessionID) { cell.cancel(session) }

  /// Looks at the node on the host's thread and waits for what `body` found.
  ///
  /// - Throws: ``HostError/unavailable(_:)`` if the node has ended.
  public func inspect<R: Sendable>(_ body: @escaping @Sendable (borrowing N) -> R) throws(HostError) -> R {
    let found = Monitor<Result<R, HostError>?>(nil)
    inspect(body) { result in
      found.withLock { $0 = result }
      found.broadcast()
    }
    guard let result = found.wait(until: { $0 }) else { throw .unavailable(.stopped) }
    return try result.get()
  }

  /// Looks at the node on the host's thread, where `completion` is called with what `body` found; must be short. Waits for nothing. Where the node
  /// has ended, `completion` may be called on this thread.
  public func inspect<R: Sendable>(
    _ body: @escaping @Sendable (borrowing N) -> R, _ completion: @escaping @Sendable (Result<R, HostError>) -> Void
  ) {
    cell.inspect(run: { completion(.success(body($0))) }, refused: { completion(.failure($0)) })
  }

  /// Gives the node a turn soon, in which it settles: something it looks at, a machine with a thread of its own say, has changed. Waits for nothing.
  public func wake() { cell.poke() }

  /// Stops the node and waits until it has: no completion, observer or write of its log begins after that. What it had asked its log to write may
  /// yet become durable. Open requests end with ``HostError/outcomeUnknown(_:)``. On the host's own thread the node stops right after the
  /// present turn instead.
  public func stop() { cell.stop() }

  /// Why the node takes no requests any more; `nil` while it does.
  public var ending: HostError.Ending? { cell.ending }

  /// What happened at this node since it came up, as of its last turn.
  public var statistics: NodeStatistics { cell.publishedStatistics }

  /// How long requests waited for their answers, from the turn in which the node was given them; those without an answer are not counted.
  public var answerLatency: LatencyHistogram { cell.latencies.answers }

  /// How long the log took to make writes durable that the node waited for.
  public var syncLatency: LatencyHistogram { cell.latencies.syncs }
}
