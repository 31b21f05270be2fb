/// The sequence of an operation: 1 for the first of a log, then always one more. 0 means "before everything".
public typealias SequenceNumber = UInt64

/// One operation of a log.
public enum WALRecord: Sendable, Hashable {
  /// Key and value, the vocabulary of a key-value redo log. Any bytes, empty too.
  case put(key: [UInt8], value: [UInt8])
  /// Removal of a key.
  case delete(key: [UInt8])
  /// An opaque payload with a kind of the application's own, 64...255.
  case application(kind: UInt8, payload: [UInt8])
}

/// What a log holds at one place, control records included.
public enum WALContent: Sendable, Hashable {
  /// An operation of the application.
  case operation(WALRecord)
  /// A checkpoint's payload.
  case checkpoint([UInt8])
  /// The records up to here were given up.
  case truncate(upTo: SequenceNumber)
}

/// One entry as a reader delivers it.
public struct WALEntry: Sendable, Hashable {
  /// Its sequence; for a truncation, which takes none, the sequence that follows.
  public var sequence: SequenceNumber
  /// What it holds.
  public var content: WALContent
  /// Where its first frame lies.
  public var segment: UInt64
  /// Byte offset of that frame in the segment file.
  public var offset: UInt64
  /// The sequences of the batch the entry belongs to; one long for a single operation.
  public var batch: ClosedRange<SequenceNumber>
}

/// The last checkpoint of a log.
public struct Checkpoint: Sendable, Hashable {
  /// The sequence it took.
  public var sequence: SequenceNumber
  /// What the application stored with it.
  public var payload: [UInt8]
}
