import StrataBytes

/// The asking side of a reconciliation: finds the keys of a range in which this replica and a peer differ.
///
/// Without I/O, clock or randomness: it is given frames and gives frames to send, which the peer answers with ``RangeResponder``. Both compare
/// fingerprints of ranges and cut those that differ, until few keys are left, which the peer names. For d differences among n keys that takes
/// O(log n) round trips and O(d log n) bytes; equal replicas exchange one frame each way.
///
/// Frames may be lost, repeated and reordered: repeated ones are passed over, and ``resend(_:)`` asks again for what has not been
/// answered. Either side may be written to meanwhile; a write that the comparison has already passed is found by the next session.
///
/// **What the caller must see to.** The range has one replica set: split at ownership boundaries first, or keys that belong to others are
/// reported. Both sides have purged tombstones before the same version, see ``KeyRangeMerkleTree/purge(before:)``. The peer is trusted.
///
/// Owned by one place at a time. Memory: the unanswered requests and the ranges still to ask, at most about a frame's ranges times the fan-out
/// for each of the log n steps.
public struct RangeReconciler: Sendable {
  /// What follows from an input.
  public enum Effect: Sendable, Hashable {
    /// Send this frame to the peer.
    case send([UInt8])
    /// The replicas differ in a key. Each is reported once in a session, keys of one frame in ascending order.
    case differs(KeyDifference)
    /// The peer has none of this replica's `count` keys in a range.
    case missingThere(KeyRange, count: Int)
    /// Every key of the range has been compared. The range is no longer held.
    case finished
  }

  /// How often and how much was sent.
  public struct Statistics: Sendable, Hashable {
    /// Frames given to send.
    public var framesSent = 0
    /// Their bytes.
    public var bytesSent = 0
    /// Frames taken, passed over ones included.
    public var framesReceived = 0
    /// Their bytes.
    public var bytesReceived = 0
    /// Differences reported, each key of a missing range counted.
    public var differences = 0
  }

  /// A request that has not been answered wholly.
  private struct Exchange {
    var coverage: KeyRange
    /// What has been asked in it and not answered, ascending.
    var open: [KeyRange]
  }

  /// A range still to be asked about.
  private struct Question {
    var range: KeyRange
    /// This side's fingerprint; nil to ask for the peer's items.
    var fingerprint: Fingerprint?
  }

  /// The session's number, which the peer repeats.
  public let session: UInt64
  /// The keys that are compared.
  public let range: KeyRange
  /// What was sent and received so far.
  public private(set) var statistics = Statistics()
  /// Whether the session has ended, by success or failure.
  public private(set) var isFinished = false

  private let options: ReconcileOptions
  private var exchanges: [UInt32: Exchange] = [:]
  private var lastExchange: UInt32 = 0
  /// The next question last.
  private var questions: [Question] = []
  private var effects: [Effect] = []

  /// A session over `range`. Its number should be new to the peer, so that frames of earlier sessions are told apart.
  public init(session: UInt64, range: KeyRange = .all, options: ReconcileOptions = ReconcileOptions()) {
    self.session = session
    self.range = range
    self.options = options.bounded
  }

  /// Begins: holds the range in `tree` and asks about all of it.
  public mutating func start(_ tree: inout KeyRangeMerkleTree) -> [Effect] {
    guard !isFinished, exchanges.isEmpty else { return [] }
    tree.hold(range, for: session)
    if !range.isEmpty { questions.append(Question(range: range, fingerprint: tree.fingerprint(range))) }
    return proceed(&tree)
  }

  /// Takes a frame from the peer.
  /// - Throws: `.damaged` for bytes that are no frame: the session goes on, as if the frame had been lost. `.incompatible` and
  ///   `.protocolError`: the session has ended and its range is no longer held.
  public mutating func receive(_ bytes: [UInt8], _ tree: inout KeyRangeMerkleTree) throws(MerkleError) -> [Effect] {
    guard !isFinished else { return [] }
    statistics.framesReceived += 1
    statistics.bytesReceived += bytes.count
    do throws(MerkleError) {
      let frame = try ReconcileFrame(decoding: bytes)
      guard frame.session == session else { return [] }
      guard frame.kind == .reply else { throw .protocolError(reason: "a request where a reply is due") }
      try RangeResponder.demandAgreement(mine: tree.purgeBefore, theirs: frame.purgeBefore)
      // Answers to a request that was given up, or whose answer is complete.
      guard let exchange = exchanges[frame.exchange] else { return [] }
      guard exchange.coverage.contains(frame.coverage) else { throw .protocolError(reason: "ranges outside of \(exchange.coverage)") }
      try take(frame, exchange, tree)
    } catch {
      if case .damaged = error { throw error }
      effects.removeAll()
      end(&tree)
      throw error
    }
    return proceed(&tree)
  }

  /// Asks again for all that has not been answered: for when nothing has come for a while. Answers to what was asked before are passed over.
  public mutating func resend(_ tree: inout KeyRangeMerkleTree) -> [Effect] {
    guard !isFinished else { return [] }
    for number in exchanges.keys.sorted().reversed() {
      guard let exchange = exchanges.removeValue(forKey: number) else { continue }
      for range in exchange.open.reversed() { questions.append(Question(range: range, fingerprint: tree.fingerprint(range))) }
    }
    return proceed(&tree)
  }

  /// Gives the session up. The range is no longer held.
  public mutating func abandon(_ tree: inout KeyRangeMerkleTree) { end(&tree) }

  private mutating func end(_ tree: inout KeyRangeMerkleTree) {
    isFinished = true
    exchanges.removeAll()
    questions.removeAll()
    tree.release(session)
  }

  // MARK: Answers

  /// Takes what a frame says about the ranges that are still open.
  private mutating func take(_ frame: ReconcileFrame, _ exchange: Exchange, _ tree: KeyRangeMerkleTree) throws(MerkleError) {
    var exchange = exchange
    var kept: [KeyRange] = []
    var asked: [Question] = []
    var next = 0
    for entry in frame.entries {
      var pieces: [KeyRange] = []
      while next < exchange.open.count {
        let open = exchange.open[next]
        if !open.endsAfter(entry.range.lower) {
          kept.append(open)
          next += 1
        } else if let upper = entry.range.upper, !isLess(open.lower, upper) {
          break
        } else if isLess(open.lower, entry.range.lower) {
          kept.append(KeyRange(lower: open.lower, upper: entry.range.lower))
          exchange.open[next].lower = entry.range.lower
        } else if let upper = entry.range.upper, open.endsAfter(upper) {
          pieces.append(KeyRange(lower: open.lower, upper: upper))
          exchange.open[next].lower = upper
          break
        } else {
          pieces.append(open)
          next += 1
        }
      }
      try take(entry, pieces, tree, &asked)
    }
    exchange.open = kept + exchange.open[next...]
    exchanges[frame.exchange] = exchange.open.isEmpty ? nil : exchange
    questions.append(contentsOf: asked.reversed())
  }

  /// Takes what the peer says about a range, of which `pieces` are still open.
  private mutating func take(
    _ entry: ReconcileFrame.Entry, _ pieces: [KeyRange], _ tree: KeyRangeMerkleTree, _ asked: inout [Question]
  ) throws(MerkleError) {
    switch entry.mode {
    case .skip: return
    case .ask: throw .protocolError(reason: "a question in a reply")
    case .fingerprint, .items:
      guard pieces.count == 1, pieces[0] == entry.range else {
        // The rest of an answer that was too long, or one that was cut otherwise before: of no use but to ask again for what is open.
        for piece in pieces { asked.append(Question(range: piece, fingerprint: tree.fingerprint(piece))) }
        return
      }
    }
    if case .items(let items) = entry.mode { compare(items, entry.range, tree) }
    if case .fingerprint(let theirs) = entry.mode {
      let mine = tree.sum(entry.range)
      if mine.fingerprint == theirs { return }
      if mine.count <= options.listedItems {
        asked.append(Question(range: entry.range, fingerprint: nil))
      } else {
        for part in tree.split(entry.range, into: options.parts(of: mine.count)) {
          asked.append(Question(range: part.range, fingerprint: part.sum.fingerprint))
        }
      }
    }
  }

  /// Reports the differences between the peer's items of a range and this replica's.
  private mutating func compare(_ theirs: [ReconcileFrame.Item], _ range: KeyRange, _ tree: KeyRangeMerkleTree) {
    var lower = range.lower
    for item in theirs {
      reportMissing(KeyRange(lower: lower, upper: item.key), tree)
      if let mine = tree.itemHash(item.key) {
        if Fingerprint(mine) != item.mark { report(item.key, .differing) }
      } else {
        report(item.key, .onlyThere)
      }
      lower = item.key + [0]  // the next key there can be
    }
    reportMissing(KeyRange(lower: lower, upper: range.upper), tree)
  }

  private mutating func reportMissing(_ range: KeyRange, _ tree: KeyRangeMerkleTree) {
    let count = tree.sum(range).count
    guard count <= options.listedMissing else {
      effects.append(.missingThere(range, count: count))
      statistics.differences += count
      return
    }
    guard count > 0 else { return }
    var cursor = tree.items(in: range)
    while let item = cursor.next() { report(item.key, .onlyHere) }
  }

  private mutating func report(_ key: [UInt8], _ kind: KeyDifference.Kind) {
    effects.append(.differs(KeyDifference(key: key, kind: kind)))
    statistics.differences += 1
  }

  // MARK: Questions

  /// Puts questions into frames while there may be more of them under way; ends when all is answered.
  private mutating func proceed(_ tree: inout KeyRangeMerkleTree) -> [Effect] {
    while !questions.isEmpty, exchanges.count < options.framesInFlight { effects.append(.send(nextRequest(tree))) }
    if exchanges.isEmpty {
      end(&tree)
      effects.append(.finished)
    }
    let result = effects
    effects = []
    return result
  }

  private mutating func nextRequest(_ tree: KeyRangeMerkleTree) -> [UInt8] {
    lastExchange &+= 1  // a number that comes again after 2^32 requests is no longer under way
    let header = FrameHeader(kind: .request, session: session, exchange: lastExchange, purgeBefore: tree.purgeBefore)
    let lower = questions.last?.range.lower ?? range.lower
    var frame = FrameWriter(header, lower: lower)
    var open: [KeyRange] = []
    while let question = questions.last {
      guard let upper = frame.upper, !isLess(question.range.lower, upper) else { break }
      let size = frame.bytes(addingRangeTo: question.range.upper, payload: 16 + 7 + question.range.lower.count)
      guard open.isEmpty || size <= options.frameBytes else { break }
      if isLess(upper, question.range.lower) { frame.skip(to: question.range.lower) }
      if let fingerprint = question.fingerprint {
        frame.fingerprint(fingerprint, to: question.range.upper)
      } else {
        frame.ask(to: question.range.upper)
      }
      open.append(question.range)
      questions.removeLast()
    }
    exchanges[lastExchange] = Exchange(coverage: KeyRange(lower: lower, upper: frame.upper), open: open)
    let bytes = frame.finish()
    statistics.framesSent += 1
    statistics.bytesSent += bytes.count
    return bytes
  }
}

/// A key in which two replicas differ.
public struct KeyDifference: Sendable, Hashable {
  /// In what they differ.
  public enum Kind: Sendable, Hashable {
    /// The peer does not have the key.
    case onlyHere
    /// Only the peer has the key.
    case onlyThere
    /// Both have it with different contents.
    case differing
  }

  /// The key.
  public var key: [UInt8]
  /// In what they differ.
  public var kind: Kind

  public init(key: [UInt8], kind: Kind) {
    self.key = key
    self.kind = kind
  }
}

extension KeyRange {
  /// Whether some key at or above `bound` may be in it.
  fileprivate func endsAfter(_ bound: [UInt8]) -> Bool { upper.map { isLess(bound, $0) } ?? true }
}
