public import StrataDisk
public import SystemPackage

/// What can go wrong with a sorted table. Every case names the file and the place; the text says what an operator can do.
public enum TableError: Error, Sendable, Hashable {
  // The caller's mistake; nothing was written.

  /// Entries must be added in internal order without repetition.
  case outOfOrder(previous: InternalKey, next: InternalKey)
  /// A key longer than ``TableLimits/keyBytes``.
  case keyTooLarge(Int)
  /// A value longer than ``TableLimits/valueBytes``.
  case valueTooLarge(Int)
  /// A range deletion whose start is not before its end.
  case emptyRange(from: [UInt8], to: [UInt8])
  /// The entries hold merge operands and no operator was given; nothing was dropped.
  case missingMergeOperator(key: [UInt8])
  /// A table holds what another format has no form for; no file was left.
  case inexpressible(format: String, what: String)

  // Damaged or foreign data; the rest of the table stays readable.

  /// The file does not begin and end as a finished table does.
  case notATable(FilePath, reason: String)
  /// Written by a newer or differently configured Strata.
  case unsupportedFormat(FilePath, found: String, supported: String)
  /// A block whose checksum, lengths or entries are wrong.
  case corruptBlock(FilePath, offset: UInt64, kind: String, reason: String)
  /// The file is not as long as the manifest says.
  case truncated(FilePath, expected: UInt64, actual: UInt64)
  /// A whole table of another database or with another number.
  case foreignTable(FilePath, reason: String)
  /// The list of a directory's tables is damaged or missing; the tables themselves can be read.
  case corruptList(FilePath, reason: String)
  /// A merge whose counters do not add up: its output was thrown away.
  case miscounted(entriesIn: UInt64, entriesOut: UInt64, dropped: UInt64)

  // The machine.

  /// Storage refused or broke.
  case disk(DiskError)
}

/// Limits of the format.
public enum TableLimits {
  /// The longest user key.
  public static let keyBytes = 64 * 1024
  /// The longest value.
  public static let valueBytes = 1 << 30
  /// The longest property of a block.
  public static let propertyBytes = 255
  /// The most properties of a table.
  public static let properties = 8
}

extension TableError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .outOfOrder(let previous, let next):
      "entry \(Self.show(next)) was added after \(Self.show(previous)); add entries in key order, newest version first"
    case .keyTooLarge(let count): "a key of \(count) bytes is longer than the limit of \(TableLimits.keyBytes)"
    case .valueTooLarge(let count): "a value of \(count) bytes is longer than the limit of \(TableLimits.valueBytes)"
    case .emptyRange(let from, let to): "the range from \(Self.show(from)) to \(Self.show(to)) holds no key; its start must come before its end"
    case .missingMergeOperator(let key): "key \(Self.show(key)) has merge operands and no merge operator was given; give the one it was written with"
    case .inexpressible(let format, let what): "\(format) has no form for \(what); merge the table first, or choose what the format knows"
    case .notATable(let path, let reason): "\(path): not a finished table: \(reason)"
    case .unsupportedFormat(let path, let found, let supported): "\(path): \(found) is not supported; this version reads \(supported)"
    case .corruptBlock(let path, let offset, let kind, let reason):
      "\(path): \(kind) block at offset \(offset) is damaged: \(reason); `strata table salvage` saves what can be read"
    case .truncated(let path, let expected, let actual): "\(path): \(actual) bytes long, not \(expected) as recorded"
    case .foreignTable(let path, let reason): "\(path): belongs elsewhere: \(reason)"
    case .corruptList(let path, let reason):
      "\(path): \(reason); add the tables to a new directory, oldest first (`strata table compact`)"
    case .miscounted(let entriesIn, let entriesOut, let dropped):
      "a merge read \(entriesIn) entries, wrote \(entriesOut) and dropped \(dropped); its output is discarded, its inputs are untouched"
    case .disk(let error): "\(error)"
    }
  }

  private static func show(_ key: InternalKey) -> String { "\(show(key.userKey)) at \(key.trailer.sequence)" }

  /// A key as text where it is printable ASCII, else in hexadecimal, cut after 32 bytes.
  private static func show(_ key: [UInt8]) -> String {
    let part = key.prefix(32)
    let rest = key.count > 32 ? "…" : ""
    if part.allSatisfy({ (0x20..<0x7F).contains($0) }) { return "\"\(String(decoding: part, as: UTF8.self))\(rest)\"" }
    return "0x" + part.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined() + rest
  }
}
