import StrataNodes
import StrataRaft

/// A machine that keeps what it was told, in order; a command that begins with 255 breaks it.
struct TapeMachine: RaftStateMachine {
  private(set) var tape: [[UInt8]] = []
  private(set) var failure: String?
  /// Whether its state cannot be had.
  var isShy = false

  init() {}

  mutating func apply(_ command: [UInt8]) -> [UInt8] {
    if command.first == 255 { failure = "told to break" }
    if command.first == 254 { isShy = true }
    tape.append(command)
    return [UInt8(truncatingIfNeeded: tape.count)]
  }

  func query(_ question: [UInt8]) -> [UInt8] { [UInt8(truncatingIfNeeded: tape.count)] }

  func snapshot() -> [UInt8]? { isShy ? nil : tape.flatMap { [UInt8($0.count)] + $0 } }

  mutating func restore(_ bytes: [UInt8]) -> Bool {
    tape = []
    var rest = bytes[...]
    while let count = rest.popFirst() {
      guard rest.count >= count else { return false }
      tape.append(Array(rest.prefix(Int(count))))
      rest = rest.dropFirst(Int(count))
    }
    return true
  }
}

/// Members of a group, driven by hand: time stands still but for `tick`, messages and disks answer at once, in order, unless a link is cut.
typealias NodeRig = Rig<TapeMachine>

/// As `NodeRig`, with any machine.
struct Rig<Machine: RaftStateMachine> {
  typealias N = RaftNode<Machine>

  private(set) var nodes: [NodeID: N] = [:]
  private var effects: [NodeID: Effects<N>] = [:]
  private var random = Random(seed: 7)
  private var now = Instant(nanoseconds: 1)
  var cut: Set<NodeID> = []
  private(set) var replies: [SessionID: N.Response] = [:]
  private(set) var sent: [(from: NodeID, Message)] = []
  private(set) var persists = 0
  /// Of these, those the node waits for.
  private(set) var syncs = 0
  private(set) var checkpoints = 0
  private(set) var halts: [NodeID: String] = [:]
  private var lastSession: UInt64 = 0
  private let tickTime: Duration

  init(_ count: UInt64 = 3, knobs: RaftKnobs = RaftKnobs()) throws {
    tickTime = knobs.tick
    let ids = (1...count).map { NodeID($0) }
    for id in ids {
      var out = Effects<N>()
      nodes[id] = try N.recover(id: id, peers: ids, durable: DurableState(), knobs: knobs, at: now, random: &random, &out)
      effects[id] = out
    }
    carryOut()
  }

  /// Hands a node several inputs that come together.
  mutating func give(_ inputs: [Input<N>], to id: NodeID) {
    for input in inputs { nodes[id]?.receive(input, at: now, random: &random, &effects[id]!) }
    nodes[id]?.settle(at: now, random: &random, &effects[id]!)
    carryOut()
  }

  /// Hands a node requests that come together; returns the sessions under which they are answered.
  mutating func ask(_ requests: [N.Request], of id: NodeID) -> [SessionID] {
    let sessions = requests.map { _ in
      lastSession += 1
      return SessionID(lastSession)
    }
    give(zip(sessions, requests).map { .request($0, $1) }, to: id)
    return sessions
  }

  /// Lets time pass at every member.
  mutating func tick(_ count: Int = 1) {
    for _ in 0..<count {
      now = now + tickTime
      for id in nodes.keys.sorted() { give([.timer(.tick)], to: id) }
    }
  }

  /// Who leads, once somebody does.
  mutating func elect() -> NodeID? {
    for _ in 0..<200 {
      if let leader = leader { return leader }
      tick()
    }
    return nil
  }

  var leader: NodeID? { nodes.values.first { $0.core.role == .leader && !cut.contains($0.core.status.id) }?.core.status.id }

  mutating func forgetCounts() {
    sent = []
    persists = 0
    syncs = 0
  }

  private mutating func carryOut() {
    while let id = effects.keys.sorted().first(where: { effects[$0]?.pending.isEmpty == false }), let pending = effects[id]?.pending {
      effects[id]?.removeAll()
      for effect in pending { carryOut(effect, of: id) }
    }
  }

  private mutating func carryOut(_ effect: Effects<N>.Effect, of id: NodeID) {
    switch effect {
    case .send(let peer, let message):
      sent.append((id, message))
      if !cut.contains(id), !cut.contains(peer), nodes[peer] != nil { deliver(.message(from: id, message), to: peer) }
    case .persist(_, let ticket, let persistence):
      persists += 1
      guard persistence == .sync else { return }
      syncs += 1
      deliver(.persisted(ticket), to: id)
    case .checkpoint(_, let ticket):
      checkpoints += 1
      deliver(.persisted(ticket), to: id)
    case .reply(let session, let response): replies[session] = replies[session] ?? response
    case .halt(let reason): halts[id] = reason
    case .setTimer, .cancelTimer: break
    }
  }

  private mutating func deliver(_ input: Input<N>, to id: NodeID) {
    nodes[id]?.receive(input, at: now, random: &random, &effects[id]!)
    nodes[id]?.settle(at: now, random: &random, &effects[id]!)
  }
}
