/// What a database may promise about transactions that run at the same time, after Adya (Weak Consistency, 1999) and as Elle names it.
public enum IsolationLevel: String, Hashable, Sendable, CaseIterable {
  /// Writes of transactions do not mix (PL-1).
  case readUncommitted = "read-uncommitted"
  /// Nobody reads what was undone, or what was not final (PL-2).
  case readCommitted = "read-committed"
  /// What was once seen of a transaction is seen as a whole from then on.
  case monotonicAtomicView = "monotonic-atomic-view"
  /// A transaction sees all of another's writes or none, and its own.
  case readAtomic = "read-atomic"
  /// No update is lost between reading and writing one object.
  case cursorStability = "cursor-stability"
  /// Every transaction reads from one consistent state (PL-2+).
  case consistentView = "consistent-view"
  /// Objects that were read do not change (PL-2.99).
  case repeatableRead = "repeatable-read"
  /// Every transaction reads one snapshot, and no two that overlap write the same object (PL-SI).
  case snapshotIsolation = "snapshot-isolation"
  /// As if one transaction ran after the other (PL-3).
  case serializable
  /// The levels from here on also keep the order of each session.
  case strongSessionReadUncommitted = "strong-session-read-uncommitted"
  /// As its name says.
  case strongSessionReadCommitted = "strong-session-read-committed"
  /// As its name says.
  case strongSessionSnapshotIsolation = "strong-session-snapshot-isolation"
  /// As its name says.
  case strongSessionSerializable = "strong-session-serializable"
  /// The levels from here on also keep the order in real time.
  case strongReadUncommitted = "strong-read-uncommitted"
  /// As its name says.
  case strongReadCommitted = "strong-read-committed"
  /// As its name says.
  case strongSnapshotIsolation = "strong-snapshot-isolation"
  /// Serializable in the order of real time.
  case strictSerializable = "strict-serializable"

  /// The levels that promise a little less.
  private var weaker: [IsolationLevel] {
    switch self {
    case .readUncommitted: []
    case .readCommitted: [.readUncommitted]
    case .monotonicAtomicView, .readAtomic, .cursorStability: [.readCommitted]
    case .consistentView: [.monotonicAtomicView]
    case .repeatableRead: [.cursorStability, .monotonicAtomicView]
    case .snapshotIsolation: [.consistentView, .cursorStability, .readAtomic]
    case .serializable: [.repeatableRead, .snapshotIsolation]
    case .strongSessionReadUncommitted: [.readUncommitted]
    case .strongSessionReadCommitted: [.readCommitted, .strongSessionReadUncommitted]
    case .strongSessionSnapshotIsolation: [.snapshotIsolation, .strongSessionReadCommitted]
    case .strongSessionSerializable: [.serializable, .strongSessionSnapshotIsolation]
    case .strongReadUncommitted: [.strongSessionReadUncommitted]
    case .strongReadCommitted: [.strongSessionReadCommitted, .strongReadUncommitted]
    case .strongSnapshotIsolation: [.strongSessionSnapshotIsolation, .strongReadCommitted]
    case .strictSerializable: [.strongSessionSerializable, .strongSnapshotIsolation]
    }
  }

  /// Whether a history without `level` is also without this one.
  public func promises(_ level: IsolationLevel) -> Bool { self == level || weaker.contains { $0.promises(level) } }
}

/// What transactions did that they should not have, as Adya and Elle name it.
public enum Anomaly: String, Hashable, Sendable, CaseIterable {
  /// A list holds one element twice.
  case duplicate
  /// Somebody read what nobody wrote.
  case garbage
  /// What was read puts versions of one object in a circle.
  case cyclicVersions = "cyclic-versions"
  /// Two reads of a list neither of which is the beginning of the other.
  case incompatibleOrder = "incompatible-order"
  /// A write that was undone lives on in a later version.
  case dirtyUpdate = "dirty-update"
  /// A circle of overwritten writes.
  case g0 = "G0"
  /// A read of what was undone.
  case g1a = "G1a"
  /// A read of what was not final.
  case g1b = "G1b"
  /// A circle of writes and reads of them.
  case g1c = "G1c"
  /// A transaction that does not see its own writes and reads.
  case `internal`
  /// Two transactions read one version and both wrote the next.
  case lostUpdate = "lost-update"
  /// A circle with exactly one read that was overwritten.
  case gSingle = "G-single"
  /// A circle with several reads that were overwritten, no two in a row.
  case gNonadjacent = "G-nonadjacent"
  /// A circle with reads that were overwritten in a row.
  case g2Item = "G2-item"
  /// A circle with exactly one overwritten read, of something that was looked for and not found: a phantom.
  case gSinglePredicate = "G-single-predicate"
  /// A circle with several overwritten reads, a phantom among them, no two in a row.
  case gNonadjacentPredicate = "G-nonadjacent-predicate"
  /// A circle with overwritten reads in a row, a phantom among them.
  case g2 = "G2"
  /// The same with the order of a session in the circle.
  case g0Process = "G0-process"
  /// As its name says.
  case g1cProcess = "G1c-process"
  /// As its name says.
  case gSingleProcess = "G-single-process"
  /// As its name says.
  case gNonadjacentProcess = "G-nonadjacent-process"
  /// As its name says.
  case g2ItemProcess = "G2-item-process"
  /// As its name says.
  case gSinglePredicateProcess = "G-single-predicate-process"
  /// As its name says.
  case gNonadjacentPredicateProcess = "G-nonadjacent-predicate-process"
  /// As its name says.
  case g2Process = "G2-process"
  /// The same with the order of real time in the circle.
  case g0Realtime = "G0-realtime"
  /// As its name says.
  case g1cRealtime = "G1c-realtime"
  /// As its name says.
  case gSingleRealtime = "G-single-realtime"
  /// As its name says.
  case gNonadjacentRealtime = "G-nonadjacent-realtime"
  /// As its name says.
  case g2ItemRealtime = "G2-item-realtime"
  /// As its name says.
  case gSinglePredicateRealtime = "G-single-predicate-realtime"
  /// As its name says.
  case gNonadjacentPredicateRealtime = "G-nonadjacent-predicate-realtime"
  /// As its name says.
  case g2Realtime = "G2-realtime"
  /// Dependencies known to go in a circle that could not be told in the time given.
  case cycle

  /// The weakest levels that exclude it.
  public var excludedBy: [IsolationLevel] {
    switch self {
    case .duplicate, .garbage, .cyclicVersions, .g0: [.readUncommitted]
    case .incompatibleOrder, .dirtyUpdate, .g1a, .g1b, .g1c: [.readCommitted]
    case .internal: [.readAtomic]
    case .lostUpdate: [.cursorStability]
    case .gSingle: [.consistentView, .repeatableRead]
    case .gNonadjacent: [.snapshotIsolation, .repeatableRead]
    case .g2Item: [.repeatableRead]
    case .gSinglePredicate: [.consistentView]
    case .gNonadjacentPredicate: [.snapshotIsolation]
    case .g2: [.serializable]
    case .g0Process: [.strongSessionReadUncommitted]
    case .g1cProcess: [.strongSessionReadCommitted]
    case .gSingleProcess, .gNonadjacentProcess, .gSinglePredicateProcess, .gNonadjacentPredicateProcess: [.strongSessionSnapshotIsolation]
    case .g2ItemProcess, .g2Process: [.strongSessionSerializable]
    case .g0Realtime: [.strongReadUncommitted]
    case .g1cRealtime: [.strongReadCommitted]
    case .gSingleRealtime, .gNonadjacentRealtime, .gSinglePredicateRealtime, .gNonadjacentPredicateRealtime: [.strongSnapshotIsolation]
    case .g2ItemRealtime, .g2Realtime, .cycle: [.strictSerializable]
    }
  }

  /// Whether a history with it cannot come from a database of this level.
  public func rulesOut(_ level: IsolationLevel) -> Bool { excludedBy.contains { level.promises($0) } }
}
