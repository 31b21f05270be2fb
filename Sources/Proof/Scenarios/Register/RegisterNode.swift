import StrataNodes
import StrataSimulation

/// A replicated register per key, as Attiya, Bar-Noy and Dolev gave it (Sharing Memory Robustly in Message-Passing Systems, JACM 1995), with
/// several writers (Lynch and Shvartsman, FTCS 1997): every node is a replica, and the coordinator of what its clients ask.
///
/// A write asks a majority for their versions, picks a greater one, and stores it on a majority. A read asks a majority, and stores the
/// greatest version it saw on a majority before it answers: otherwise a later read could see an older value. It is the example that
/// the documentation of the simulator walks through, so it can also be broken on purpose: ``RegisterKnobs/flaw``.
struct RegisterNode: Node, Hashable {
  /// What orders values: the writer's count, then who wrote. The nonce keeps two lives of one node apart, the serial two writes of one life.
  struct Version: Hashable, Comparable, Sendable {
    var count: UInt64 = 0
    var node = NodeID(0)
    var nonce: UInt64 = 0
    var serial: UInt64 = 0

    /// By count, then by writer.
    static func < (a: Version, b: Version) -> Bool {
      (a.count, a.node, a.nonce, a.serial) < (b.count, b.node, b.nonce, b.serial)
    }
  }

  /// A value and its version. Nothing was written yet where the value is absent.
  struct Cell: Hashable, Sendable {
    var version = Version()
    var value: Int?
  }

  /// The coordinator's name for what it is doing. The nonce keeps an answer to a former life from passing for one to this life.
  struct OperationName: Hashable, Comparable, Sendable {
    var nonce: UInt64
    var serial: UInt64

    /// In the order one life began them.
    static func < (a: OperationName, b: OperationName) -> Bool { (a.serial, a.nonce) < (b.serial, b.nonce) }
  }

  /// What replicas say to each other.
  enum Message: Hashable, Sendable {
    case query(operation: OperationName, key: Int)
    case state(operation: OperationName, Cell)
    case store(operation: OperationName, key: Int, Cell)
    case stored(operation: OperationName)
    /// A replica that lost records asks for everything.
    case everything(nonce: UInt64)
    case contents(nonce: UInt64, [Int: Cell])
  }

  /// What clients ask.
  enum Request: Hashable, Sendable {
    case read(key: Int)
    case write(key: Int, Int)
  }

  /// What clients hear.
  enum Response: Hashable, Sendable {
    case value(Int?)
    case written
    /// The node cannot serve: its log failed, or it has to fetch what it lost first. The request had no effect.
    case unavailable
  }

  /// The timers: ask again who has not answered.
  enum Timer: Hashable, Sendable {
    case again(operation: OperationName)
    case fetch
  }

  /// What a replica keeps.
  struct Record: Hashable, Sendable {
    let key: Int
    let cell: Cell
  }

  /// The settings.
  typealias Knobs = RegisterKnobs

  struct Operation: Hashable, Sendable {
    let session: SessionID
    let key: Int
    /// What is being written; nothing in a read.
    let write: Int?
    var best = Cell()
    var isStoring = false
    var answered: Set<NodeID> = []
  }

  let id: NodeID
  let peers: [NodeID]
  let knobs: RegisterKnobs
  private(set) var cells: [Int: Cell]
  /// How much of each key is durable: an acknowledgement promises that.
  private var durable: [Int: Version]
  private var waiting: [WaitingStore] = []
  private var writes: [UInt64: Record] = [:]
  private var operations: [OperationName: Operation] = [:]
  private var serial: UInt64 = 0
  private let nonce: UInt64
  /// Who has sent what this replica lost; nothing if it lost nothing.
  private var fetched: Set<NodeID>?
  private var fetchTicket: UInt64?
  private var hasFailed = false

  private struct WaitingStore: Hashable {
    let from: NodeID
    let operation: OperationName
    let key: Int
    let version: Version
  }

  /// A replica with what its log held. One that lost records answers nobody before it has heard everything from a majority of the others.
  static func recover(
    id: NodeID, peers: [NodeID], durable: DurableState<Record>, knobs: RegisterKnobs, at now: Instant, random: inout Random,
    _ out: inout Effects<RegisterNode>
  ) throws(RecoveryError) -> RegisterNode {
    var cells: [Int: Cell] = [:]
    for record in durable.records where cells[record.key].map({ $0.version < record.cell.version }) ?? true { cells[record.key] = record.cell }
    var node = RegisterNode(id: id, peers: peers, knobs: knobs, cells: cells, nonce: random.next())
    if durable.isDamaged, knobs.flaw != .forgetsThatItForgot {
      node.fetched = []
      node.fetch(&out)
    }
    return node
  }

  private init(id: NodeID, peers: [NodeID], knobs: RegisterKnobs, cells: [Int: Cell], nonce: UInt64) {
    self.id = id
    self.peers = peers
    self.knobs = knobs
    self.cells = cells
    self.nonce = nonce
    durable = cells.mapValues(\.version)
  }

  private var majority: Int { knobs.flaw == .minority ? peers.count / 2 : peers.count / 2 + 1 }

  /// Takes one input.
  mutating func receive(_ input: Input<RegisterNode>, at now: Instant, random: inout Random, _ out: inout Effects<RegisterNode>) {
    if hasFailed {
      if case .request(let session, _) = input { out.reply(session, .unavailable) }
      return
    }
    switch input {
    case .request(let session, let request): begin(request, session, &out)
    case .message(let from, let message): receive(message, from: from, &out)
    case .timer(.again(let operation)): ask(operation, &out)
    case .timer(.fetch): fetch(&out)
    case .persisted(let ticket): finishWrite(ticket.rawValue, &out)
    case .persistFailed: hasFailed = true
    case .cancelled(let session):
      for name in operations.keys.sorted() where operations[name]?.session == session {
        operations[name] = nil
        out.cancelTimer(.again(operation: name))
      }
    }
  }

  // MARK: Coordinator

  /// Whether a client waits for it.
  var isCoordinating: Bool { !operations.isEmpty }

  private mutating func begin(_ request: Request, _ session: SessionID, _ out: inout Effects<RegisterNode>) {
    guard fetched == nil else { return out.reply(session, .unavailable) }
    serial += 1
    let name = OperationName(nonce: knobs.flaw == .namesUsedAgain ? 0 : nonce, serial: serial)
    switch request {
    case .read(let key): operations[name] = Operation(session: session, key: key, write: nil)
    case .write(let key, let value): operations[name] = Operation(session: session, key: key, write: value)
    }
    ask(name, &out)
  }

  /// Sends the present question to everybody who has not answered it, and will do so again.
  private func ask(_ name: OperationName, _ out: inout Effects<RegisterNode>) {
    guard let operation = operations[name] else { return }
    for peer in peers where !operation.answered.contains(peer) {
      out.send(
        to: peer,
        operation.isStoring
          ? .store(operation: name, key: operation.key, operation.best) : .query(operation: name, key: operation.key))
    }
    out.setTimer(.again(operation: name), after: knobs.retry)
  }

  private mutating func heard(_ cell: Cell, _ name: OperationName, from: NodeID, _ out: inout Effects<RegisterNode>) {
    guard var operation = operations[name], !operation.isStoring else { return }
    operation.answered.insert(from)
    if operation.best.version < cell.version { operation.best = cell }
    if operation.answered.count >= majority {
      if let value = operation.write {
        let count = operation.best.version.count + 1
        operation.best = Cell(
          version: knobs.flaw == .sameVersionTwice
            ? Version(count: count, node: 0, nonce: 0, serial: 0) : Version(count: count, node: id, nonce: nonce, serial: name.serial),
          value: value)
      } else if knobs.flaw == .noWriteBack || operation.best.value == nil {
        // Where nobody of a majority has anything, no write was finished before this read began.
        return finish(name, .value(operation.best.value), &out)
      }
      operation.isStoring = true
      operation.answered = []
      operations[name] = operation
      return ask(name, &out)
    }
    operations[name] = operation
  }

  private mutating func stored(_ name: OperationName, from: NodeID, _ out: inout Effects<RegisterNode>) {
    guard var operation = operations[name], operation.isStoring else { return }
    operation.answered.insert(from)
    operations[name] = operation
    if operation.answered.count >= majority { finish(name, operation.write == nil ? .value(operation.best.value) : .written, &out) }
  }

  private mutating func finish(_ name: OperationName, _ response: Response, _ out: inout Effects<RegisterNode>) {
    guard let operation = operations.removeValue(forKey: name) else { return }
    out.cancelTimer(.again(operation: name))
    out.reply(operation.session, response)
  }

  // MARK: Replica

  private mutating func receive(_ message: Message, from: NodeID, _ out: inout Effects<RegisterNode>) {
    switch message {
    case .query(let operation, let key): if fetched == nil { out.send(to: from, .state(operation: operation, cells[key] ?? Cell())) }
    case .state(let operation, let cell): heard(cell, operation, from: from, &out)
    case .store(let operation, let key, let cell): if fetched == nil { store(cell, key, operation, for: from, &out) }
    case .stored(let operation): stored(operation, from: from, &out)
    case .everything(let nonce): if fetched == nil, from != id { out.send(to: from, .contents(nonce: nonce, cells)) }
    case .contents(let nonce, let contents): if nonce == self.nonce { restore(contents, from: from, &out) }
    }
  }

  private mutating func store(_ cell: Cell, _ key: Int, _ operation: OperationName, for from: NodeID, _ out: inout Effects<RegisterNode>) {
    if cells[key].map({ $0.version < cell.version }) ?? true {
      cells[key] = cell
      serial += 1
      writes[serial] = Record(key: key, cell: cell)
      out.persist([Record(key: key, cell: cell)], Ticket(serial))
    }
    out.sometimes("a store found a newer version", cells[key]!.version > cell.version)
    if knobs.flaw == .acknowledgesEarly || durable[key].map({ $0 >= cell.version }) ?? false {
      out.send(to: from, .stored(operation: operation))
    } else {
      waiting.append(WaitingStore(from: from, operation: operation, key: key, version: cell.version))
    }
  }

  private mutating func finishWrite(_ ticket: UInt64, _ out: inout Effects<RegisterNode>) {
    if ticket == fetchTicket {
      fetched = nil
      fetchTicket = nil
      for (key, cell) in cells { durable[key] = max(durable[key] ?? Version(), cell.version) }
      return
    }
    guard let record = writes.removeValue(forKey: ticket) else { return }
    let version = max(durable[record.key] ?? Version(), record.cell.version)
    durable[record.key] = version
    waiting.removeAll { store in
      guard store.key == record.key, store.version <= version else { return false }
      out.send(to: store.from, .stored(operation: store.operation))
      return true
    }
  }

  // MARK: A replica that lost records

  private func fetch(_ out: inout Effects<RegisterNode>) {
    guard let fetched, fetchTicket == nil else { return }
    for peer in peers where peer != id && !fetched.contains(peer) { out.send(to: peer, .everything(nonce: nonce)) }
    out.setTimer(.fetch, after: knobs.retry)
  }

  private mutating func restore(_ contents: [Int: Cell], from: NodeID, _ out: inout Effects<RegisterNode>) {
    guard var heard = fetched, fetchTicket == nil else { return }
    heard.insert(from)
    fetched = heard
    for key in contents.keys.sorted() where cells[key].map({ $0.version < contents[key]!.version }) ?? true { cells[key] = contents[key] }
    // A write this replica once acknowledged is on a majority. A majority of all nodes, found among the others, shares one with it.
    guard heard.count >= peers.count / 2 + 1 || peers.count == 1 else { return }
    serial += 1
    fetchTicket = serial
    out.sometimes("a damaged replica was restored")
    out.cancelTimer(.fetch)
    out.checkpoint(cells.keys.sorted().map { Record(key: $0, cell: cells[$0]!) }, Ticket(serial))
  }
}

// What an explorer that takes nodes for alike needs. Names order versions of equal count: nodes are alike as long as one of them writes.

extension RegisterNode.Version {
  func renamed(_ name: (NodeID) -> NodeID) -> Self {
    var version = self
    if node.rawValue > 0 { version.node = name(node) }
    return version
  }
}

extension RegisterNode.Cell {
  func renamed(_ name: (NodeID) -> NodeID) -> Self { Self(version: version.renamed(name), value: value) }
}

extension RegisterNode: SymmetricNode {
  func renamed(_ name: (NodeID) -> NodeID) -> RegisterNode {
    var node = RegisterNode(
      id: name(id), peers: peers.map(name).sorted(), knobs: knobs, cells: cells.mapValues { $0.renamed(name) }, nonce: nonce)
    node.durable = durable.mapValues { $0.renamed(name) }
    node.waiting = waiting.map { WaitingStore(from: name($0.from), operation: $0.operation, key: $0.key, version: $0.version.renamed(name)) }
    node.writes = writes.mapValues { Self.renamed(record: $0, name) }
    node.operations = operations.mapValues { operation in
      var operation = operation
      operation.best = operation.best.renamed(name)
      operation.answered = Set(operation.answered.map(name))
      return operation
    }
    node.serial = serial
    node.fetched = fetched.map { Set($0.map(name)) }
    node.fetchTicket = fetchTicket
    node.hasFailed = hasFailed
    return node
  }

  static func renamed(message: Message, _ name: (NodeID) -> NodeID) -> Message {
    switch message {
    case .query, .stored, .everything: message
    case .state(let operation, let cell): .state(operation: operation, cell.renamed(name))
    case .store(let operation, let key, let cell): .store(operation: operation, key: key, cell.renamed(name))
    case .contents(let nonce, let cells): .contents(nonce: nonce, cells.mapValues { $0.renamed(name) })
    }
  }

  static func renamed(record: Record, _ name: (NodeID) -> NodeID) -> Record { Record(key: record.key, cell: record.cell.renamed(name)) }
}

/// The settings of ``RegisterNode``.
struct RegisterKnobs: NodeKnobs, Hashable {
  /// Ways to break the protocol in one line each.
  enum Flaw: String, Hashable, Sendable, CaseIterable {
    /// A read answers without storing what it saw on a majority.
    case noWriteBack = "no-write-back"
    /// A replica acknowledges before the value is durable.
    case acknowledgesEarly = "early-acknowledgement"
    /// Half of the nodes pass for a majority.
    case minority
    /// Versions do not name their writer, so two writers may choose the same.
    case sameVersionTwice = "same-version-twice"
    /// A replica that lost records goes on as if nothing had been there.
    case forgetsThatItForgot = "amnesia"
    /// A node that starts again gives its operations the names of its former life.
    case namesUsedAgain = "names-used-again"
  }

  /// How long a coordinator waits before it asks again.
  var retry: Duration = .milliseconds(100)
  /// What is wrong, if something is.
  var flaw: Flaw?

  /// A protocol that is right.
  init() {}

  /// Draws how soon a coordinator asks again.
  mutating func randomize(_ random: inout Random) { retry = .milliseconds([5, 100, 700][random.below(3)]) }
}

// What a reader of a trace sees.

extension RegisterNode.Cell: CustomStringConvertible {
  /// `5 (version 2 of n1)`.
  var description: String { value.map { "\($0) (version \(version.count) of \(version.node))" } ?? "nothing" }
}

extension RegisterNode.OperationName: CustomStringConvertible {
  /// `3 of 9f2c`: the serial, and as much of the nonce as tells lives apart to the eye.
  var description: String { "\(serial) of \(String(nonce & 0xFFFF, radix: 16))" }
}

extension RegisterNode.Message: CustomStringConvertible {
  /// `store 1 of 9f2c: key 0 = 5 (version 2 of n1)`.
  var description: String {
    switch self {
    case .query(let operation, let key): "query \(operation): key \(key)"
    case .state(let operation, let cell): "state \(operation): \(cell)"
    case .store(let operation, let key, let cell): "store \(operation): key \(key) = \(cell)"
    case .stored(let operation): "stored \(operation)"
    case .everything: "send me everything"
    case .contents(_, let cells): "contents: \(cells.count) keys"
    }
  }
}

extension RegisterNode.Request: CustomStringConvertible {
  /// `write key 0 = 5`.
  var description: String {
    switch self {
    case .read(let key): "read key \(key)"
    case .write(let key, let value): "write key \(key) = \(value)"
    }
  }
}

extension RegisterNode.Timer: CustomStringConvertible {
  /// `ask again 3 of 9f2c`.
  var description: String {
    switch self {
    case .again(let operation): "ask again \(operation)"
    case .fetch: "fetch again"
    }
  }
}

extension RegisterNode: CustomStringConvertible {
  /// The cells, what is durable of them, and what is being done.
  var description: String {
    var lines = cells.keys.sorted().map { key in
      "key \(key) = \(cells[key]!)\(durable[key].map { $0 >= cells[key]!.version } ?? false ? "" : ", not durable")"
    }
    if let fetched { lines.append("lost records; heard everything from \(fetched.sorted())") }
    lines += operations.keys.sorted().map { name in
      let operation = operations[name]!
      return "operation \(name): \(operation.write.map { "write \($0)" } ?? "read") key \(operation.key), "
        + "\(operation.isStoring ? "storing \(operation.best)" : "asking"), answered \(operation.answered.sorted())"
    }
    if !waiting.isEmpty { lines.append("\(waiting.count) acknowledgements wait for the disk") }
    if hasFailed { lines.append("the log has failed") }
    return lines.isEmpty ? "empty" : lines.joined(separator: "\n")
  }
}
