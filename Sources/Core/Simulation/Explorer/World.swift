import StrataJobs
import StrataNodes

/// One state of a whole small cluster: every node, every message on its way, every write on its way, every timer that is set.
///
/// Equal worlds have the same future, so an explorer visits each once.
public struct World<N: Node & Hashable>: Hashable
where N.Message: Hashable, N.Request: Hashable, N.Response: Hashable, N.Record: Hashable {
  /// A message on its way.
  public struct Envelope: Hashable {
    /// Who sent it.
    public let from: NodeID
    /// Who shall get it.
    public let to: NodeID
    /// What it says.
    public let message: N.Message
  }

  /// A write on its way to a log.
  struct Write: Hashable {
    let records: [N.Record]
    let ticket: Ticket
    let wantsReport: Bool
    let replacesAll: Bool
  }

  struct Place: Hashable {
    var node: N?
    var durable: [N.Record] = []
    var writes: [Write] = []
    /// When each timer that is set is due on the node's clock.
    var timers: [N.Timer: Instant] = [:]
    var clock = Instant.zero
    var random: Random
  }

  var places: [Place]
  /// How often each message is on its way: a multiset, since order on the way means nothing.
  var messages: [Envelope: Int] = [:]
  /// Requests not made yet, in order.
  var script: [(id: NodeID, request: N.Request)] = []
  var nextSession: UInt64 = 1
  /// Answers so far.
  public internal(set) var replies: [SessionID: N.Response] = [:]
  /// Sessions opened so far and what was asked.
  public internal(set) var requests: [SessionID: N.Request] = [:]
  var crashesLeft: Int
  var dropsLeft: Int
  var duplicatesLeft: Int
  /// What a node said must always hold and did not, or why it stopped.
  var broken: String?

  /// The node, or nothing while it is down.
  public func node(_ id: NodeID) -> N? {
    let index = Int(truncatingIfNeeded: id.rawValue) - 1
    return places.indices.contains(index) ? places[index].node : nil
  }

  /// The records of a node that no crash can take.
  public func durableRecords(of id: NodeID) -> [N.Record] {
    let index = Int(truncatingIfNeeded: id.rawValue) - 1
    return places.indices.contains(index) ? places[index].durable : []
  }

  /// The names of all nodes.
  public var nodeIDs: [NodeID] { places.indices.map { NodeID(UInt64($0 + 1)) } }

  /// Every node that is up.
  public var nodes: [N] { places.compactMap(\.node) }

  /// Messages on their way.
  public var inFlight: [Envelope] { Array(messages.keys) }

  public static func == (a: World, b: World) -> Bool {
    a.places == b.places && a.messages == b.messages && a.script.count == b.script.count && a.replies == b.replies && a.requests == b.requests
      && a.crashesLeft == b.crashesLeft && a.dropsLeft == b.dropsLeft && a.duplicatesLeft == b.duplicatesLeft && a.broken == b.broken
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(places)
    hasher.combine(messages)
    // The script is a fixed list from which requests are taken at the front.
    hasher.combine(script.count)
    hasher.combine(replies)
    hasher.combine(requests)
    hasher.combine(crashesLeft)
    hasher.combine(dropsLeft)
    hasher.combine(duplicatesLeft)
  }
}

/// One step a world can take.
enum WorldStep<N: Node & Hashable>
where N.Message: Hashable, N.Request: Hashable, N.Response: Hashable, N.Record: Hashable {
  case request
  case deliver(World<N>.Envelope)
  case drop(World<N>.Envelope)
  case duplicate(World<N>.Envelope)
  case fire(Int, N.Timer)
  case sync(Int)
  case crash(Int, kept: Int)
  case restart(Int)

  func describe(_ world: World<N>) -> String {
    switch self {
    case .request: world.script.first.map { "ask \($0.id): \($0.request)" } ?? ""
    case .deliver(let envelope): "deliver \(envelope.from) → \(envelope.to): \(envelope.message)"
    case .drop(let envelope): "lose \(envelope.from) → \(envelope.to): \(envelope.message)"
    case .duplicate(let envelope): "deliver a copy \(envelope.from) → \(envelope.to): \(envelope.message)"
    case .fire(let index, let timer): "n\(index + 1): timer \(timer)"
    case .sync(let index): "n\(index + 1): \(world.places[index].writes.count) writes become durable"
    case .crash(let index, let kept): "n\(index + 1) crashes; \(kept) of \(world.places[index].writes.count) writes survive"
    case .restart(let index): "n\(index + 1) starts"
    }
  }
}

extension World {
  init(_ scope: ExplorationScope<N>, _ effects: inout Effects<N>) {
    crashesLeft = scope.crashes
    dropsLeft = scope.losses
    duplicatesLeft = scope.duplicates
    script = scope.requests
    let random = Random(seed: scope.seed)
    places = (0..<scope.nodes).map { Place(random: random.fork("node", scope.drawsAlike ? 0 : $0)) }
    for index in places.indices { start(index, scope, &effects) }
  }

  private var ids: [NodeID] { (1...UInt64(places.count)).map { NodeID($0) } }

  /// Everything that can happen next.
  func steps() -> [WorldStep<N>] {
    guard broken == nil else { return [] }
    var steps: [WorldStep<N>] = []
    if let next = script.first, node(next.id) != nil { steps.append(.request) }
    for envelope in messages.keys {
      steps.append(.deliver(envelope))
      if dropsLeft > 0 { steps.append(.drop(envelope)) }
      if duplicatesLeft > 0 { steps.append(.duplicate(envelope)) }
    }
    for (index, place) in places.enumerated() {
      guard place.node != nil else {
        steps.append(.restart(index))
        continue
      }
      for timer in place.timers.keys { steps.append(.fire(index, timer)) }
      if place.writes.contains(where: \.wantsReport) { steps.append(.sync(index)) }
      if crashesLeft > 0 { for kept in 0...place.writes.count { steps.append(.crash(index, kept: kept)) } }
    }
    return steps
  }

  /// Takes one step.
  mutating func take(_ step: WorldStep<N>, _ scope: ExplorationScope<N>, _ effects: inout Effects<N>) {
    switch step {
    case .request:
      let (id, request) = script.removeFirst()
      let session = SessionID(nextSession)
      nextSession += 1
      requests[session] = request
      give(.request(session, request), to: Int(id.rawValue) - 1, &effects)
    case .deliver(let envelope):
      remove(envelope)
      deliver(envelope, &effects)
    case .drop(let envelope):
      remove(envelope)
      dropsLeft -= 1
    case .duplicate(let envelope):
      duplicatesLeft -= 1
      deliver(envelope, &effects)
    case .fire(let index, let timer):
      if let due = places[index].timers.removeValue(forKey: timer), places[index].clock < due { places[index].clock = due }
      give(.timer(timer), to: index, &effects)
    case .sync(let index):
      let writes = places[index].writes
      places[index].writes = []
      for write in writes { store(write, at: index) }
      for write in writes where write.wantsReport { give(.persisted(write.ticket), to: index, &effects) }
    case .crash(let index, let kept):
      crashesLeft -= 1
      for write in places[index].writes.prefix(kept) { store(write, at: index) }
      places[index].writes = []
      places[index].timers = [:]
      places[index].node = nil
    case .restart(let index): start(index, scope, &effects)
    }
  }

  private mutating func remove(_ envelope: Envelope) {
    if let count = messages[envelope] { messages[envelope] = count > 1 ? count - 1 : nil }
  }

  private mutating func deliver(_ envelope: Envelope, _ effects: inout Effects<N>) {
    give(.message(from: envelope.from, envelope.message), to: Int(envelope.to.rawValue) - 1, &effects)
  }

  private mutating func store(_ write: Write, at index: Int) {
    if write.replacesAll { places[index].durable = write.records } else { places[index].durable += write.records }
  }

  private mutating func start(_ index: Int, _ scope: ExplorationScope<N>, _ effects: inout Effects<N>) {
    do {
      places[index].node = try N.recover(
        id: ids[index], peers: ids, durable: DurableState(records: places[index].durable), knobs: scope.knobs, at: places[index].clock,
        random: &places[index].random, &effects)
      carryOut(&effects, of: index)
    } catch {
      effects.removeAll()
      broken = "n\(index + 1) cannot come up: \(error)"
    }
  }

  private mutating func give(_ input: Input<N>, to index: Int, _ effects: inout Effects<N>) {
    guard places.indices.contains(index), var node = places[index].node else { return }
    places[index].node = nil
    node.receive(input, at: places[index].clock, random: &places[index].random, &effects)
    node.settle(at: places[index].clock, random: &places[index].random, &effects)
    places[index].node = node
    carryOut(&effects, of: index)
  }

  private mutating func carryOut(_ effects: inout Effects<N>, of index: Int) {
    for effect in effects.pending {
      switch effect {
      case .send(let to, let message): messages[Envelope(from: ids[index], to: to, message: message), default: 0] += 1
      case .setTimer(let timer, let after): places[index].timers[timer] = places[index].clock + after
      case .cancelTimer(let timer): places[index].timers[timer] = nil
      case .persist(let records, let ticket, let persistence):
        places[index].writes.append(Write(records: records, ticket: ticket, wantsReport: persistence == .sync, replacesAll: false))
      case .checkpoint(let records, let ticket):
        places[index].writes.append(Write(records: records, ticket: ticket, wantsReport: true, replacesAll: true))
      case .reply(let session, let response): if replies[session] == nil { replies[session] = response }
      case .halt(let reason): broken = "n\(index + 1) stopped: \(reason)"
      }
    }
    effects.removeAll()
  }
}
