import StrataBytes

/// One cleaned stream out of a merged one: what nobody can see any more is left out, operands are folded.
///
/// Goes forward once over a cursor. Per user key it sees the versions newest first and decides by stripes, see ``GarbagePolicy``. Every entry read is
/// counted as written or as let go for a named reason.
final class CompactionIterator {
  // Belongs to one thread and calls nobody back who could come in again: no access of its state can overlap another.
  private let source: Cursor
  @exclusivity(unchecked) private var rules: GarbageRules
  private let ranges: RangeTombstones
  /// The range deletions the outputs must carry.
  let retained: RangeTombstones
  @exclusivity(unchecked) private(set) var report = MergeReport()

  /// What ``next()`` has found; its value is valid until the following call.
  @exclusivity(unchecked) private(set) var entry = CursorEntry()
  /// Whether the entry's user key differs from that of the entry before.
  @exclusivity(unchecked) private(set) var isNewKey = true

  @exclusivity(unchecked) private var key = RawBuffer(capacity: 256)
  @exclusivity(unchecked) private var hasKey = false
  @exclusivity(unchecked) private var head: UInt64 = 0
  @exclusivity(unchecked) private var fragment: Int?
  @exclusivity(unchecked) private var isKeyShown = false
  /// The stripe of the newest version that hides older ones.
  @exclusivity(unchecked) private var shadow: UInt64?
  @exclusivity(unchecked) private var lastTrailer = Trailer(word: .max)
  @exclusivity(unchecked) private var mustAdvance = false
  @exclusivity(unchecked) private var operands = PendingOperands()
  /// Entries decided but not yet shown, in reverse.
  @exclusivity(unchecked) private var decided: [(trailer: Trailer, value: [UInt8])] = []
  @exclusivity(unchecked) private var shown = RawBuffer(capacity: 64)

  /// - Parameter source: positioned on its first entry.
  init(_ source: Cursor, ranges: RangeTombstones, _ policy: GarbagePolicy) {
    self.source = source
    self.ranges = ranges
    let rules = GarbageRules(policy)
    retained = rules.retained(ranges, &report)
    self.rules = rules
  }

  /// Moves to the next entry that stays; `false` at the end.
  func next() throws(TableError) -> Bool {
    while true {
      if let (trailer, value) = decided.popLast() {
        shown.count = 0
        value.withUnsafeBytes { shown.append($0) }
        return show(trailer, shown.bytes)
      }
      if mustAdvance {
        mustAdvance = false
        try source.next()
      }
      guard source.isValid else {
        guard operands.isEmpty else {
          try settleOperands(atEndOfKey: true)
          continue
        }
        return false
      }
      if !hasKey || !isSameKey() {
        // What is pending belongs to the key before.
        guard operands.isEmpty else {
          try settleOperands(atEndOfKey: true)
          continue
        }
        beginKey()
      }
      if try decide() { return true }
    }
  }

  @inline(__always)
  private func isSameKey() -> Bool {
    source.entry.head == head && source.entry.key.count == key.count && orderBehindHead(source.entry.key, key.bytes) == 0
  }

  @inline(__always)
  private func beginKey() {
    key.count = 0
    key.append(source.entry.key)
    head = source.entry.head
    hasKey = true
    isKeyShown = false
    shadow = nil
    lastTrailer = Trailer(word: .max)
    rules.advance(to: key.bytes)
    fragment = ranges.isEmpty ? nil : ranges.index(containing: key.bytes)
  }

  /// Shows an entry of the present key.
  @inline(__always)
  private func show(_ trailer: Trailer, _ value: UnsafeRawBufferPointer) -> Bool {
    isNewKey = !isKeyShown
    isKeyShown = true
    entry.key = key.bytes
    entry.head = head
    entry.trailer = trailer
    entry.value = value
    report.entriesOut += 1
    return true
  }

  /// Decides on the source's entry: shows it, drops it, or keeps it for folding. `true` when it is shown.
  @inline(__always)
  private func decide() throws(TableError) -> Bool {
    let found = source.entry
    let stripe = rules.stripe(found.trailer.sequence)
    if !operands.isEmpty, found.trailer.kind != .merge || operands.stripe != stripe || isCovered(found.trailer, stripe) {
      // Settled first; the entry is looked at again unless it was the operands' base.
      try settleOperands(base: found, stripe: stripe)
      return false
    }
    mustAdvance = true
    report.entriesIn += 1
    report.bytesIn += UInt64(found.key.count &+ found.value.count)
    if found.trailer == lastTrailer {
      report.versionTies += 1
      return false
    }
    lastTrailer = found.trailer
    if shadow == stripe {
      report.droppedHidden += 1
      return false
    }
    if fragment != nil, isCovered(found.trailer, stripe) {
      report.droppedCovered += 1
      return false
    }
    switch found.trailer.kind {
    case .merge:
      guard rules.policy.mergeOperator != nil else { throw .missingMergeOperator(key: [UInt8](key.bytes)) }
      operands.add(found.trailer, found.value, stripe)
      return false
    case .deletion:
      shadow = stripe
      if mayGo(found.trailer.sequence) {
        report.droppedTombstones += 1
        return false
      }
      return show(found.trailer, found.value)
    default:
      shadow = stripe
      // Where nothing expires values may have the sequence 0.
      if rules.policy.expiredThrough > 0, found.trailer.sequence <= rules.policy.expiredThrough {
        report.droppedExpired += 1
        return false
      }
      return show(zeroed(found.trailer), found.value)
    }
  }

  /// Whether a range deletion of the same stripe is newer: its readers and the entry's are the same.
  @inline(__always)
  private func isCovered(_ trailer: Trailer, _ stripe: UInt64) -> Bool {
    guard let fragment else { return false }
    // The oldest of the newer ones is in the nearest stripe.
    guard let newer = ranges.fragments[fragment].sequences.last(where: { $0 > trailer.sequence }) else { return false }
    return rules.stripe(newer) == stripe
  }

  private func mayGo(_ sequence: UInt64) -> Bool {
    if sequence > rules.oldest {
      report.keptForSnapshot += 1
    } else if !rules.hasNoOlder(than: sequence) {
      report.keptForOlderTable += 1
    } else if let purgeable = rules.policy.isPurgeable, case let owned = [UInt8](key.bytes), !purgeable(owned, owned + [0], sequence) {
      report.keptForGrace += 1
    } else {
      return true
    }
    return false
  }

  /// The trailer of a value whose place in the order no longer matters: 0 compresses to nothing. Not under a range deletion that stays, which would
  /// then delete it.
  @inline(__always)
  private func zeroed(_ trailer: Trailer) -> Trailer {
    guard trailer.kind == .value, trailer.sequence <= rules.oldest, rules.hasNoOlder(than: trailer.sequence) else { return trailer }
    if rules.policy.keepsSequences { return trailer }
    if !retained.isEmpty, retained.index(containing: key.bytes) != nil { return trailer }
    return Trailer(0, .value)
  }

  // MARK: Operands

  /// Folds what is pending, as far as what comes next allows.
  private func settleOperands(base found: CursorEntry, stripe: UInt64) throws(TableError) {
    guard stripe == operands.stripe else { return try settleOperands(atEndOfKey: false) }
    if isCovered(found.trailer, stripe) { return fold(base: nil, mayFold: true) }
    switch found.trailer.kind {
    case .value:
      mustAdvance = true
      if fold(base: found.value, mayFold: true, consuming: found) { return }
      // Refused: the operands stay as they were and the base behind them.
      mustAdvance = false
    default:
      // A deletion ends the operands' past; it is decided on in its turn, hidden by what they became.
      fold(base: nil, mayFold: true)
    }
  }

  private func settleOperands(atEndOfKey: Bool) throws(TableError) {
    // At a stripe's end others may see what is older; at the key's end there may be something older elsewhere.
    fold(base: nil, mayFold: atEndOfKey && rules.hasNoOlder(than: operands.oldestSequence))
  }

  private func fold(base: UnsafeRawBufferPointer?, mayFold: Bool) { _ = fold(base: base, mayFold: mayFold, consuming: nil) }

  /// Turns the pending operands into what stays of them. `false` where the operator refused a base.
  private func fold(base: UnsafeRawBufferPointer?, mayFold: Bool, consuming found: CursorEntry?) -> Bool {
    guard let merger = rules.policy.mergeOperator else { return false }
    let pending = operands.take()
    let oldestFirst = pending.reversed().map(\.value)
    if mayFold {
      if let value = merger.fullMerge(key: key.bytes.bytes, base: base.map { [UInt8]($0) }, operands: Array(oldestFirst)) {
        report.folded += UInt64(pending.count - 1)
        if let found {
          report.entriesIn += 1
          report.bytesIn += UInt64(found.key.count + found.value.count)
          report.folded += 1
          lastTrailer = found.trailer
        }
        shadow = rules.stripe(pending[0].trailer.sequence)
        decided = [(zeroed(Trailer(pending[0].trailer.sequence, .value)), value)]
        return true
      }
      report.operatorFailures += 1
    } else if pending.count > 1, let value = merger.partialMerge(key: key.bytes.bytes, operands: Array(oldestFirst)) {
      report.folded += UInt64(pending.count - 1)
      decided = [(pending[0].trailer, value)]
      return true
    }
    decided = pending.reversed().map { ($0.trailer, $0.value) }
    return found == nil
  }
}

/// Operands of one stripe of one key, newest first.
private struct PendingOperands {
  private var entries: [(trailer: Trailer, value: [UInt8])] = []
  private(set) var stripe: UInt64 = 0

  var isEmpty: Bool { entries.isEmpty }
  var oldestSequence: UInt64 { entries.last?.trailer.sequence ?? 0 }

  mutating func add(_ trailer: Trailer, _ value: UnsafeRawBufferPointer, _ stripe: UInt64) {
    entries.append((trailer, [UInt8](value)))
    self.stripe = stripe
  }

  mutating func take() -> [(trailer: Trailer, value: [UInt8])] {
    defer { entries.removeAll(keepingCapacity: true) }
    return entries
  }
}
