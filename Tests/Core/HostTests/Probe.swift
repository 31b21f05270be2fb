import StrataBytes
import StrataDisk
import StrataJobs
import StrataNodes
import Synchronization

@testable import StrataHost

/// A node that does what it is asked to and keeps a list of what happened to it.
struct Probe: Node {
  typealias Message = UInt64
  typealias Record = UInt64
  typealias Response = UInt64

  enum Request: Sendable {
    case echo(UInt64)
    case keepSilent
    /// Writes a record; the answer comes when it is durable.
    case write(UInt64)
    case writeLater(UInt64)
    case replaceLog([UInt64])
    case send(NodeID, UInt64)
    case setTimer(Int, Duration)
    case cancelTimer(Int)
    /// Answers twice.
    case answerTwice
    case halt
    /// Sets a timer that sets itself again at once, this many times.
    case spin(Int)
  }

  enum Event: Hashable, Sendable {
    case message(NodeID, UInt64)
    case timer(Int)
    case persisted(Ticket)
    case persistFailed(Ticket)
    case cancelled(SessionID)
  }

  let id: NodeID
  var recovered: [UInt64]
  var events: [Event] = []
  var requests = 0
  var settlements = 0
  var spins = 0
  var lastTicket: UInt64 = 0
  var writers: [(ticket: UInt64, client: SessionID)] = []
  var lastNow = Instant.zero
  var clockWentBack = false

  static func recover(
    id: NodeID, peers: [NodeID], durable: DurableState<Record>, knobs: NoKnobs, at now: Instant, random: inout Random,
    _ out: inout Effects<Probe>
  ) throws(RecoveryError) -> Probe {
    if durable.isDamaged { throw RecoveryError("records are missing") }
    return Probe(id: id, recovered: durable.records)
  }

  mutating func settle(at now: Instant, random: inout Random, _ out: inout Effects<Probe>) { settlements += 1 }

  mutating func receive(_ input: Input<Probe>, at now: Instant, random: inout Random, _ out: inout Effects<Probe>) {
    if now < lastNow { clockWentBack = true }
    lastNow = now
    switch input {
    case .message(let from, let number): events.append(.message(from, number))
    case .timer(-1):
      spins -= 1
      if spins > 0 { out.setTimer(-1, after: .zero) }
    case .timer(let name): events.append(.timer(name))
    case .persisted(let ticket):
      events.append(.persisted(ticket))
      while let first = writers.first, first.ticket <= ticket.rawValue {
        writers.removeFirst()
        out.reply(first.client, first.ticket)
      }
    case .persistFailed(let ticket, _): events.append(.persistFailed(ticket))
    case .cancelled(let client): events.append(.cancelled(client))
    case .request(let client, let request):
      requests += 1
      begin(request, client, &out)
    }
  }

  private mutating func begin(_ request: Request, _ client: SessionID, _ out: inout Effects<Probe>) {
    switch request {
    case .echo(let number): out.reply(client, number)
    case .keepSilent: break
    case .write(let number):
      lastTicket += 1
      writers.append((lastTicket, client))
      out.persist([number], Ticket(lastTicket))
    case .writeLater(let number):
      out.persist([number], 0, .buffered)
      out.reply(client, number)
    case .replaceLog(let records):
      lastTicket += 1
      writers.append((lastTicket, client))
      out.checkpoint(records, Ticket(lastTicket))
    case .send(let peer, let number):
      out.send(to: peer, number)
      out.reply(client, number)
    case .setTimer(let name, let delay):
      out.setTimer(name, after: delay)
      out.reply(client, 0)
    case .cancelTimer(let name):
      out.cancelTimer(name)
      out.reply(client, 0)
    case .answerTwice:
      out.reply(client, 1)
      out.reply(client, 2)
    case .halt:
      out.halt("two and two make five")
      out.reply(client, 5)
    case .spin(let times):
      spins = times
      out.setTimer(-1, after: .zero)
      out.reply(client, 0)
    }
  }

  typealias Timer = Int
}

/// Numbers of eight bytes.
struct NumberCodec: MessageCodec {
  func encode(_ message: UInt64, into writer: inout ByteWriter) { writer.writeUInt64(message) }

  func decode(_ payload: RawSpan, from: NodeID, attachments: StagedAttachments?) throws(DecodeError) -> UInt64 {
    var reader = ByteReader(payload)
    let number = try reader.readUInt64()
    try reader.expectEnd(of: "number")
    return number
  }
}

/// A log in memory that becomes durable when the test says so, or at once.
final class MemoryLog: NodeLog {
  struct State {
    var records: [UInt64] = []
    var batches: [[[UInt64]]] = []
    var waiting: [@Sendable (DiskError?) -> Void] = []
    var isHeld = false
    var failure: DiskError?
  }

  let state: Monitor<State>
  let isDamaged: Bool

  init(_ records: [UInt64] = [], isHeld: Bool = false, isDamaged: Bool = false) {
    state = Monitor(State(records: records, isHeld: isHeld))
    self.isDamaged = isDamaged
  }

  func recover() -> DurableState<UInt64> { DurableState(records: state.withLock { $0.records }, isDamaged: isDamaged) }

  func append(_ writes: [[UInt64]], whenDurable: (@Sendable (DiskError?) -> Void)?) {
    add(whenDurable) { state in
      state.batches.append(writes)
      state.records += writes.joined()
    }
  }

  func checkpoint(_ records: [UInt64], whenDurable: @escaping @Sendable (DiskError?) -> Void) { add(whenDurable) { $0.records = records } }

  private func add(_ whenDurable: (@Sendable (DiskError?) -> Void)?, _ change: (inout State) -> Void) {
    let outcome = state.withLock { state -> DiskError?? in
      if let failure = state.failure { return failure }
      change(&state)
      guard state.isHeld else { return .some(nil) }
      if let whenDurable { state.waiting.append(whenDurable) }
      return nil
    }
    if let outcome { whenDurable?(outcome) }
  }

  /// Reports everything that waits as durable, or as failed for good.
  func release(_ failure: DiskError? = nil) {
    let waiting = state.withLock { state in
      state.isHeld = false
      state.failure = failure
      defer { state.waiting = [] }
      return state.waiting
    }
    for body in waiting { body(failure) }
  }
}

/// Results of requests, in the order in which they came.
final class Answers: Sendable {
  private let list = Monitor<[Result<UInt64, HostError>]>([])

  var take: HostedNode<Probe>.Completion {
    { result in
      self.list.withLock { $0.append(result) }
      self.list.broadcast()
    }
  }

  /// Waits until there are `count`.
  func first(_ count: Int) -> [Result<UInt64, HostError>] { list.wait(until: { $0.count >= count ? $0 : nil }) ?? [] }

  var all: [Result<UInt64, HostError>] { list.withLock { $0 } }
}

/// A host with one probe.
struct Rig {
  let host = Host()
  let log: MemoryLog
  let node: HostedNode<Probe>

  init(
    _ id: NodeID = 1, log: MemoryLog = MemoryLog(), options: NodeOptions = NodeOptions(), over transport: (any Transport)? = nil,
    observer: (@Sendable (borrowing Probe) -> Void)? = nil
  ) throws {
    self.log = log
    node = try host.run(
      as: id, in: 7, peers: [id], knobs: NoKnobs(), log: log, codec: NumberCodec(), over: transport, options: options, observer: observer)
  }

  func ask(_ request: Probe.Request) -> Result<UInt64, HostError> {
    let answers = Answers()
    node.request(request, answers.take)
    return answers.first(1)[0]
  }

  /// Keeps the host's thread busy while `body` runs, so that all it gives the node is one batch.
  func together(_ body: () -> Void) {
    let gate = Monitor((isEntered: false, isOpen: false))
    node.inspect(
      { _ in
        gate.withLock { $0.isEntered = true }
        gate.broadcast()
        _ = gate.wait(until: { $0.isOpen ? true : nil })
      }, { _ in })
    _ = gate.wait(until: { $0.isEntered ? true : nil })
    body()
    gate.withLock { $0.isOpen = true }
    gate.broadcast()
  }

  var events: [Probe.Event] { (try? node.inspect { $0.events }) ?? [] }

  /// Waits until the node has heard what `condition` wants.
  func wait(_ condition: @escaping @Sendable ([Probe.Event]) -> Bool) {
    while !condition(events) {}
  }
}
