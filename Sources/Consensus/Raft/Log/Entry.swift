import StrataNodes

/// The number of a leader's reign. Terms only grow; 0 is before the first.
public typealias Term = UInt64

/// The place of an entry in the log, counted from 1; 0 is the virtual predecessor of an empty log's first entry.
public typealias LogIndex = UInt64

/// What an entry is for.
public enum EntryKind: UInt8, Hashable, Sendable {
  /// Bytes for the state machine; none where a new leader marks the beginning of its term.
  case normal = 0
  /// A change of the members, encoded by ``ConfChange``; none leaves a joint configuration.
  case confChange = 1
}

/// One place of the log.
public struct Entry: Hashable, Sendable {
  /// The term of the leader that made it.
  public var term: Term
  /// Its place.
  public var index: LogIndex
  /// What it is for.
  public var kind: EntryKind
  /// What it says.
  public var payload: [UInt8]

  /// An entry; the core fills in term and index of what is proposed.
  public init(term: Term = 0, index: LogIndex = 0, kind: EntryKind = .normal, payload: [UInt8] = []) {
    self.term = term
    self.index = index
    self.kind = kind
    self.payload = payload
  }
}

/// What names an entry: two logs that hold the same place agree on everything up to it (Raft §5.3, Log Matching).
public struct LogPlace: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The term of the entry.
  public var term: Term
  /// Its index.
  public var index: LogIndex

  /// The place of an entry.
  public init(term: Term, index: LogIndex) {
    self.term = term
    self.index = index
  }

  /// The order of up-to-dateness (Raft §5.4.1): by term, then by index.
  public static func < (a: LogPlace, b: LogPlace) -> Bool { (a.term, a.index) < (b.term, b.index) }

  /// `term/index`.
  public var description: String { "\(term)/\(index)" }
}

/// What a node must not forget beside its entries.
public struct HardState: Hashable, Sendable {
  /// The greatest term it has seen.
  public var term: Term
  /// Whom it voted for in that term; nobody where zero.
  public var vote: NodeID
  /// How far it knew the log to be committed. It may lag on disk.
  public var commit: LogIndex
  /// Where this is not zero, the node once lost durable records: it takes no part in elections before its log holds a durable entry of a
  /// greater term than this one. See ``RaftCore/isRepairing``.
  public var repairFloor: Term

  /// The state of a node that has seen nothing, or this one.
  public init(term: Term = 0, vote: NodeID = 0, commit: LogIndex = 0, repairFloor: Term = 0) {
    self.term = term
    self.vote = vote
    self.commit = commit
    self.repairFloor = repairFloor
  }
}

/// The state machine's content at one place of the log, which stands for all entries up to it.
public struct Snapshot: Hashable, Sendable {
  /// The last entry it stands for.
  public var place: LogPlace
  /// The members as of that entry.
  public var confState: ConfState
  /// Opaque to the core: the content, or the name under which the driver keeps and streams it.
  public var data: [UInt8]

  /// A snapshot.
  public init(place: LogPlace, confState: ConfState, data: [UInt8] = []) {
    self.place = place
    self.confState = confState
    self.data = data
  }

  /// The index of the last entry it stands for.
  public var index: LogIndex { place.index }
}
