import StrataNodes

/// A node that says what it is told to say and remembers what it heard: what the simulator does shows in it.
struct Chatter: Node, Hashable {
  enum Message: Hashable, Sendable {
    case word(Int)
    case ping(Int)
    case pong(Int)
  }

  enum Request: Hashable, Sendable {
    case say(Int, to: NodeID)
    case spread(Int, among: UInt64)
    case ping(NodeID)
    case write([Int], Persistence)
    case replace([Int])
    case wake(Int, after: Duration)
    case forget(Int)
    case hold
    case buggify
    case breakPromise
    case stop
  }

  enum Response: Hashable, Sendable {
    case done
    case pong
    case fired(Bool)
  }

  let id: NodeID
  var heard: [Int] = []
  var found: [Int]
  var foundDamage: Bool
  var woken: [Int] = []
  var wokenAt: [Instant] = []
  var persisted: [UInt64] = []
  var failed: [UInt64] = []
  var cancelled: [SessionID] = []
  var pings: [Int: SessionID] = [:]
  var serial = 0
  var lastNow: Instant
  var clockWentBack = false

  static func recover(
    id: NodeID, peers: [NodeID], durable: DurableState<Int>, knobs: NoKnobs, at now: Instant, random: inout Random,
    _ out: inout Effects<Chatter>
  ) throws(RecoveryError) -> Chatter {
    if durable.records.contains(-1) { throw RecoveryError("record -1 makes no sense") }
    return Chatter(id: id, found: durable.records, foundDamage: durable.isDamaged, lastNow: now)
  }

  init(id: NodeID, found: [Int], foundDamage: Bool, lastNow: Instant) {
    self.id = id
    self.found = found
    self.foundDamage = foundDamage
    self.lastNow = lastNow
  }

  /// The same node under another name.
  init(of other: Chatter, named id: NodeID) {
    self = Chatter(id: id, found: other.found, foundDamage: other.foundDamage, lastNow: other.lastNow)
    heard = other.heard
    woken = other.woken
    wokenAt = other.wokenAt
    persisted = other.persisted
    failed = other.failed
    cancelled = other.cancelled
    pings = other.pings
    serial = other.serial
    clockWentBack = other.clockWentBack
  }

  mutating func receive(_ input: Input<Chatter>, at now: Instant, random: inout Random, _ out: inout Effects<Chatter>) {
    if now < lastNow { clockWentBack = true }
    lastNow = now
    switch input {
    case .message(let from, .ping(let name)): out.send(to: from, .pong(name))
    case .message(_, .pong(let name)): if let session = pings.removeValue(forKey: name) { out.reply(session, .pong) }
    case .message(_, .word(let word)): heard.append(word)
    case .timer(let name):
      woken.append(name)
      wokenAt.append(now)
    case .persisted(let ticket): persisted.append(ticket.rawValue)
    case .persistFailed(let ticket, _): failed.append(ticket.rawValue)
    case .cancelled(let session): cancelled.append(session)
    case .request(let session, let request): obey(request, session, &out)
    }
  }

  private mutating func obey(_ request: Request, _ session: SessionID, _ out: inout Effects<Chatter>) {
    serial += 1
    switch request {
    case .say(let word, let to): out.send(to: to, .word(word))
    case .spread(let word, let count): for peer in 1...count where peer != id.rawValue { out.send(to: NodeID(peer), .word(word)) }
    case .ping(let peer):
      pings[serial] = session
      return out.send(to: peer, .ping(serial))
    case .write(let records, let persistence): out.persist(records, Ticket(UInt64(serial)), persistence)
    case .replace(let records): out.checkpoint(records, Ticket(UInt64(serial)))
    case .wake(let name, let after): out.setTimer(name, after: after)
    case .forget(let name): out.cancelTimer(name)
    case .hold: return
    case .buggify: return out.reply(session, .fired(out.buggify("chatter", fires: 1, in: 2)))
    case .breakPromise: out.always("two is two", false)
    case .stop: out.halt("told to")
    }
    out.reply(session, .done)
  }
}

extension Chatter {
  typealias Timer = Int
  typealias Record = Int
}
