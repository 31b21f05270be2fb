import StrataBytes
import StrataSSTable

/// Changes that are applied as one: after a crash all of them are there or none, and no reader sees a part.
///
/// Each change takes one sequence, in the order they were added; a later one wins over an earlier one. A batch may touch several keyspaces of
/// one store. It is built by one owner and consumed by `LSMTree.write`; building costs a copy of the bytes.
public struct WriteBatch: ~Copyable, Sendable {
  /// What a keyspace's memtable must hold of a batch.
  struct Share: Sendable {
    var keyspace: Keyspace?
    var bytes: Int
    var entries: Int
  }

  var writer: ByteWriter
  /// Nearly every batch has one share only.
  private(set) var first = Share(keyspace: nil, bytes: 0, entries: 0)
  private(set) var others: [Share] = []

  /// An empty batch with room for `capacity` bytes of changes.
  public init(capacity: Int = 256) {
    writer = ByteWriter(capacity: capacity + BatchFormat.headerBytes)
    writer.writeZeros(BatchFormat.headerBytes)
  }

  /// How many changes there are, which is how many sequences the batch takes: its stride in the order of versions.
  public var sequenceCount: Int { first.entries + others.reduce(0) { $0 + $1.entries } }
  /// Whether there is nothing to write.
  public var isEmpty: Bool { first.entries == 0 }
  /// Bytes of the batch as the log holds it.
  public var byteCount: Int { writer.count }

  /// Sets a key's value; an empty value is one.
  /// - Throws: `.keyTooLarge`, `.valueTooLarge`; the batch is unchanged.
  public mutating func put(_ key: RawSpan, _ value: RawSpan, in keyspace: Keyspace? = nil) throws(LSMError) {
    guard value.byteCount <= TableLimits.valueBytes else { throw .valueTooLarge(value.byteCount) }
    try add(.value, key, value, keyspace)
  }

  /// Removes a key; one that does not exist is fine.
  /// - Throws: `.keyTooLarge`; the batch is unchanged.
  public mutating func delete(_ key: RawSpan, in keyspace: Keyspace? = nil) throws(LSMError) {
    try add(.deletion, key, RawSpan(), keyspace)
  }

  /// Removes every key from `start` on up to, without, `end`, whatever their number, by one entry.
  /// - Throws: `.emptyRange`, `.keyTooLarge`; the batch is unchanged.
  public mutating func deleteRange(from start: RawSpan, to end: RawSpan, in keyspace: Keyspace? = nil) throws(LSMError) {
    guard compare(start, end) < 0 else { throw .emptyRange }
    guard end.byteCount <= TableLimits.keyBytes else { throw .keyTooLarge(end.byteCount) }
    try add(.rangeDeletion, start, end, keyspace)
  }

  /// Adds an operand that the keyspace's merge operator folds into what the key has.
  /// - Throws: `.noMergeOperator`, `.keyTooLarge`, `.valueTooLarge`; the batch is unchanged.
  public mutating func merge(_ key: RawSpan, operand: RawSpan, in keyspace: Keyspace) throws(LSMError) {
    guard keyspace.options.mergeOperator != nil else { throw .noMergeOperator(keyspace: keyspace.name) }
    guard operand.byteCount <= TableLimits.valueBytes else { throw .valueTooLarge(operand.byteCount) }
    try add(.merge, key, operand, keyspace)
  }

  private mutating func add(_ kind: EntryKind, _ key: RawSpan, _ value: RawSpan, _ keyspace: Keyspace?) throws(LSMError) {
    guard key.byteCount <= TableLimits.keyBytes else { throw .keyTooLarge(key.byteCount) }
    BatchFormat.append(kind, key, value, keyspace: keyspace?.id ?? 0, to: &writer)
    account(keyspace, Skiplist.nodeBound(key: key.byteCount, value: value.byteCount))
  }

  private mutating func account(_ keyspace: Keyspace?, _ bytes: Int) {
    if first.entries == 0 || first.keyspace === keyspace {
      first = Share(keyspace: keyspace, bytes: first.bytes + bytes, entries: first.entries + 1)
    } else if let index = others.firstIndex(where: { $0.keyspace === keyspace }) {
      others[index].bytes += bytes
      others[index].entries += 1
    } else {
      others.append(Share(keyspace: keyspace, bytes: bytes, entries: 1))
    }
  }

  /// Empties the batch and keeps its memory.
  public mutating func removeAll() {
    writer.truncate(to: BatchFormat.headerBytes)
    first = Share(keyspace: nil, bytes: 0, entries: 0)
    others = []
  }
}
