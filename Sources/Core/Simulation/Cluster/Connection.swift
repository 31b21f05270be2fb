import StrataNodes

/// One direction between two nodes that speak over ordered connections: what was written and has not arrived.
///
/// What is written arrives in its order and once, as far as it arrives; what breaks a connection takes everything behind some place with it, in the
/// midst of a message perhaps.
@usableFromInline
struct Connection<N: Node> {
  /// What arrives at one moment: a message, or some of its bytes.
  @usableFromInline
  struct Piece {
    let message: N.Message?
    let bytes: [UInt8]
    let endsMessage: Bool
    let cause: UInt64
    /// Which of the direction's connections it was written to.
    let number: UInt64
  }

  private var pieces: [Piece] = []
  private var head = 0
  /// Counts connections; a writer's next piece goes on this one.
  var number: UInt64 = 0
  /// What counts of the arrivals that wait in the queue: those that were set before everything was lost do not.
  var generation: UInt64 = 0
  /// The reader's life with which the connection was made; 0 before there was one.
  var incarnation: UInt32 = 0
  /// Until then the connection is being made.
  var opensAt: UInt64 = 0
  /// Nothing written later arrives before.
  var lastArrival: UInt64 = 0
  /// What has arrived of a message that is not whole, and by which connection.
  private var received: [UInt8] = []
  private var receiving: UInt64 = 0

  @usableFromInline
  init() {}

  mutating func append(_ piece: Piece) { pieces.append(piece) }

  /// Takes the piece that arrives next.
  mutating func next() -> Piece? {
    guard head < pieces.count else { return nil }
    defer {
      head += 1
      if head > 64, head * 2 > pieces.count {
        pieces.removeFirst(head)
        head = 0
      }
    }
    return pieces[head]
  }

  /// Joins a piece to what arrived before it on the same connection; the half of a message that an earlier connection left is thrown away.
  mutating func join(_ piece: Piece) -> [UInt8]? {
    if receiving != piece.number { received = [] }
    receiving = piece.number
    received += piece.bytes
    guard piece.endsMessage else { return nil }
    defer { received = [] }
    return received
  }

  /// Loses everything on its way and says how many messages that were. The next connection is ready at `time`.
  mutating func breakDown(until time: UInt64) -> Int {
    let lost = pieces[head...].count { $0.endsMessage }
    pieces = []
    head = 0
    received = []
    number += 1
    generation += 1
    opensAt = max(opensAt, time)
    return lost
  }
}

extension Simulator {
  /// Writes a message to the connection of a link, which may break under it.
  @usableFromInline
  func write(_ message: N.Message, from: Int, to: Int, _ link: Int) {
    let conditions = conditions(of: link)
    guard now >= core.pointee.connections[link].opensAt else { return lose(message, from: from, to: to, "no connection") }
    let incarnation = core.pointee.connections[link].incarnation
    core.pointee.connections[link].incarnation = nodes[to].incarnation
    if incarnation != 0, incarnation != nodes[to].incarnation {
      // The reader has come up anew: the first that is written to the old connection finds that out.
      lose(message, andBefore: breakDown(link, as: \.lost), from: from, to: to, "the connection was to an earlier life")
      return
    }
    let isBreaking = core.pointee.links[link].random.happens(conditions.resets)
    if isBreaking, core.pointee.links[link].random.chance(1, in: 2) {
      lose(message, andBefore: breakDown(link, as: \.lost), from: from, to: to, "the connection is reset")
      return
    }
    var pieces = cut(message, link)
    if isBreaking {
      // The writer's side ends: what it wrote before arrives, and half of this.
      pieces = Array(pieces.dropLast())
      lose(message, from: from, to: to, "half-written")
    } else {
      core.pointee.links[link].inFlight += 1
      core.pointee.networkCounts.inFlight += 1
    }
    var time = now &+ conditions.minimumLatency &+ core.pointee.links[link].random.exponential(mean: conditions.meanExtraLatency)
    for piece in pieces {
      time = max(time, core.pointee.connections[link].lastArrival)
      core.pointee.connections[link].lastArrival = time
      core.pointee.connections[link].append(piece)
      push(.arrival(link: link, generation: core.pointee.connections[link].generation), at: time)
      time &+= 1000
    }
    if isBreaking {
      core.pointee.connections[link].number += 1
      core.pointee.connections[link].opensAt = reopening(link)
    }
  }

  /// A message in one to four pieces of bytes; in one that holds it where nothing is known of its bytes.
  private func cut(_ message: N.Message, _ link: Int) -> [Connection<N>.Piece] {
    let number = core.pointee.connections[link].number
    guard let wire else { return [.init(message: message, bytes: [], endsMessage: true, cause: eventCount, number: number)] }
    var frame = wire.frame(message)
    flip(&frame, link)
    var pieces: [Connection<N>.Piece] = []
    var start = 0
    while start < frame.count {
      let isLast = pieces.count == 3 || core.pointee.links[link].random.chance(1, in: 2)
      let end = isLast ? frame.count : start + core.pointee.links[link].random.within(1...frame.count - start)
      pieces.append(
        .init(message: nil, bytes: Array(frame[start..<end]), endsMessage: end == frame.count, cause: eventCount, number: number))
      start = end
    }
    return pieces
  }

  /// Flips a few bits of a frame, as often as the link does that.
  func flip(_ frame: inout [UInt8], _ link: Int) {
    guard core.pointee.links[link].random.happens(conditions(of: link).corruption) else { return }
    // Neighbours of one bit, so that none is flipped back.
    let first = core.pointee.links[link].random.below(frame.count * 8)
    for step in 0...core.pointee.links[link].random.below(3) {
      let bit = (first + step * 7) % (frame.count * 8)
      frame[bit >> 3] ^= 1 << UInt8(bit & 7)
    }
  }

  /// The next piece of a link arrives.
  @usableFromInline
  func arrive(_ link: Int, generation: UInt64) {
    guard core.pointee.connections[link].generation == generation else { return }
    let (from, to) = link.quotientAndRemainder(dividingBy: ids.count)
    if core.pointee.links[link].cuts > 0 {
      let lost = breakDown(link, as: \.cut)
      return record(.cut, node: to, peer: from, cause: eventCount, text: "\(lost) messages of a connection")
    }
    if core.pointee.links[link].cloggedUntil > now {
      return push(.arrival(link: link, generation: generation), at: core.pointee.links[link].cloggedUntil)
    }
    if nodes[to].condition != .down, !isReady(to, or: .arrival(link: link, generation: generation)) { return }
    guard nodes[to].condition == .running else {
      let lost = breakDown(link, as: \.refused)
      return record(.refused, node: to, peer: from, cause: eventCount, text: "\(lost) messages of a connection")
    }
    guard let piece = core.pointee.connections[link].next() else { return }
    if let message = piece.message { return arrived(message, link, from, to, piece.cause) }
    guard let wire, let frame = core.pointee.connections[link].join(piece) else { return }
    switch wire.open(frame, from: ids[from]) {
    case .message(let message): arrived(message, link, from, to, piece.cause)
    case .wrong(let why): fail("codec", why, at: ids[to])
    case .damaged:
      core.pointee.links[link].inFlight -= 1
      core.pointee.networkCounts.inFlight -= 1
      core.pointee.networkCounts.corrupted += 1
      // Who hears nonsense hangs up.
      let lost = breakDown(link, as: \.lost)
      record(.dropped, node: to, peer: from, cause: piece.cause, text: "a damaged frame, and \(lost) messages behind it")
    }
  }

  private func arrived(_ message: N.Message, _ link: Int, _ from: Int, _ to: Int, _ cause: UInt64) {
    core.pointee.links[link].inFlight -= 1
    core.pointee.networkCounts.inFlight -= 1
    core.pointee.networkCounts.delivered += 1
    give(.message(from: ids[from], message), to: to, .receive, peer: from, cause: cause) { text(of: message) }
  }

  /// Breaks the connection of a link: what is on its way is lost, and counted so.
  @discardableResult
  func breakDown(_ link: Int, as fate: WritableKeyPath<NetworkStatistics, Int>) -> Int {
    let lost = core.pointee.connections[link].breakDown(until: reopening(link))
    core.pointee.links[link].inFlight -= lost
    core.pointee.networkCounts.inFlight -= lost
    core.pointee.networkCounts[keyPath: fate] += lost
    return lost
  }

  private func reopening(_ link: Int) -> UInt64 {
    let conditions = conditions(of: link)
    return now &+ 2 * conditions.minimumLatency &+ core.pointee.links[link].random.exponential(mean: conditions.meanReconnect)
  }

  private func lose(_ message: N.Message, andBefore others: Int = 0, from: Int, to: Int, _ why: String) {
    core.pointee.networkCounts.lost += 1
    record(.dropped, node: to, peer: from, cause: eventCount, text: "\(text(of: message)) (\(why)\(others > 0 ? ", and \(others) before it" : ""))")
  }
}
