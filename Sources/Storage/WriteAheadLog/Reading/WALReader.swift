import StrataBytes
import StrataDisk

/// What an operation does, for readers that borrow its bytes.
public enum WALOperation: Sendable, Hashable {
  /// A key and its value.
  case put
  /// The removal of a key.
  case delete
  /// An opaque payload of this kind.
  case application(kind: UInt8)
}

/// Delivers the operations of a log in order, reading as it goes: memory is one chunk and the largest record. Complete batches only,
/// from any boundary, one inside a batch too. Single owner; not `Sendable`.
public final class WALReader {
  private let cursor: LogCursor
  private let after: SequenceNumber
  private let deliversControl: Bool
  /// Operations of the record in hand, newest first.
  private var queue: [WALEntry] = []

  init(_ cursor: LogCursor, after: SequenceNumber, deliversControl: Bool) {
    self.cursor = cursor
    self.after = after
    self.deliversControl = deliversControl
  }

  /// Damaged places passed over so far; only a log opened with `.salvage` passes over any.
  public var damage: [DamagedRegion] { cursor.damage }

  /// The next entry, or `nil` at the end of what was in the log when the reader was made.
  /// - Throws: `.damaged` where bytes are not what was written (nothing behind is delivered), `.storage`.
  public func next() throws(WALError) -> WALEntry? {
    while queue.isEmpty {
      guard let found = try cursor.next() else { return nil }
      guard found.sequence + max(1, found.prefix.count) - 1 > after || deliversControl else { continue }
      let entries = cursor.payload.withUnsafeReader { reader in try? decode(found, &reader) }
      guard let entries else {
        throw .damaged(segment: cursor.segment?.number ?? 0, offset: found.offset, sequence: found.sequence, reason: "malformed record")
      }
      queue = entries.filter { $0.sequence > after || deliversControl }.reversed()
    }
    return queue.popLast()
  }

  /// Passes every remaining operation to `body` with its bytes borrowed for the call: key and value of a put, key and nothing of a delete,
  /// payload and nothing of an application record. Control records are passed over. The fastest way to replay.
  public func forEach<Failure: Error>(
    _ body: (SequenceNumber, WALOperation, RawSpan, RawSpan) throws(Failure) -> Void
  ) throws {
    while let found = try cursor.next() {
      guard found.prefix.kind == .operation || found.prefix.kind == .batch, found.sequence + found.prefix.count - 1 > after else { continue }
      var reader = ByteReader(cursor.operations.bytes)
      do {
        for index in 0..<found.prefix.count {
          let code = try reader.readUInt8()
          let first = try reader.readBytes(Int(clamping: try reader.readVarint64()))
          let second = code == LogicalRecord.Operation.put ? try reader.readBytes(Int(clamping: try reader.readVarint64())) : RawSpan()
          let sequence = found.sequence + index
          guard let operation = WALOperation(code: code) else { throw DecodeError.malformed(at: reader.offset, field: "operation \(code)") }
          if sequence > after { try body(sequence, operation, first, second) }
        }
      } catch is DecodeError {
        throw WALError.damaged(
          segment: cursor.segment?.number ?? 0, offset: found.offset, sequence: found.sequence, reason: "malformed record")
      }
    }
  }

  /// Moves the reader's end; for followers.
  func extend(to end: SegmentPosition) { cursor.extend(to: end) }

  private func decode(_ found: LogCursor.Found, _ reader: inout ByteReader) throws(DecodeError) -> [WALEntry] {
    _ = try LogicalRecord.readPrefix(&reader)
    let segment = cursor.segment?.number ?? 0
    let batch = found.sequence...max(found.sequence, found.sequence + found.prefix.count - 1)
    var entries: [WALEntry] = []
    for index in 0..<max(1, found.prefix.count) {
      let code = try reader.readUInt8()
      if code == LogicalRecord.Operation.truncate {
        guard deliversControl else { return [] }
        let upTo = try reader.readVarint64()
        entries.append(
          WALEntry(sequence: found.sequence, content: .truncate(upTo: upTo), segment: segment, offset: found.offset, batch: batch))
        continue
      }
      let first = Array(try reader.readBytes(Int(clamping: try reader.readVarint64())))
      let content: WALContent
      switch code {
      case LogicalRecord.Operation.put:
        content = .operation(.put(key: first, value: Array(try reader.readBytes(Int(clamping: try reader.readVarint64())))))
      case LogicalRecord.Operation.delete: content = .operation(.delete(key: first))
      case LogicalRecord.Operation.checkpoint:
        guard deliversControl else { return [] }
        content = .checkpoint(first)
      case LogicalRecord.Operation.firstApplicationKind...: content = .operation(.application(kind: code, payload: first))
      default: throw DecodeError.malformed(at: reader.offset, field: "operation \(code)")
      }
      entries.append(
        WALEntry(sequence: found.sequence + index, content: content, segment: segment, offset: found.offset, batch: batch))
    }
    return entries
  }
}

extension WALOperation {
  init?(code: UInt8) {
    switch code {
    case LogicalRecord.Operation.put: self = .put
    case LogicalRecord.Operation.delete: self = .delete
    case LogicalRecord.Operation.firstApplicationKind...: self = .application(kind: code)
    default: return nil
    }
  }
}

extension [UInt8] {
  /// A copy of borrowed bytes.
  init(_ bytes: RawSpan) {
    self = bytes.withUnsafeBytes { [UInt8]($0) }
  }
}
