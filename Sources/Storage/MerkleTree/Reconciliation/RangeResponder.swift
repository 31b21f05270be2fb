import StrataBytes

/// The answering side of a reconciliation: a pure function of a frame and the tree as it is. It keeps nothing between frames, so a
/// replica answers any number of peers, and a frame lost or repeated on the way is only asked or answered again.
///
/// Whoever answers keeps tombstones in the range from being forgotten while the peer's session may last: ``KeyRangeMerkleTree/hold(_:for:)``.
public enum RangeResponder {
  /// The frames that answer `request`; at most ``ReconcileOptions/replyFrames`` of at most 64 KiB.
  ///
  /// - Parameter range: the keys this replica may be asked about: those it shares with the peer. A request that reaches beyond is refused.
  /// - Throws: `.damaged` for bytes that are no request, `.incompatible` for a peer with another hasher or another agreement on
  ///   tombstones, `.protocolError` for a request no correct peer makes.
  public static func respond(
    to request: [UInt8], tree: KeyRangeMerkleTree, within range: KeyRange = .all, options: ReconcileOptions = ReconcileOptions()
  ) throws(MerkleError) -> [[UInt8]] {
    let frame = try ReconcileFrame(decoding: request)
    guard frame.kind == .request else { throw .protocolError(reason: "a reply where a request is due") }
    try demandAgreement(mine: tree.purgeBefore, theirs: frame.purgeBefore)
    guard range.contains(frame.coverage) else { throw .protocolError(reason: "ranges outside of \(range)") }
    let header = FrameHeader(kind: .reply, session: frame.session, exchange: frame.exchange, purgeBefore: tree.purgeBefore)
    var answer = AnswerWriter(header, coverage: frame.coverage, tree: tree, options: options.bounded)
    for entry in frame.entries {
      switch entry.mode {
      case .skip: answer.skip(to: entry.range.upper)
      case .ask: answer.items(entry.range)
      case .items: throw .protocolError(reason: "items in a request")
      case .fingerprint(let theirs):
        let mine = tree.sum(entry.range)
        if mine.fingerprint == theirs {
          answer.skip(to: entry.range.upper)
        } else if mine.count <= options.bounded.listedItems {
          answer.items(entry.range)
        } else {
          for part in tree.split(entry.range, into: options.bounded.parts(of: mine.count)) {
            answer.fingerprint(part.sum.fingerprint, to: part.range.upper)
          }
        }
      }
    }
    return answer.finish()
  }

  static func demandAgreement(mine: [UInt8], theirs: [UInt8]) throws(MerkleError) {
    guard mine == theirs else { throw .incompatible(field: "the version tombstones are purged before", mine: hexText(mine), theirs: hexText(theirs)) }
  }
}

/// Fills the frames of an answer one after another.
private struct AnswerWriter: ~Copyable {
  private let header: FrameHeader
  private let coverage: KeyRange
  private let tree: KeyRangeMerkleTree
  private let options: ReconcileOptions
  private var frames: [[UInt8]] = []
  private var frame: FrameWriter
  /// Whether all frames there may be are full.
  private var isFull = false

  init(_ header: FrameHeader, coverage: KeyRange, tree: KeyRangeMerkleTree, options: ReconcileOptions) {
    self.header = header
    self.coverage = coverage
    self.tree = tree
    self.options = options
    frame = FrameWriter(header, lower: coverage.lower)
  }

  /// Turns to another frame where this one has no room for a range up to `bound` and for the fingerprint of what would then remain; says
  /// whether there is room.
  private mutating func makeRoom(_ bound: [UInt8]?, _ payload: Int) -> Bool {
    if isFull { return false }
    let last = 7 + (coverage.upper?.count ?? 0) + 16
    if frame.isEmpty || frame.bytes(addingRangeTo: bound, payload: payload) + last <= options.frameBytes { return true }
    guard frames.count + 1 < options.replyFrames, let lower = frame.upper else {
      isFull = true
      return false
    }
    var next = FrameWriter(header, lower: lower)
    swap(&frame, &next)
    frames.append(next.finish())
    return true
  }

  mutating func skip(to bound: [UInt8]?) {
    if makeRoom(bound, 0) { frame.skip(to: bound) }
  }

  mutating func fingerprint(_ fingerprint: Fingerprint, to bound: [UInt8]?) {
    if makeRoom(bound, 16) { frame.fingerprint(fingerprint, to: bound) }
  }

  /// All items of a range, as one range or, where they do not fit, as several.
  mutating func items(_ range: KeyRange) {
    var cursor = tree.items(in: range)
    var items: [ReconcileFrame.Item] = []
    var payload = 5
    var next = cursor.next()
    while let item = next {
      let bytes = item.key.count + 8 + 16
      if !items.isEmpty {
        // Whether this one fits as well; else those before it are a range of their own.
        let bound = shortestBound(after: items[items.count - 1].key, upTo: item.key)
        let size = frame.bytes(addingRangeTo: range.upper, payload: payload + bytes) + 7 + bound.count + (coverage.upper?.count ?? 0) + 16
        if size > options.frameBytes {
          guard makeRoom(bound, payload) else { return }
          frame.items(items, to: bound)
          items.removeAll(keepingCapacity: true)
          payload = 5
        }
      }
      items.append(ReconcileFrame.Item(key: item.key, mark: Fingerprint(item.hash)))
      payload += bytes
      next = cursor.next()
    }
    if makeRoom(range.upper, payload) { frame.items(items, to: range.upper) }
  }

  consuming func finish() -> [[UInt8]] {
    if isFull, let lower = frame.upper {
      frame.fingerprint(tree.fingerprint(KeyRange(lower: lower, upper: coverage.upper)), to: coverage.upper)
    }
    return frames + [frame.finish()]
  }
}
