import StrataBytes
import StrataNodes
import StrataRequirements
import Testing

@testable import StrataSimulation

extension Chatter {
  /// A tag, then the number.
  static let wire = SimulatedWire<Message> { message in
    var writer = ByteWriter()
    switch message {
    case .word(let number):
      writer.writeUInt8(1)
      writer.writeZigzag64(Int64(number))
    case .ping(let number):
      writer.writeUInt8(2)
      writer.writeZigzag64(Int64(number))
    case .pong(let number):
      writer.writeUInt8(3)
      writer.writeZigzag64(Int64(number))
    }
    return writer.finish()
  } decode: { bytes, _ in
    var reader = ByteReader(bytes)
    let tag = try reader.readUInt8()
    let number = Int(try reader.readZigzag64())
    try reader.expectEnd(of: "message")
    switch tag {
    case 1: return .word(number)
    case 2: return .ping(number)
    case 3: return .pong(number)
    default: throw DecodeError.malformed(at: 0, field: "tag")
    }
  }

  /// The same, but the receiver reads another number than was sent.
  static let forgetfulWire = SimulatedWire<Message>(encode: wire.encode) { bytes, from in
    if case .word(let number) = try wire.decode(bytes, from) { return .word(number / 2 * 2) }
    return try wire.decode(bytes, from)
  }
}

/// What messages travel as: values or bytes, on their own or on connections.
struct CarriageTests {
  private func streams(
    _ seed: UInt64, wire: SimulatedWire<Chatter.Message>? = nil, resets: Probability = .never, trace: Trace? = nil
  ) -> Simulator<Chatter> {
    let cluster = Simulator<Chatter>(nodes: 2, seed: seed, wire: wire, trace: trace)
    cluster.network.carriage = .streams
    cluster.network.meanExtraLatency = 2_000_000
    cluster.network.resets = resets
    return cluster
  }

  /// Words 0 ... from node 1 to node 2, one each millisecond of request.
  private func talk(_ cluster: Simulator<Chatter>, _ words: Range<Int>) throws {
    for word in words {
      let session = cluster.ask(1, .say(word, to: 2))
      try cluster.run(until: { $0.answer(to: session) != nil }, within: .seconds(1))
    }
    try cluster.run(for: .seconds(1))
  }

  private func expectConservation(_ cluster: Simulator<Chatter>) {
    let s = cluster.networkStatistics
    #expect(s.sent + s.duplicated == s.delivered + s.lost + s.corrupted + s.cut + s.refused + s.inFlight, "\(s)")
  }

  @Test(.requirement("Simulation.beyond.2"), arguments: [true, false]) func aConnectionKeepsItsOrder(asBytes: Bool) throws {
    for seed in 1...20 as ClosedRange<UInt64> {
      let cluster = streams(seed, wire: asBytes ? Chatter.wire : nil)
      try talk(cluster, 0..<100)
      #expect(cluster.node(2)?.heard == Array(0..<100), "seed \(seed)")
      expectConservation(cluster)
    }
  }

  @Test(.requirement("Simulation.beyond.2"), arguments: [true, false]) func aConnectionThatBreaksLosesWhatIsBehindSomePlace(asBytes: Bool) throws {
    var gaps = 0
    for seed in 1...30 as ClosedRange<UInt64> {
      let cluster = streams(seed, wire: asBytes ? Chatter.wire : nil, resets: .percent(5))
      try talk(cluster, 0..<200)
      let heard = try #require(cluster.node(2)?.heard)
      // In order, none twice, and after a break those that follow on a new connection.
      #expect(zip(heard, heard.dropFirst()).allSatisfy(<), "seed \(seed): \(heard)")
      #expect(heard.count < 200 && heard.last! > 150, "seed \(seed)")
      gaps += zip(heard, heard.dropFirst()).count { $1 > $0 + 1 }
      expectConservation(cluster)
      #expect(cluster.networkStatistics.inFlight == 0 && cluster.networkStatistics.lost == 200 - heard.count)
    }
    #expect(gaps > 60, "\(gaps)")
  }

  @Test func aHalfWrittenMessageIsThrownAway() throws {
    // Every message breaks its connection: bytes arrive, and never a message.
    let cluster = streams(3, wire: Chatter.wire, resets: .always)
    cluster.network.meanReconnect = 0
    try talk(cluster, 0..<100)
    #expect(cluster.node(2)?.heard == [])
    cluster.network.resets = .never
    try talk(cluster, 100..<103)
    // What was half-written before does not harm what comes on a new connection.
    #expect(cluster.node(2)?.heard.suffix(2) == [101, 102])
  }

  @Test func whoeverComesUpAnewIsReachedByANewConnection() throws {
    let cluster = streams(4)
    try talk(cluster, 0..<3)
    cluster.crash(2)
    cluster.restart(2)
    try talk(cluster, 3..<10)
    let heard = try #require(cluster.node(2)?.heard)
    // The first is written to a connection that is there no more.
    #expect(heard.first! > 3 && heard.last == 9 && zip(heard, heard.dropFirst()).allSatisfy(<), "\(heard)")
  }

  @Test func cutsClogsPausesAndSlownessKeepTheOrder() throws {
    var arrived = 0
    for seed in 1...20 as ClosedRange<UInt64> {
      let cluster = streams(seed, wire: seed % 2 == 0 ? Chatter.wire : nil, trace: Trace())
      var random = Random(seed: seed)
      for word in 0..<200 {
        cluster.ask(1, .say(word, to: 2))
        switch random.below(12) {
        case 0: cluster.cut(from: 1, to: 2)
        case 1, 2, 3: cluster.heal()
        case 4: cluster.clog(from: 1, to: 2, for: 20_000_000)
        case 5: cluster.pause(2)
        case 6, 7: cluster.resume(2)
        case 8: cluster.slow(2, inputTime: [0, 1_000_000][random.below(2)])
        default: break
        }
        try cluster.run(for: .milliseconds(2))
        expectConservation(cluster)
      }
      cluster.heal()
      cluster.resume(2)
      cluster.slow(2, inputTime: 0)
      try cluster.run(for: .seconds(2))
      // Requests overtake each other on their way to node 1: what it wrote first arrives first.
      let sent = try #require(cluster.trace?.events.filter { $0.kind == .send }.map(\.text))
      let received = try #require(cluster.trace?.events.filter { $0.kind == .receive }.map(\.text))
      var rest = sent[...]
      for text in received {
        let place = try #require(rest.firstIndex(of: text), "seed \(seed): \(text) out of order")
        rest = rest[(place + 1)...]
      }
      #expect(sent.count == 200 && received.count > 10, "seed \(seed)")
      arrived += received.count
      expectConservation(cluster)
      #expect(cluster.networkStatistics.inFlight == 0)
    }
    #expect(arrived > 1000, "\(arrived)")
  }

  // MARK: Bytes

  @Test(.requirement("Simulation.beyond.1"), arguments: [NetworkConditions.Carriage.datagrams, .streams])
  func flippedBitsAreRefused(_ carriage: NetworkConditions.Carriage) throws {
    var corrupted = 0
    for seed in 1...20 as ClosedRange<UInt64> {
      let cluster = Simulator<Chatter>(nodes: 2, seed: seed, wire: Chatter.wire)
      cluster.network.carriage = carriage
      cluster.network.corruption = .percent(20)
      try talk(cluster, 0..<100)
      let heard = try #require(cluster.node(2)?.heard)
      #expect(Set(heard).isSubset(of: Set(0..<100)) && Set(heard).count == heard.count, "seed \(seed): \(heard)")
      corrupted += cluster.networkStatistics.corrupted
      expectConservation(cluster)
    }
    #expect(corrupted > 100, "\(corrupted)")
  }

  @Test(.requirement("Simulation.beyond.1"), arguments: [NetworkConditions.Carriage.datagrams, .streams])
  func anEncodingThatForgetsIsFound(_ carriage: NetworkConditions.Carriage) throws {
    let cluster = Simulator<Chatter>(nodes: 2, seed: 1, wire: Chatter.forgetfulWire)
    cluster.network.carriage = carriage
    try talk(cluster, 0..<1)
    #expect(throws: SimulationFailure.self) { try talk(cluster, 1..<2) }
    #expect(cluster.failure?.kind == "codec")
  }

  // MARK: Links

  @Test func messagesOfOneKindCanBeLost() throws {
    let cluster = Simulator<Chatter>(nodes: 2, seed: 5)
    cluster.loseMessages { from, _, message in from == 1 && message == .word(2) }
    try talk(cluster, 0..<4)
    #expect(cluster.node(2)?.heard == [0, 1, 3])
    cluster.loseMessages(where: nil)
    try talk(cluster, 2..<3)
    #expect(cluster.node(2)?.heard == [0, 1, 3, 2])
    expectConservation(cluster)
  }

  @Test func aLinkHasConditionsOfItsOwn() throws {
    let cluster = Simulator<Chatter>(nodes: 3, seed: 6)
    var lossy = cluster.network
    lossy.loss = .always
    cluster.setNetwork(lossy, from: 1, to: 2)
    for to in [2, 3] as [NodeID] { cluster.ask(1, .say(1, to: to)) }
    cluster.ask(2, .say(2, to: 1))
    try cluster.run(for: .seconds(1))
    #expect(cluster.node(2)?.heard == [] && cluster.node(3)?.heard == [1] && cluster.node(1)?.heard == [2])
    cluster.network = NetworkConditions()
    cluster.ask(1, .say(3, to: 2))
    try cluster.run(for: .seconds(1))
    #expect(cluster.node(2)?.heard == [3])
  }

  @Test func aSwizzleClogsOneAfterTheOtherAndEnds() throws {
    let cluster = Simulator<Chatter>(nodes: 3, seed: 7, trace: Trace())
    cluster.swizzleClog([1, 2, 3], for: 1_000_000_000)
    for word in 0..<200 {
      cluster.ask(1, .say(word, to: 2))
      try cluster.run(for: .milliseconds(10))
    }
    let clogs = try #require(cluster.trace?.events.filter { $0.kind == .fault && $0.text.hasPrefix("the link is clogged") })
    #expect(Set(clogs.map(\.time)).count == 3 && clogs.count == 12)
    #expect(clogs.allSatisfy { $0.time < 500_000_000 })
    let late = try #require(cluster.trace?.events.filter { $0.kind == .receive && $0.time > 1_100_000_000 })
    #expect(late.count > 80 && cluster.node(2)?.heard.count == 200)
  }
}
