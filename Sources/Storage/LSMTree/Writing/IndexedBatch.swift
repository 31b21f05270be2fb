import StrataBytes
import StrataFilters
public import StrataSSTable

/// A batch that shows what the store would hold with it: reads see its changes over the store as of one moment.
///
/// Nobody else sees them before ``finish()`` has handed them out and they were written. It keeps its changes twice, in order for reads and encoded
/// for the log, and its moment from being compacted away: it should be small and short-lived. Belongs to one thread at a time.
public final class IndexedBatch {
  /// Sequences of changes that are in no store yet begin here, above all that are.
  static let firstSequence: UInt64 = 1 << 55

  private let core: LSMCore
  /// What it reads below its own changes.
  public let moment: Snapshot
  private var batch = WriteBatch()
  private var layers: [UInt32: BatchLayer] = [:]
  private var lastSequence = IndexedBatch.firstSequence - 1

  init(_ core: LSMCore, _ moment: Snapshot) {
    self.core = core
    self.moment = moment
  }

  /// How many changes there are.
  public var sequenceCount: Int { batch.sequenceCount }
  /// Whether there is nothing to write.
  public var isEmpty: Bool { batch.isEmpty }
  /// Bytes of the batch as the log holds it.
  public var byteCount: Int { batch.byteCount }

  // MARK: Changes

  /// Sets a key's value; an empty value is one.
  /// - Throws: `.keyTooLarge`, `.valueTooLarge`, `.batchTooLarge`, `.foreignKeyspace`; the batch is unchanged.
  public func put(_ key: RawSpan, _ value: RawSpan, in keyspace: Keyspace? = nil) throws(LSMError) {
    let (keyspace, layer) = try place(keyspace, key, value)
    try batch.put(key, value, in: keyspace)
    add(.value, key, value, to: layer)
  }

  /// Removes a key; one that does not exist is fine.
  /// - Throws: as ``put(_:_:in:)``.
  public func delete(_ key: RawSpan, in keyspace: Keyspace? = nil) throws(LSMError) {
    let (keyspace, layer) = try place(keyspace, key, RawSpan())
    try batch.delete(key, in: keyspace)
    add(.deletion, key, RawSpan(), to: layer)
  }

  /// Removes every key from `start` on up to, without, `end`.
  /// - Throws: `.emptyRange`, and as ``put(_:_:in:)``.
  public func deleteRange(from start: RawSpan, to end: RawSpan, in keyspace: Keyspace? = nil) throws(LSMError) {
    let (keyspace, layer) = try place(keyspace, start, end)
    try batch.deleteRange(from: start, to: end, in: keyspace)
    add(.rangeDeletion, start, end, to: layer)
  }

  /// Adds an operand that the keyspace's merge operator folds into what the key has.
  /// - Throws: `.noMergeOperator`, and as ``put(_:_:in:)``.
  public func merge(_ key: RawSpan, operand: RawSpan, in keyspace: Keyspace? = nil) throws(LSMError) {
    let (keyspace, layer) = try place(keyspace, key, operand)
    try batch.merge(key, operand: operand, in: keyspace)
    add(.merge, key, operand, to: layer)
  }

  /// The layer of a change, which has room for it.
  private func place(_ keyspace: Keyspace?, _ key: RawSpan, _ value: RawSpan) throws(LSMError) -> (Keyspace, BatchLayer) {
    let keyspace = keyspace ?? core.defaultKeyspace
    try core.check(keyspace)
    guard key.byteCount <= TableLimits.keyBytes else { throw .keyTooLarge(key.byteCount) }
    guard value.byteCount <= TableLimits.valueBytes else { throw .valueTooLarge(value.byteCount) }
    let bytes = batch.byteCount + key.byteCount + value.byteCount
    guard bytes <= core.batchLimit else { throw .batchTooLarge(bytes: bytes, limit: core.batchLimit) }
    if let layer = layers[keyspace.id] { return (keyspace, layer) }
    let layer = BatchLayer()
    layers[keyspace.id] = layer
    return (keyspace, layer)
  }

  private func add(_ kind: EntryKind, _ key: RawSpan, _ value: RawSpan, to layer: BatchLayer) {
    lastSequence += 1
    key.withUnsafeBytes { key in value.withUnsafeBytes { value in layer.add(kind, key, value, lastSequence) } }
  }

  /// Hands out the changes, for one of the ways of ``LSMTree`` to write a batch; this batch is empty then and still reads its moment. Iterators over
  /// it go on as they were.
  public func finish() -> WriteBatch {
    var made = WriteBatch()
    swap(&made, &batch)
    removeAll()
    return made
  }

  /// Forgets all changes.
  public func removeAll() {
    batch.removeAll()
    layers = [:]
    lastSequence = Self.firstSequence - 1
  }

  // MARK: Reading

  /// The value of a key, `nil` where it has none.
  /// - Throws: as ``LSMTree/get(_:in:at:)``.
  public func get(_ key: RawSpan, in keyspace: Keyspace? = nil) throws(LSMError) -> [UInt8]? {
    try withValue(of: key, in: keyspace) { value in value.withUnsafeBytes { [UInt8]($0) } }
  }

  /// Calls `body` with the value of a key where it lies, without a copy; `nil` where the key has none. `body` must be short, as for
  /// ``LSMTree/withValue(of:in:at:_:)``.
  public func withValue<Result>(
    of key: RawSpan, in keyspace: Keyspace? = nil, _ body: (RawSpan) -> Result
  ) throws(LSMError) -> Result? {
    let keyspace = keyspace ?? core.defaultKeyspace
    try core.checkReadable(keyspace, moment)
    return try key.withUnsafeBytes { (key) throws(LSMError) in
      try core.withValue(key, keyspace, under: layers[keyspace.id], at: moment.version) { body($0.bytes) }
    }
  }

  /// A position among the keys within `bounds`. It sees the changes made so far; those made later once it is refreshed.
  public func iterator(
    _ bounds: KeyBounds = .all, in keyspace: Keyspace? = nil, options: ReadOptions = ReadOptions()
  ) throws(LSMError) -> LSMIterator {
    let keyspace = keyspace ?? core.defaultKeyspace
    try core.checkReadable(keyspace, moment)
    // One that has no changes yet gets its layer now: a refresh must find what comes.
    let layer = layers[keyspace.id] ?? BatchLayer()
    layers[keyspace.id] = layer
    return LSMIterator(core, keyspace, bounds, at: moment.version, options, under: layer)
  }
}

extension LSMTree {
  /// An empty batch that reads its own changes over the store as of `snapshot`, or as it is now.
  /// - Throws: `.closed`, `.foreignSnapshot`; `.versionOutOfOrder` for a store whose versions have come to 2^55.
  public func indexedBatch(at snapshot: Snapshot? = nil) throws(LSMError) -> IndexedBatch {
    try core.checkReadable(core.defaultKeyspace, snapshot)
    let moment = snapshot ?? self.snapshot()
    guard moment.version < IndexedBatch.firstSequence else { throw .versionOutOfOrder(given: moment.version, atLeast: 0) }
    return IndexedBatch(core, moment)
  }
}

/// The changes of an indexed batch to one keyspace, in order: memtables, each larger than the one before, that nobody else writes to.
final class BatchLayer {
  private static let leastBytes = 4 << 10
  private static let mostBytes = 1 << 20

  /// Newest first.
  private(set) var memtables: [Memtable] = []
  private var splice = Skiplist.Splice()
  /// The sequence of the last change.
  private(set) var last = IndexedBatch.firstSequence - 1

  func add(_ kind: EntryKind, _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ sequence: UInt64) {
    let bytes = Skiplist.nodeBound(key: key.count, value: value.count)
    let memtable = room(bytes)
    if kind == .rangeDeletion {
      memtable.deleteRange(from: key, to: value, sequence: sequence)
    } else {
      memtable.insert(key: key, trailer: Trailer(sequence, kind), value: value, &splice)
    }
    memtable.finish(bytes, newest: sequence)
    last = sequence
  }

  private func room(_ bytes: Int) -> Memtable {
    if let memtable = memtables.first, memtable.reserve(bytes, entries: 1) { return memtable }
    let capacity = max(min(Self.leastBytes << min(memtables.count * 2, 20), Self.mostBytes), Memtable.arenaBytes(forEntries: bytes))
    let memtable = Memtable(ArenaPool(arenaBytes: capacity, keeps: 0).take(capacity: capacity), number: 0, entryLimit: .max)
    splice = Skiplist.Splice()
    memtables.insert(memtable, at: 0)
    precondition(memtable.reserve(bytes, entries: 1), "a memtable has the room it was made with")
    return memtable
  }

  /// The range deletions so far, by memtable.
  var ranges: [RangeTombstones] { memtables.filter(\.hasRangeDeletions).map { $0.rangeTombstones() } }

  /// Takes what the layer holds of a key; `true` where nothing older matters.
  func search(_ key: UnsafeRawBufferPointer, _ lookup: inout PointLookup) -> Bool {
    let hash = FilterHash.hash64(key)
    let target = Skiplist.Target(key, Trailer.newest(atOrBelow: Trailer.maxSequence))
    for memtable in memtables {
      if memtable.hasRangeDeletions { lookup.cover(memtable.rangeTombstones().coveringSequence(key, atOrBelow: Trailer.maxSequence)) }
      if LSMCore.search(memtable.list, target, hash, &lookup) || lookup.coveringSequence > 0 { return true }
    }
    return false
  }
}
