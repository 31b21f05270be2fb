import StrataBytes
import StrataDisk
import StrataJobs
import StrataNodes
import Synchronization

/// One node with all that belongs to it: the inbox any thread may put something into, and, for the host's thread alone, the node, its timers, its
/// open requests and its writes.
// `inbox`, `published` and the atomics guard themselves; every other variable is touched by the host's thread alone once the cell runs.
final class NodeCell<N: Node>: HostCell, FrameReceiver, @unchecked Sendable {
  typealias Completion = HostedNode<N>.Completion

  /// Something for the node's next turn.
  enum Arrival {
    case message(from: NodeID, N.Message)
    case request(SessionID, N.Request, deadline: UInt64, Completion)
    case cancel(SessionID)
    case inspect(run: @Sendable (borrowing N) -> Void, refused: @Sendable (HostError) -> Void)
    case durable(flight: UInt64, DiskError?)
    case stop
  }

  struct Inbox {
    var arrivals: [Arrival] = []
    var isScheduled = false
    var messages = 0
    var messageBytes = 0
    /// Why requests are refused, if they are.
    var refusal: HostError.Ending?
    /// Whether nothing is taken any more.
    var hasEnded = false
    /// Whether the node is gone, and everybody who waited for it has been told.
    var isGone = false
  }

  enum WakeUp {
    case timer(N.Timer, generation: UInt64)
    case deadline(SessionID)
  }

  /// Writes whose durability the log has not reported.
  struct Flight {
    var number: UInt64
    var tickets: [Ticket]
    /// When the log was given them, on the monotonic clock.
    var began: UInt64
  }

  /// A request without an answer.
  struct Session {
    var completion: Completion
    /// When the node was given it, on the monotonic clock.
    var began: UInt64
  }

  // Any thread.
  let id: NodeID
  let group: GroupID
  let options: NodeOptions
  /// ``NodeOptions/timerSlack`` in nanoseconds.
  let slack: UInt64
  private let loop: HostLoop
  private let codec: any MessageCodec<N.Message>
  let inbox = Monitor(Inbox())
  private let published = Monitor(NodeStatistics())
  private let lastSession = Atomic<UInt64>(0)
  let openRequests = Atomic<Int>(0)
  let latencies: NodeLatencies
  private let messagesDropped = Atomic<UInt64>(0)
  private let undecodable = Atomic<UInt64>(0)
  private let requestsRefused = Atomic<UInt64>(0)

  // The host's thread.
  var node: N?
  var random: Random
  var out: Effects<N>
  var log: (any NodeLog<N.Record>)?
  private let transport: (any Transport)?
  private let observer: (@Sendable (borrowing N) -> Void)?
  private var outbox: Outbox?
  private var hasBegun = false
  private var batch: [Arrival] = []
  var ended: HostError.Ending?
  var hasLogFailed = false
  var sessions: [SessionID: Session] = [:]
  var answers: [(completion: Completion, result: Result<N.Response, HostError>)] = []
  var timers: [N.Timer: UInt64] = [:]
  var lastGeneration: UInt64 = 0
  var wakeUps = WakeUpHeap<WakeUp>()
  var writes: [[N.Record]] = []
  var tickets: [Ticket] = []
  var flights: [Flight] = []
  var lastFlight: UInt64 = 0
  var statistics = NodeStatistics()

  init(
    _ node: N, id: NodeID, group: GroupID, random: Random, out: Effects<N>, log: any NodeLog<N.Record>, codec: any MessageCodec<N.Message>,
    transport: (any Transport)?, options: NodeOptions, observer: (@Sendable (borrowing N) -> Void)?, loop: HostLoop
  ) {
    self.node = node
    self.id = id
    self.group = group
    self.random = random
    self.out = out
    self.log = log
    self.codec = codec
    self.transport = transport
    self.options = options
    latencies = options.latencies ?? NodeLatencies()
    slack = UInt64(clamping: options.timerSlack.nanoseconds)
    self.observer = observer
    self.loop = loop
  }

  // MARK: Any thread

  func nextSession() -> SessionID { SessionID(lastSession.add(1, ordering: .relaxed).newValue) }

  func request(_ request: N.Request, as session: SessionID, deadline: Duration?, _ completion: @escaping Completion) {
    let limit = options.maxOpenRequests
    guard openRequests.add(1, ordering: .relaxed).newValue <= limit else {
      openRequests.subtract(1, ordering: .relaxed)
      requestsRefused.add(1, ordering: .relaxed)
      return completion(.failure(.overloaded(limit: limit)))
    }
    let end = Instant(nanoseconds: MonotonicClock.now()) + (deadline ?? options.deadline)
    if let refusal = put(.request(session, request, deadline: end.nanoseconds, completion), isRequest: true) {
      openRequests.subtract(1, ordering: .relaxed)
      completion(.failure(.unavailable(refusal)))
    }
  }

  func cancel(_ session: SessionID) { _ = put(.cancel(session)) }

  func inspect(run: @escaping @Sendable (borrowing N) -> Void, refused: @escaping @Sendable (HostError) -> Void) {
    if let refusal = put(.inspect(run: run, refused: refused)) { refused(.unavailable(refusal)) }
  }

  func poke() {
    let mustSchedule = inbox.withLock { inbox in
      guard !inbox.hasEnded else { return false }
      defer { inbox.isScheduled = true }
      return !inbox.isScheduled
    }
    if mustSchedule { _ = loop.schedule(self) }
  }

  func stop() {
    _ = put(.stop)
    if !loop.isCurrent { _ = inbox.wait(until: { $0.isGone ? true : nil }) }
  }

  func receive(_ payload: RawSpan, from: NodeID, attachments: StagedAttachments?) {
    let message: N.Message
    do throws(DecodeError) {
      message = try codec.decode(payload, from: from, attachments: attachments)
    } catch {
      undecodable.add(1, ordering: .relaxed)
      return
    }
    let bytes = payload.byteCount
    let (isTaken, mustSchedule) = inbox.withLock { inbox -> (Bool, Bool) in
      guard !inbox.hasEnded, inbox.messages < options.maxQueuedMessages else { return (false, false) }
      guard inbox.messages == 0 || inbox.messageBytes + bytes <= options.maxQueuedBytes else { return (false, false) }
      inbox.messages += 1
      inbox.messageBytes += bytes
      inbox.arrivals.append(.message(from: from, message))
      defer { inbox.isScheduled = true }
      return (true, !inbox.isScheduled)
    }
    if !isTaken { messagesDropped.add(1, ordering: .relaxed) }
    if mustSchedule { _ = loop.schedule(self) }
  }

  /// Puts something into the inbox, or says why not.
  private func put(_ arrival: Arrival, isRequest: Bool = false) -> HostError.Ending? {
    let (refusal, mustSchedule) = inbox.withLock { inbox -> (HostError.Ending?, Bool) in
      if let refusal = inbox.refusal, isRequest || inbox.hasEnded { return (refusal, false) }
      inbox.arrivals.append(arrival)
      defer { inbox.isScheduled = true }
      return (nil, !inbox.isScheduled)
    }
    // A host that is stopping ends every cell, and with it what is in the inbox.
    if mustSchedule { _ = loop.schedule(self) }
    return refusal
  }

  /// The log has answered for a flight of writes.
  func reportDurable(_ flight: UInt64, _ error: DiskError?) { _ = put(.durable(flight: flight, error)) }

  var ending: HostError.Ending? { inbox.withLock { $0.refusal } }

  var publishedStatistics: NodeStatistics {
    var statistics = published.withLock { $0 }
    statistics.messagesDropped = messagesDropped.load(ordering: .relaxed)
    statistics.framesUndecodable = undecodable.load(ordering: .relaxed)
    statistics.requestsRefused = requestsRefused.load(ordering: .relaxed)
    return statistics
  }

  // MARK: The host's thread

  override func turn(_ loop: HostLoop) {
    if !hasBegun { begin(loop) }
    takeArrivals()
    let now = Instant(nanoseconds: MonotonicClock.now())
    for index in batch.indices { take(batch[index], now) }
    batch.removeAll(keepingCapacity: true)
    fireDue(now)
    settle(now)
    schedule()
    if wakesAt == .max { giveMemoryBack() }
    if let ended {
      end(ended, loop)
    } else if let node {
      observer?(node)
    }
    published.withLock { $0 = statistics }
  }

  override func write() { flushWrites() }

  private func begin(_ loop: HostLoop) {
    hasBegun = true
    if let transport { outbox = loop.outbox(for: transport) }
    loop.began(self)
    carryOut(Instant(nanoseconds: MonotonicClock.now()))
  }

  private func take(_ arrival: Arrival, _ now: Instant) {
    if let ended { return refuse(arrival, ended) }
    switch arrival {
    case .message(let from, let message):
      statistics.messagesReceived += 1
      give(.message(from: from, message), now)
    case .request(let session, let request, let deadline, let completion):
      if hasLogFailed { return refuse(arrival, inbox.withLock { $0.refusal } ?? .stopped) }
      statistics.requests += 1
      sessions[session] = Session(completion: completion, began: now.nanoseconds)
      wakeUps.insert(.deadline(session), at: deadline)
      give(.request(session, request), now)
    case .cancel(let session):
      guard close(session, .failure(.outcomeUnknown(.cancelled))) else { return }
      statistics.requestsCancelled += 1
      give(.cancelled(session), now)
    case .inspect(let run, _): if let node { run(node) }
    case .durable(let flight, let error): wentDurable(flight, error, now)
    case .stop: ended = .stopped
    }
  }

  /// Gives the node one input and carries out what it wants.
  func give(_ input: Input<N>, _ now: Instant) {
    node?.receive(input, at: now, random: &random, &out)
    carryOut(now)
  }

  /// Lets the node do what it put off while the inputs of this turn came in.
  private func settle(_ now: Instant) {
    guard ended == nil else { return }
    node?.settle(at: now, random: &random, &out)
    carryOut(now)
  }

  private func refuse(_ arrival: Arrival, _ ending: HostError.Ending) {
    switch arrival {
    case .request(_, _, _, let completion):
      openRequests.subtract(1, ordering: .relaxed)
      answers.append((completion, .failure(.unavailable(ending))))
    case .inspect(_, let refused): refused(.unavailable(ending))
    case .message, .cancel, .durable, .stop: break
    }
  }

  /// Answers a request if it is still open.
  func close(_ session: SessionID, _ result: Result<N.Response, HostError>) -> Bool {
    guard let open = sessions.removeValue(forKey: session) else { return false }
    openRequests.subtract(1, ordering: .relaxed)
    if case .success = result { latencies.answers.record(nanoseconds: MonotonicClock.now() &- open.began) }
    answers.append((open.completion, result))
    return true
  }

  func closeAll(_ ending: HostError.Ending) {
    for session in sessions.keys.sorted() { _ = close(session, .failure(.outcomeUnknown(.ended(ending)))) }
  }

  override var dueAnswers: Int { answers.count }

  override func answer() {
    guard !answers.isEmpty else { return }
    var due: [(completion: Completion, result: Result<N.Response, HostError>)] = []
    swap(&due, &answers)
    for answer in due { answer.completion(answer.result) }
  }

  func send(_ message: N.Message, to peer: NodeID) {
    statistics.messagesSent += 1
    if peer == id {
      _ = put(.message(from: id, message))
      return
    }
    guard let outbox else {
      statistics.messagesUnsendable += 1
      return
    }
    let payload = loop.written { codec.encode(message, into: &$0) }
    outbox.append(Frame(group: group, from: id, to: peer, payload: payload, attachments: codec.attachments(of: message)))
  }

  override func end(_ ending: HostError.Ending, _ loop: HostLoop) {
    transport?.unregister(group)
    var left: [Arrival] = []
    inbox.withLock { inbox in
      inbox.hasEnded = true
      inbox.refusal = ending
      swap(&left, &inbox.arrivals)
    }
    for arrival in left { refuse(arrival, ending) }
    closeAll(ending)
    answer()
    ended = ending
    node = nil
    log = nil
    wakeUps.removeAll()
    timers = [:]
    flights = []
    writes = []
    tickets = []
    wakesAt = .max
    loop.ended(self)
    inbox.withLock { $0.isGone = true }
    inbox.broadcast()
  }

  /// A node that waits for nobody, not even for the time, may not be heard of for long: of what its turns need, nothing is kept.
  private func giveMemoryBack() {
    batch = []
    out = Effects()
    if sessions.isEmpty { sessions = [:] }
    if timers.isEmpty { timers = [:] }
    if wakeUps.count == 0 { wakeUps.removeAll() }
    if writes.isEmpty { writes = [] }
    if tickets.isEmpty { tickets = [] }
    if flights.isEmpty { flights = [] }
    inbox.withLock { if $0.arrivals.isEmpty { $0.arrivals = [] } }
  }

  /// Empties the inbox into `batch`, which gives its memory in exchange.
  private func takeArrivals() {
    inbox.withLock { inbox in
      swap(&batch, &inbox.arrivals)
      inbox.isScheduled = false
      inbox.messages = 0
      inbox.messageBytes = 0
    }
  }
}
