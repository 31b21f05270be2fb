import StrataBytes
import StrataSSTable

/// How an iterator reads.
public struct ReadOptions: Sendable, Hashable {
  /// Whether blocks read are kept in the cache; off for passes over everything.
  public var fillCache = true
  /// Hidden entries and deletions passed over in one move before it throws `.incomplete`; `nil` for no limit.
  public var maxSkipped: Int?
  /// Passes over blocks and tables that hold nothing wanted, by a property that collectors made of them (`TableOptions.propertyCollectors`), where
  /// that can show nothing that is hidden: in tables with nothing older beneath them, most of all in the last level. So every key whose value may
  /// be wanted is shown as it would be without the filter, others may be or not, and no key that is deleted or has a newer value. Keyspaces with a
  /// merge operator, whose values are put together from several tables, are read in full.
  public var passing: BlockFilter?
  /// What all keys wanted begin with, where the iterator was made for a prefix: sources without such keys are left out.
  var prefix: [UInt8]?

  public init() {}
}

/// A position among the keys of a keyspace as of one moment, moving both ways.
///
/// It sees the writes up to its version and none after, whatever happens meanwhile, and keeps the memtables and files it reads from being freed:
/// it should not live long; ``refresh()`` moves it to the present. A move that throws leaves it invalid; the end of the data is ``isValid``
/// `== false` and never an error. Belongs to one thread at a time. A move allocates nothing when warm, unless merge operands turn up.
public struct LSMIterator: ~Copyable {
  let core: LSMCore
  let keyspace: Keyspace
  let bounds: KeyBounds
  let options: ReadOptions
  var sources: ReadSources
  /// The last version it sees.
  public private(set) var version: UInt64
  private let follows: Bool
  /// Values up to this sequence had expired when it took its sources.
  private var expired: UInt64

  /// Whether it stands on a key.
  public private(set) var isValid = false
  /// Where the cursor stands, seen from the row.
  private enum Place {
    /// On the version the row was made of.
    case on
    /// Before all its versions.
    case before
    /// Among its versions or behind them.
    case astray
  }

  private var place = Place.on
  private var rowKey = RowBuffer()
  private var rowValue = RowBuffer()
  /// The value where it lies in its source; where the row was put together, in `rowValue`.
  private var borrowed: UnsafeRawBufferPointer?
  private var rowHead: UInt64 = 0
  /// What a key passed backward is folded from, oldest first. Kept here since locals of these types would be released with every key.
  private struct Merging {
    var operands: [[UInt8]] = []
    var base: [UInt8]?
    var isEmpty: Bool { operands.isEmpty }
  }

  private var merging = Merging()
  private var skipped = 0
  /// Changes that are in no store yet, above what the store holds.
  private let layer: BatchLayer?
  private let from: RowBuffer
  private let to: RowBuffer

  /// After so many entries that do not count, a search is cheaper than going on step by step.
  private static let stepsBeforeSeek = 8

  init(
    _ core: LSMCore, _ keyspace: Keyspace, _ bounds: KeyBounds, at version: UInt64?, _ options: ReadOptions, under layer: BatchLayer? = nil
  ) {
    self.layer = layer
    self.core = core
    self.keyspace = keyspace
    self.bounds = bounds
    self.options = options
    follows = version == nil
    expired = keyspace.expiredThrough.load(ordering: .acquiring)
    (sources, self.version) = core.sources(keyspace, bounds, at: version, options, under: layer)
    from = RowBuffer(bounds.from ?? [])
    to = RowBuffer(bounds.to ?? [])
  }

  // MARK: The row

  /// The key it stands on; empty where it stands on none.
  public var key: RawSpan {
    @_lifetime(borrow self) get { _overrideLifetime((isValid ? rowKey.bytes : RowBuffer.nothing).bytes, borrowing: self) }
  }

  /// The key's value; empty where it stands on none.
  public var value: RawSpan {
    @_lifetime(borrow self) get { _overrideLifetime((isValid ? borrowed ?? rowValue.bytes : RowBuffer.nothing).bytes, borrowing: self) }
  }

  // MARK: Moves

  /// Moves to the first key within the bounds.
  public mutating func first() throws(LSMError) {
    begin()
    do throws(TableError) {
      if bounds.from != nil { try sources.cursor.seek(from.bytes, Trailer(word: .max)) } else { try sources.cursor.first() }
    } catch { throw sources.error(error, core, keyspace) }
    try findForward(passing: false)
  }

  /// Moves to the first key at or after `key` within the bounds.
  public mutating func seek(_ key: RawSpan) throws(LSMError) {
    begin()
    try key.withUnsafeBytes { (key) throws(LSMError) in
      let target = bounds.from != nil && compare(key, from.bytes) < 0 ? from.bytes : key
      do throws(TableError) { try sources.cursor.seek(target, Trailer(word: .max)) } catch { throw sources.error(error, core, keyspace) }
    }
    try findForward(passing: false)
  }

  /// Moves to the last key within the bounds.
  public mutating func last() throws(LSMError) {
    begin()
    do throws(TableError) {
      if bounds.to != nil { try sources.cursor.seekBefore(to.bytes, Trailer(word: .max)) } else { try sources.cursor.last() }
    } catch { throw sources.error(error, core, keyspace) }
    try findBackward()
  }

  /// Moves to the last key before `key` within the bounds.
  public mutating func seekBefore(_ key: RawSpan) throws(LSMError) {
    begin()
    try key.withUnsafeBytes { (key) throws(LSMError) in
      let target = bounds.to != nil && compare(key, to.bytes) > 0 ? to.bytes : key
      do throws(TableError) { try sources.cursor.seekBefore(target, Trailer(word: .max)) } catch {
        throw sources.error(error, core, keyspace)
      }
    }
    try findBackward()
  }

  /// Moves to the following key. Where it stands on none, nothing happens.
  public mutating func next() throws(LSMError) {
    guard isValid else { return }
    isValid = false
    skipped = 0
    do throws(TableError) {
      if place == .on { try sources.cursor.next() } else { try sources.cursor.seek(rowKey.bytes, Trailer(word: 0)) }
    } catch { throw sources.error(error, core, keyspace) }
    try findForward(passing: true)
  }

  /// Moves to the preceding key. Where it stands on none, nothing happens.
  public mutating func previous() throws(LSMError) {
    guard isValid else { return }
    isValid = false
    skipped = 0
    if place != .before {
      do throws(TableError) { try sources.cursor.seekBefore(rowKey.bytes, Trailer(word: .max)) } catch {
        throw sources.error(error, core, keyspace)
      }
    }
    try findBackward()
  }

  /// Sees what has been written since, at the same key or, where that is gone, the one after it; what it kept from being freed is let go.
  /// An iterator made for a snapshot stays at its version; one of a batch sees what was added to that.
  public mutating func refresh() throws(LSMError) {
    let wasValid = isValid
    expired = keyspace.expiredThrough.load(ordering: .acquiring)
    (sources, version) = core.sources(keyspace, bounds, at: follows ? nil : version, options, under: layer)
    begin()
    guard wasValid else { return }
    do throws(TableError) { try sources.cursor.seek(rowKey.bytes, Trailer(word: .max)) } catch { throw sources.error(error, core, keyspace) }
    try findForward(passing: false)
  }

  private mutating func begin() {
    isValid = false
    skipped = 0
  }

  // MARK: Finding the row

  /// Stops at the next key that has a value, from the cursor's place on; `passing` over further versions of the row's key.
  private mutating func findForward(passing: Bool) throws(LSMError) {
    place = .on
    var failure: TableError?
    sources.unowned._withUnsafeGuaranteedRef { cursor in
      do throws(TableError) { try findForward(cursor, passing) } catch { failure = error }
    }
    if let failure { throw self.failure(failure) }
  }

  private mutating func findForward(_ cursor: Cursor, _ passing: Bool) throws(TableError) {
    var isPassing = passing
    var steps = 0
    while cursor.isValid {
      let entry = cursor.entry
      if isPassing, entry.head == rowHead, compare(entry.key, rowKey.bytes) == 0 {
        try count()
        steps += 1
        if steps == Self.stepsBeforeSeek { try cursor.seek(rowKey.bytes, Trailer(word: 0)) } else { try cursor.next() }
        continue
      }
      if bounds.to != nil, compare(entry.key, to.bytes) >= 0 { return }
      if !sources.isVisible(entry.trailer, at: version) {
        try count()
        steps += 1
        if steps >= Self.stepsBeforeSeek {
          steps = 0
          rowKey.store(entry.key)
          try cursor.seek(rowKey.bytes, Trailer.newest(atOrBelow: sources.visibleEnd(below: entry.trailer, at: version)))
          isPassing = false
        } else {
          try cursor.next()
        }
        continue
      }
      steps = 0
      rowKey.store(entry.key)
      rowHead = entry.head
      if try settle(entry) { return }
      isPassing = true
      try count()
      try cursor.next()
    }
  }

  /// Makes the row of the newest visible version of a key, on which the cursor stands; `false` where the key has no value.
  private mutating func settle(_ entry: CursorEntry) throws(TableError) -> Bool {
    if sources.hasRanges, sources.covering(entry.key, at: version) > entry.trailer.sequence { return false }
    switch entry.trailer.kind {
    case .value:
      if expired > 0, entry.trailer.sequence <= expired { return false }
      borrowed = entry.value
      isValid = true
    case .merge: try collect()
    case .deletion, .rangeDeletion, nil: return false
    }
    return true
  }

  /// Folds the operands from the cursor's place on. The cursor ends behind what was folded.
  private mutating func collect() throws(TableError) {
    let cursor = sources.cursor
    let covering = sources.hasRanges ? sources.covering(rowKey.bytes, at: version) : 0
    var operands: [[UInt8]] = []
    var base: [UInt8]?
    search: while cursor.isValid, cursor.entry.head == rowHead, compare(cursor.entry.key, rowKey.bytes) == 0 {
      guard cursor.entry.trailer.sequence >= covering else { break }
      guard sources.isVisible(cursor.entry.trailer, at: version) else {
        try cursor.next()
        continue
      }
      switch cursor.entry.trailer.kind {
      case .merge: operands.append([UInt8](cursor.entry.value))
      case .value:
        base = [UInt8](cursor.entry.value)
        break search
      case .deletion, .rangeDeletion, nil: break search
      }
      try cursor.next()
    }
    place = .astray
    try fold(operands.reversed(), base)
  }

  private mutating func fold(_ operands: [[UInt8]], _ base: [UInt8]?) throws(TableError) {
    do throws(LSMError) {
      let value = try core.fold(operands, base, rowKey.bytes, keyspace)
      value.withUnsafeBytes { rowValue.store($0) }
      borrowed = nil
      isValid = true
    } catch {
      folding = error
      throw .missingMergeOperator(key: [])
    }
  }

  /// What the merge operator's refusal was, on its way out.
  private var folding: LSMError?

  private mutating func failure(_ error: TableError) -> LSMError {
    isValid = false
    defer { folding = nil }
    return folding ?? sources.error(error, core, keyspace)
  }

  /// Stops at the last key before the cursor's place, that included, that has a value. The versions of a key come oldest first.
  private mutating func findBackward() throws(LSMError) {
    place = .before
    var failure: TableError?
    sources.unowned._withUnsafeGuaranteedRef { cursor in
      do throws(TableError) { try findBackward(cursor) } catch { failure = error }
    }
    if let failure { throw self.failure(failure) }
  }

  private mutating func findBackward(_ cursor: Cursor) throws(TableError) {
    while cursor.isValid {
      if bounds.from != nil, compare(cursor.entry.key, from.bytes) < 0 { return }
      rowKey.store(cursor.entry.key)
      rowHead = cursor.entry.head
      if try settleBackward(cursor) { return }
      try count()
    }
  }

  /// Passes all versions of the row's key and keeps the newest visible one.
  private mutating func settleBackward(_ cursor: Cursor) throws(TableError) -> Bool {
    let covering = sources.hasRanges ? sources.covering(rowKey.bytes, at: version) : 0
    if !merging.isEmpty { merging = Merging() }
    var newest: EntryKind?
    var sequence: UInt64 = 0
    while cursor.isValid, cursor.entry.head == rowHead, compare(cursor.entry.key, rowKey.bytes) == 0 {
      let trailer = cursor.entry.trailer
      if sources.isVisible(trailer, at: version), trailer.sequence >= covering {
        if trailer.kind == .merge {
          if newest != .merge { merging.base = newest == .value ? [UInt8](rowValue.bytes) : nil }
          merging.operands.append([UInt8](cursor.entry.value))
        } else {
          if !merging.isEmpty { merging = Merging() }
          if trailer.kind == .value { rowValue.store(cursor.entry.value) }
        }
        newest = trailer.kind
        sequence = trailer.sequence
      } else {
        try count()
      }
      try cursor.previous()
    }
    switch newest {
    case .value:
      if expired > 0, sequence <= expired { return false }
      borrowed = nil
      isValid = true
      return true
    case .merge:
      try fold(merging.operands, merging.base)
      return true
    case .deletion, .rangeDeletion, nil: return false
    }
  }

  /// Counts an entry passed over.
  private mutating func count() throws(TableError) {
    skipped += 1
    if skipped & (LSMCore.chargedRow - 1) == 0 {
      core.charge(sources.cursor.isValid ? sources.cursor.entry.key : rowKey.bytes, sources.version, keyspace)
    }
    if let limit = options.maxSkipped, skipped > limit {
      folding = .incomplete(resumeKey: sources.cursor.isValid ? [UInt8](sources.cursor.entry.key) : [UInt8](rowKey.bytes))
      throw .missingMergeOperator(key: [])
    }
  }
}
