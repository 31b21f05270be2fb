public import StrataDisk
public import StrataSSTable
public import StrataWriteAheadLog
public import SystemPackage

/// What the engine refuses or finds. The first group is the caller's to change, the second may be tried again, the third asks for an operator.
public indirect enum LSMError: Error, Sendable {
  /// A key longer than ``TableLimits/keyBytes``. Nothing was written.
  case keyTooLarge(Int)
  /// A value longer than ``TableLimits/valueBytes``, or than a log record may be. Nothing was written.
  case valueTooLarge(Int)
  /// A batch over the limit that `LSMOptions.maxBatchBytes` sets. Nothing was written.
  case batchTooLarge(bytes: Int, limit: Int)
  /// A range deletion whose start is not before its end.
  case emptyRange
  /// No keyspace has this name.
  case unknownKeyspace(String)
  /// A keyspace of this name exists already with other options.
  case keyspaceExists(String)
  /// The keyspace was dropped, or belongs to another store.
  case foreignKeyspace(String)
  /// The snapshot belongs to another store.
  case foreignSnapshot
  /// The keyspace was created without a merge operator.
  case noMergeOperator(keyspace: String)
  /// A version below the end of what is written, or beyond 56 bits.
  case versionOutOfOrder(given: UInt64, atLeast: UInt64)
  /// History before `oldest` was given up.
  case historyTruncated(oldest: UInt64)
  /// The store was closed.
  case closed
  /// A table that cannot be ingested.
  case cannotIngest(FilePath, reason: String)

  /// Writes have to wait and the caller asked not to (`WriteOptions.noStall`); nothing was written. Try again.
  case busy(PressureReason)
  /// The device is full: writes fail, reads go on; writes resume when space returns.
  case noSpace(FilePath)
  /// Another process has the store open.
  case locked(FilePath, holder: Int32?)
  /// An iterator passed over its limit of hidden entries; go on from this key.
  case incomplete(resumeKey: [UInt8])

  /// The merge operator refused the operands of this key; other keys are not affected.
  case mergeFailed(key: [UInt8], operatorName: String)
  /// A block of a table is not what was written; only reads that need it fail.
  case corruption(TableError, level: Int, from: [UInt8], to: [UInt8])
  /// A table is damaged as a whole or cannot be read.
  case table(TableError)
  /// The manifest or the file that names it is damaged at an offset; `strata lsm repair` rebuilds it from the tables.
  case corruptManifest(FilePath, offset: UInt64, reason: String)
  /// The log misses records or holds ones that cannot be.
  case corruptLog(reason: String)
  /// Files the manifest names are gone; restore them, or let `strata lsm repair` go on without.
  case missingTables([UInt64])
  /// Written with options, or by a version, that this opening does not agree with.
  case incompatible(String)
  /// An earlier failure left the store unable to promise durability: reads go on, writes fail with its cause. Reopen to recover.
  case readOnly(cause: LSMError)
  /// The log refused or broke.
  case log(WALError)
  /// Storage refused or broke.
  case disk(DiskError)
}

/// Why writes are slowed or stopped.
public enum PressureReason: String, Sendable, Hashable {
  /// Sealed memtables wait to be flushed.
  case memtables
  /// Too many sorted runs in level 0.
  case levelZero
  /// Compaction is behind by more bytes than the hard limit.
  case compactionDebt
  /// The device is full.
  case noSpace
  /// Memtables, cache and metadata have reached the memory limit.
  case memory
  /// The log has to write what it holds, or to prepare a segment.
  case log
}

extension LSMError {
  init(_ error: DiskError) {
    switch error {
    case .noSpace(let path, _): self = .noSpace(path)
    case .locked(let path, let holder): self = .locked(path, holder: holder)
    default: self = .disk(error)
    }
  }

  init(_ error: WALError) {
    switch error {
    case .noSpace(let path): self = .noSpace(path)
    case .closed: self = .closed
    case .alreadyOpen(let path, let holder): self = .locked(path, holder: holder)
    case .recordTooLarge(let size, let limit): self = .batchTooLarge(bytes: size, limit: limit)
    case .storage(let error): self = .init(error)
    case .durabilityLost(let error): self = .readOnly(cause: .disk(error))
    default: self = .log(error)
    }
  }

  init(_ error: TableError) {
    switch error {
    case .disk(let error): self = .init(error)
    case .keyTooLarge(let count): self = .keyTooLarge(count)
    case .valueTooLarge(let count): self = .valueTooLarge(count)
    default: self = .table(error)
    }
  }

  /// Whether the failure passes when space returns.
  var isNoSpace: Bool {
    if case .noSpace = self { true } else { false }
  }
}

extension LSMError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .keyTooLarge(let count): "a key of \(count) bytes is longer than the limit of \(TableLimits.keyBytes)"
    case .valueTooLarge(let count): "a value of \(count) bytes is longer than the limit of \(TableLimits.valueBytes)"
    case .batchTooLarge(let bytes, let limit): "a batch of \(bytes) bytes is over the limit of \(limit); split it"
    case .emptyRange: "the range holds no key; its start must come before its end"
    case .unknownKeyspace(let name): "there is no keyspace \"\(name)\"; create it first"
    case .keyspaceExists(let name): "keyspace \"\(name)\" exists with other options"
    case .foreignKeyspace(let name): "keyspace \"\(name)\" was dropped or belongs to another store"
    case .foreignSnapshot: "the snapshot belongs to another store"
    case .noMergeOperator(let name): "keyspace \"\(name)\" has no merge operator; create it with one"
    case .versionOutOfOrder(let given, let atLeast): "version \(given) was given where the next must be at least \(atLeast)"
    case .historyTruncated(let oldest): "history before version \(oldest) was given up"
    case .closed: "the store is closed"
    case .cannotIngest(let path, let reason): "\(path): cannot be ingested: \(reason)"
    case .busy(let reason): "writes have to wait (\(reason.rawValue)); try again"
    case .noSpace(let path): "\(path): no space left; reads go on, writes resume when space returns"
    case .locked(let path, let holder):
      if let holder { "\(path): the store is open in process \(holder)" } else { "\(path): the store is open elsewhere" }
    case .incomplete(let key): "too many hidden entries were passed over; go on from \(Self.show(key))"
    case .mergeFailed(let key, let name): "merge operator \"\(name)\" refused the operands of key \(Self.show(key))"
    case .corruption(let error, let level, let from, let to):
      "level \(level), keys \(Self.show(from)) to \(Self.show(to)): \(error)"
    case .table(let error): "\(error)"
    case .corruptManifest(let path, let offset, let reason):
      "\(path): damaged at offset \(offset): \(reason); `strata lsm repair` rebuilds it from the tables"
    case .corruptLog(let reason): "the log is damaged: \(reason)"
    case .missingTables(let ids): "tables \(ids) are missing; restore them, or run `strata lsm repair` to go on without"
    case .incompatible(let what): "cannot be opened: \(what)"
    case .readOnly(let cause): "writes are off since an earlier failure (\(cause)); reopen to recover"
    case .log(let error): "\(error)"
    case .disk(let error): "\(error)"
    }
  }

  static func show(_ key: [UInt8]) -> String {
    let part = key.prefix(32)
    let rest = key.count > 32 ? "…" : ""
    if part.allSatisfy({ (0x20..<0x7F).contains($0) }) { return "\"\(String(decoding: part, as: UTF8.self))\(rest)\"" }
    return "0x" + part.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined() + rest
  }
}
