import StrataBytes
import StrataNodes
import StrataRequirements
import Testing

@testable import StrataMerkleTree

/// What one session between two trees gave and cost.
struct SessionResult {
  var diff = KeyDiff()
  var missing: [(range: KeyRange, count: Int)] = []
  var roundTrips = 0
  var bytes = 0
  var frames = 0
  var longestFrame = 0
  var finished = 0

  mutating func take(_ difference: KeyDifference) {
    switch difference.kind {
    case .onlyHere: diff.onlyHere.append(difference.key)
    case .onlyThere: diff.onlyThere.append(difference.key)
    case .differing: diff.differing.append(difference.key)
    }
  }

  /// The lists in order, which several frames give in pieces.
  var sorted: KeyDiff {
    var result = diff
    result.onlyHere.sort { $0.lexicographicallyPrecedes($1) }
    result.onlyThere.sort { $0.lexicographicallyPrecedes($1) }
    result.differing.sort { $0.lexicographicallyPrecedes($1) }
    return result
  }
}

/// Runs a session in steps: all requests under way are answered at once, then all answers taken. `change` may touch both trees between.
func reconcile(
  _ a: inout KeyRangeMerkleTree, _ b: inout KeyRangeMerkleTree, range: KeyRange = .all, options: ReconcileOptions = ReconcileOptions(),
  peerOptions: ReconcileOptions? = nil, change: (inout KeyRangeMerkleTree, inout KeyRangeMerkleTree) throws -> Void = { _, _ in }
) throws -> SessionResult {
  var result = SessionResult()
  var session = RangeReconciler(session: 1, range: range, options: options)
  var effects = session.start(&a)
  var requests: [[UInt8]] = []
  func take(_ effects: [RangeReconciler.Effect]) {
    for effect in effects {
      switch effect {
      case .send(let frame): requests.append(frame)
      case .differs(let difference): result.take(difference)
      case .missingThere(let range, let count): result.missing.append((range, count))
      case .finished: result.finished += 1
      }
    }
  }
  take(effects)
  while !requests.isEmpty {
    result.roundTrips += 1
    let sent = requests
    requests = []
    let replies = try sent.flatMap { try RangeResponder.respond(to: $0, tree: b, within: range, options: peerOptions ?? options) }
    for frame in sent + replies {
      result.bytes += frame.count
      result.frames += 1
      result.longestFrame = max(result.longestFrame, frame.count)
    }
    try change(&a, &b)
    for reply in replies {
      effects = try session.receive(reply, &a)
      take(effects)
    }
  }
  #expect(session.isFinished && a.holder(of: .all) == nil)
  #expect(session.statistics.bytesSent + session.statistics.bytesReceived == result.bytes)
  return result
}

private func randomModel(_ random: inout Random, _ count: Int) -> [[UInt8]: Content] {
  var model: [[UInt8]: Content] = [:]
  for _ in 0..<count { model[random.bytes(random.within(1...4))] = Content(&random) }
  return model
}

private func tiny(_ random: inout Random) -> ReconcileOptions {
  var options = ReconcileOptions()
  options.fanOut = random.within(2...16)
  options.narrowFanOut = random.within(2...16)
  options.narrowBelow = random.within(0...100)
  options.listedItems = random.within(1...20)
  options.frameBytes = random.within(64...2000)
  options.replyFrames = random.within(1...16)
  options.framesInFlight = random.within(1...16)
  return options
}

@Suite struct ReconciliationTests {
  /// Whatever the sizes, limits of frames and differences: exactly the differing keys, each once.
  @Test(.requirement("MerkleTree.keep.6", "MerkleTree.never.7", "MerkleTree.never.8"), arguments: 0..<UInt64(60 * testDepth))
  func exactlyTheDifferencesAreFound(seed: UInt64) throws {
    var random = Random(seed: seed)
    let models = somePair(&random)
    var (a, b) = (try KeyRangeMerkleTree(models.0), try KeyRangeMerkleTree(models.1))
    let range =
      random.chance(1, in: 2) ? KeyRange.all : KeyRange(lower: random.bytes(1), upper: random.chance(1, in: 2) ? nil : random.bytes(2) + [1])
    let options = random.chance(1, in: 3) ? ReconcileOptions() : tiny(&random)
    let result = try reconcile(&a, &b, range: range, options: options, peerOptions: random.chance(1, in: 2) ? nil : tiny(&random))
    #expect(result.sorted == a.diffKeys(b, in: range), "seed \(seed)")
    #expect(result.finished == 1 && result.longestFrame <= ReconcileFrame.bytesMax, "seed \(seed)")
  }

  private func somePair(_ random: inout Random) -> ([[UInt8]: Content], [[UInt8]: Content]) {
    let a = randomModel(&random, random.below(900))
    var b = random.chance(1, in: 6) ? [:] : a
    for key in a.keys.sorted(by: { $0.lexicographicallyPrecedes($1) }) where random.chance(1, in: 30) {
      b[key] = random.chance(1, in: 2) ? nil : Content(&random)
    }
    for _ in 0..<random.below(20) { b[random.bytes(3)] = Content(&random) }
    return (a, b)
  }

  @Test(.requirement("MerkleTree.keep.6")) func equalReplicasExchangeOneFrameEachWay() throws {
    var random = Random(seed: 1)
    var a = try KeyRangeMerkleTree(randomModel(&random, 500))
    var b = a
    let result = try reconcile(&a, &b)
    #expect(result.roundTrips == 1 && result.frames == 2 && result.bytes <= 200 && result.diff.isEmpty)
    var empty = KeyRangeMerkleTree()
    var none = KeyRangeMerkleTree()
    #expect(try reconcile(&empty, &none).frames == 2)
    // A range without keys needs no frame at all.
    #expect(try reconcile(&a, &b, range: KeyRange(lower: [5], upper: [5])).frames == 0)
  }

  /// A replica that has lost everything tells its missing keys as ranges, in bounded frames.
  @Test(.requirement("MerkleTree.keep.6")) func oneSideMayBeEmpty() throws {
    var random = Random(seed: 2)
    var a = try KeyRangeMerkleTree(randomModel(&random, 5000))
    var b = KeyRangeMerkleTree()
    let count = a.count
    let lost = try reconcile(&a, &b)
    #expect(lost.diff.isEmpty && lost.missing.count == 1 && lost.missing[0].range == .all && lost.missing[0].count == count)
    let fresh = try reconcile(&b, &a)
    #expect(fresh.sorted.onlyThere.count == count && fresh.sorted == b.diffKeys(a) && fresh.longestFrame <= 65536)
  }

  /// What the wire may cost for few differences among many keys.
  @Test(.requirement("MerkleTree.keep.6", "MerkleTree.never.7")) func fewDifferencesCostFewBytes() throws {
    var random = Random(seed: 3)
    var a = KeyRangeMerkleTree()
    for _ in 0..<20_000 * testDepth { try a.set(random.bytes(16), version: [1], valueDigest: .zero, tombstone: false) }
    var b = a
    try b.set(random.bytes(16), version: [1], valueDigest: .zero, tombstone: false)
    let one = try reconcile(&a, &b)
    #expect(one.diff.count == 1 && one.bytes <= 16 << 10 && one.roundTrips <= 6)
    for _ in 0..<100 { try b.set(random.bytes(16), version: [1], valueDigest: .zero, tombstone: false) }
    let many = try reconcile(&a, &b)
    #expect(many.diff.count == 101 && many.bytes <= 100 << 10 && many.roundTrips <= 6, "\(many.bytes) bytes, \(many.roundTrips) round trips")
  }

  /// Writes on both sides during a session: it ends, and the next without writes finds exactly what is different then.
  @Test(.requirement("MerkleTree.keep.6"), arguments: 0..<UInt64(30 * testDepth)) func writesMeanwhile(seed: UInt64) throws {
    var random = Random(seed: seed)
    let models = somePair(&random)
    var (a, b) = (try KeyRangeMerkleTree(models.0), try KeyRangeMerkleTree(models.1))
    let options = tiny(&random)
    _ = try reconcile(&a, &b, options: options) { a, b in
      for _ in 0..<random.below(10) { try a.set(random.bytes(2), Content(&random)) }
      for _ in 0..<random.below(10) { b.remove(random.bytes(1)) }
    }
    #expect(try reconcile(&a, &b, options: options).sorted == a.diffKeys(b), "seed \(seed)")
  }

  /// Frames lost, repeated, late and out of order: the session ends with the differences, none twice.
  @Test(.requirement("MerkleTree.keep.6"), arguments: 0..<UInt64(60 * testDepth)) func badNetworks(seed: UInt64) throws {
    var random = Random(seed: seed)
    let models = somePair(&random)
    var (a, b) = (try KeyRangeMerkleTree(models.0), try KeyRangeMerkleTree(models.1))
    let options = tiny(&random)
    var session = RangeReconciler(session: 5, options: options)
    var result = SessionResult()
    var requests: [[UInt8]] = []
    var replies: [[UInt8]] = []
    func take(_ effects: [RangeReconciler.Effect]) {
      for effect in effects {
        switch effect {
        case .send(let frame): requests.append(frame)
        case .differs(let difference): result.take(difference)
        case .missingThere: Issue.record("few keys are told one by one, seed \(seed)")
        case .finished: result.finished += 1
        }
      }
    }
    take(session.start(&a))
    var steps = 0
    while !session.isFinished {
      steps += 1
      guard steps < 200_000 else {
        Issue.record("seed \(seed) does not end")
        return
      }
      if requests.isEmpty, replies.isEmpty {
        take(session.resend(&a))
        continue
      }
      if !requests.isEmpty, replies.isEmpty || random.chance(1, in: 2) {
        let request = requests.remove(at: random.below(requests.count))
        if random.chance(1, in: 10) { requests.append(request) }
        if random.chance(1, in: 10) { continue }
        replies += try RangeResponder.respond(to: request, tree: b, options: options)
      } else {
        let reply = replies.remove(at: random.below(replies.count))
        if random.chance(1, in: 10) { replies.append(reply) }
        if random.chance(1, in: 10) { continue }
        if random.chance(1, in: 20) {
          var damaged = reply
          damaged[random.below(reply.count)] ^= 4
          #expect(throws: MerkleError.self) { try session.receive(damaged, &a) }
        }
        take(try session.receive(reply, &a))
      }
    }
    #expect(result.sorted == a.diffKeys(b) && result.finished == 1, "seed \(seed)")
    b.remove([])
  }

  /// Replicas that exchange what sessions find, the higher version winning, come to the union, and then have nothing more to say.
  @Test(.requirement("MerkleTree.keep.6"), arguments: 0..<UInt64(20 * testDepth)) func repairComesToTheUnion(seed: UInt64) throws {
    var random = Random(seed: seed)
    var models = [[UInt8]: Content]()
    for _ in 0..<random.below(400) { models[random.bytes(2)] = Content(&random) }
    var stores = [models, models, models]
    func write(_ side: Int, _ key: [UInt8], _ content: Content) {
      if let old = stores[side][key], !old.version.lexicographicallyPrecedes(content.version) { return }
      stores[side][key] = content
    }
    for number in 0..<random.below(60) {
      var content = Content(&random)
      // Versions are unique, as those of a store are.
      content.version = [255, UInt8(number)]
      write(random.below(3), random.bytes(2), content)
    }
    var union: [[UInt8]: Content] = [:]
    for store in stores { union.merge(store) { $0.version.lexicographicallyPrecedes($1.version) ? $1 : $0 } }
    for (here, there) in [(0, 1), (1, 2), (2, 0), (0, 1)] {
      var (a, b) = (try KeyRangeMerkleTree(stores[here]), try KeyRangeMerkleTree(stores[there]))
      let result = try reconcile(&a, &b, options: tiny(&random))
      for key in result.diff.onlyHere + result.diff.onlyThere + result.diff.differing {
        if let content = stores[here][key] { write(there, key, content) }
        if let content = stores[there][key] { write(here, key, content) }
      }
    }
    for side in 0..<3 { #expect(stores[side] == union, "seed \(seed)") }
    var (a, b) = (try KeyRangeMerkleTree(stores[0]), try KeyRangeMerkleTree(stores[2]))
    #expect(try reconcile(&a, &b).frames == 2, "seed \(seed)")
  }

  // MARK: Refusals

  private func refusal(_ body: () throws -> Void) -> MerkleError? {
    do {
      try body()
      return nil
    } catch { return error as? MerkleError }
  }

  @Test(.requirement("MerkleTree.never.12")) func otherAgreementsOnTombstonesAreRefused() throws {
    var a = KeyRangeMerkleTree()
    var b = KeyRangeMerkleTree()
    try a.set([1], version: [9], valueDigest: .zero, tombstone: false)
    try b.purge(before: [5])
    var session = RangeReconciler(session: 1)
    guard case .send(let request)? = session.start(&a).first else {
      Issue.record("a session begins with a frame")
      return
    }
    let field = "the version tombstones are purged before"
    #expect(refusal { _ = try RangeResponder.respond(to: request, tree: b) } == .incompatible(field: field, mine: "05", theirs: ""))
    // The reply of a peer that raised its agreement meanwhile ends the session, which lets go of its range.
    let agreed = KeyRangeMerkleTree()
    let reply = try RangeResponder.respond(to: request, tree: agreed)[0]
    #expect(refusal { try a.purge(before: [5]) } == .rangeInSession(session: 1))
    var purged = b
    #expect(refusal { _ = try session.receive(reply, &purged) } == .incompatible(field: field, mine: "05", theirs: ""))
    #expect(session.isFinished)
  }

  /// Two replicas that forget the same tombstones agree, whichever of them still had some.
  @Test(.requirement("MerkleTree.keep.6")) func purgedTombstonesAreExcludedOnBothSides() throws {
    var a = KeyRangeMerkleTree()
    for number in 0..<200 { try a.set([UInt8(number)], version: [UInt8(number)], valueDigest: .zero, tombstone: number % 3 == 0) }
    var b = a
    for number in stride(from: 0, to: 60, by: 3) { b.remove([UInt8(number)]) }
    #expect(try reconcile(&a, &b).diff.onlyHere.count == 20)
    try a.purge(before: [60])
    try b.purge(before: [60])
    #expect(try reconcile(&a, &b).frames == 2)
  }

  @Test(.requirement("MerkleTree.never.12")) func framesOutsideOfTheSessionAreRefused() throws {
    var random = Random(seed: 4)
    var a = try KeyRangeMerkleTree(randomModel(&random, 300))
    let b = try KeyRangeMerkleTree(randomModel(&random, 300))
    let half = KeyRange(lower: [], upper: [0x80])
    var session = RangeReconciler(session: 1, range: half)
    guard case .send(let request)? = session.start(&a).first else {
      Issue.record("a session begins with a frame")
      return
    }
    // A responder that may only be asked about other keys.
    guard case .protocolError? = refusal({ _ = try RangeResponder.respond(to: request, tree: b, within: KeyRange(lower: [1], upper: nil)) }) else {
      Issue.record("a request beyond the range was answered")
      return
    }
    // Another session's frames are passed over; a reply that reaches beyond the question ends the session.
    func reply(session number: UInt64, _ kind: ReconcileFrame.Kind = .reply, to bound: [UInt8]?) -> [UInt8] {
      var frame = FrameWriter(FrameHeader(kind: kind, session: number, exchange: 1, purgeBefore: []), lower: [])
      frame.skip(to: bound)
      return frame.finish()
    }
    #expect(try session.receive(reply(session: 2, to: nil), &a) == [])
    #expect(a.holder(of: half) == 1)
    var copy = session
    guard case .protocolError? = refusal({ _ = try session.receive(reply(session: 1, to: nil), &a) }) else {
      Issue.record("a reply beyond the question was taken")
      return
    }
    #expect(session.isFinished && a.holder(of: .all) == nil)
    #expect(try session.receive(reply(session: 1, to: [0x80]), &a) == [])
    guard case .protocolError? = refusal({ _ = try copy.receive(reply(session: 1, .request, to: [0x80]), &a) }) else {
      Issue.record("a request was taken for a reply")
      return
    }
    guard case .protocolError? = refusal({ _ = try RangeResponder.respond(to: reply(session: 1, to: nil), tree: b) }) else {
      Issue.record("a reply was taken for a request")
      return
    }
    copy.abandon(&a)
  }

  /// Ranges that do not ascend, items outside of theirs, ranges after the last key: written with a valid checksum, refused all the same.
  @Test(.requirement("MerkleTree.never.12")) func unorderedFramesAreRefused() throws {
    func frame(_ fill: (inout FrameWriter) -> Void) -> [UInt8] {
      var writer = FrameWriter(FrameHeader(kind: .request, session: 1, exchange: 1, purgeBefore: []), lower: [5])
      fill(&writer)
      return writer.finish()
    }
    let print = RangeSum().fingerprint
    let item = { (key: UInt8) in ReconcileFrame.Item(key: [key], mark: print) }
    #expect(throws: Never.self) { try ReconcileFrame(decoding: frame { $0.fingerprint(print, to: [6]) }) }
    #expect(throws: Never.self) { try ReconcileFrame(decoding: frame { $0.items([item(5), item(7)], to: [8]) }) }
    let wrong = [
      frame { _ in }, frame { $0.fingerprint(print, to: [5]) }, frame { $0.fingerprint(print, to: [4]) },
      frame {
        $0.fingerprint(print, to: nil)
        $0.fingerprint(print, to: [6])
      },
      frame { $0.items([item(4)], to: [8]) }, frame { $0.items([item(8)], to: [8]) }, frame { $0.items([item(7), item(6)], to: [8]) },
      frame { $0.items([item(6), item(6)], to: [8]) },
    ]
    for bytes in wrong {
      guard case .protocolError? = refusal({ _ = try ReconcileFrame(decoding: bytes) }) else {
        Issue.record("\(hexText(bytes, limit: 100)) was taken")
        continue
      }
    }
  }

  @Test(.requirement("MerkleTree.never.12"), arguments: 0..<UInt64(4 * testDepth)) func damagedFramesNeverTrap(seed: UInt64) throws {
    var random = Random(seed: seed)
    var a = try KeyRangeMerkleTree(randomModel(&random, 60))
    let b = try KeyRangeMerkleTree(randomModel(&random, 60))
    var session = RangeReconciler(session: 1)
    guard case .send(let request)? = session.start(&a).first else { return }
    let frames = [request] + (try RangeResponder.respond(to: request, tree: b))
    for frame in frames {
      for length in 0..<frame.count { #expect(throws: MerkleError.self) { try ReconcileFrame(decoding: Array(frame[..<length])) } }
      for bit in 0..<frame.count * 8 {
        var damaged = frame
        damaged[bit / 8] ^= 1 << UInt8(bit % 8)
        #expect(throws: MerkleError.self, "bit \(bit)") { try ReconcileFrame(decoding: damaged) }
      }
    }
    #expect(throws: MerkleError.self) { try ReconcileFrame(decoding: [UInt8](repeating: 0, count: ReconcileFrame.bytesMax + 1)) }
    // Behind a valid checksum anything may stand: a frame, or a typed error, at both ends.
    for _ in 0..<2000 {
      var bytes = Array(frames[random.below(frames.count)].dropLast(4))
      for _ in 0...random.below(4) { bytes[random.below(bytes.count)] = UInt8(truncatingIfNeeded: random.next()) }
      if random.chance(1, in: 4) { bytes.removeLast(random.below(bytes.count)) }
      if random.chance(1, in: 4) { bytes += random.bytes(random.below(50)) }
      var writer = ByteWriter(beginningWith: bytes)
      writer.writeChecksum(since: 0)
      let sealed = writer.finish()
      _ = try? RangeResponder.respond(to: sealed, tree: b)
      var copy = session
      _ = try? copy.receive(sealed, &a)
    }
  }
}
