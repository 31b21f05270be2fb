import StrataNodes

/// What nodes of a group say to each other, and what a storage says to its node.
public struct Message: Hashable, Sendable {
  /// What it is about.
  public enum Kind: UInt8, Hashable, Sendable, CaseIterable {
    /// Entries behind the place (``logTerm``, ``index``), and how far the leader has committed. Without entries, and with 1 for ``hint``, it wants an
    /// answer only where the log does not hold the place.
    case append = 1
    /// Entries up to ``index`` are durable; or, rejected, the log does not hold (`?`, ``index``) and may agree at (``logTerm``, ``hint``).
    case appendResponse = 2
    /// A candidate whose log ends at (``logTerm``, ``index``) asks for a vote. This and the next three tell the last place their sender knows to
    /// be committed, (``hint``, ``commit``).
    case vote = 3
    /// A vote, or, rejected, none.
    case voteResponse = 4
    /// A node asks whether it would get a vote in that term.
    case preVote = 5
    /// The answer to that.
    case preVoteResponse = 6
    /// The leader is there; ``context`` is the round, ``commit`` how far the follower is known to hold what is committed. With a place (``logTerm``,
    /// ``index``), a member whose log ends there and is committed and applied may rest.
    case heartbeat = 7
    /// The round was heard. With a place (``logTerm``, ``index``): and the member rests.
    case heartbeatResponse = 8
    /// The leader's log does not reach back to what the follower needs.
    case snapshot = 9
    /// Proposals for the leader.
    case propose = 10
    /// Asks the leader for an index behind which a read sees everything, under the name ``context``.
    case readIndex = 11
    /// That index.
    case readIndexResponse = 12
    /// The receiver is to campaign at once.
    case timeoutNow = 13
    /// Asks the leader to hand over to the sender, or to ``hintNode``.
    case transfer = 14
    /// A node that lost records asks every member for its term, under the name ``context``.
    case repair = 15
    /// The term of a member, as it is durable.
    case repairResponse = 16
    /// From the node's own storage: everything up to (``logTerm``, ``index``) is durable, and ``snapshot`` if there is one.
    case stored = 17
    /// From the node's own driver: everything up to ``index`` is applied.
    case applied = 18
  }

  /// What it is about.
  public var kind: Kind
  /// Who sends it.
  public var from: NodeID
  /// Who receives it.
  public var to: NodeID
  /// The sender's term; 0 for what belongs to no term.
  public var term: Term
  /// The term of a place in the log.
  public var logTerm: Term
  /// A place in the log.
  public var index: LogIndex
  /// How far the sender has committed.
  public var commit: LogIndex
  /// Where the sender of a rejection believes the logs may agree; in a vote and what belongs to it, the term of the entry at ``commit``.
  public var hint: LogIndex
  /// A number under which the sender will know the answer.
  public var context: UInt64
  /// Whether an answer says no.
  public var isRejected: Bool
  /// Whether a vote is asked for because the leader wants it so.
  public var isTransfer: Bool
  /// Entries.
  public var entries: [Entry]
  /// A snapshot.
  public var snapshot: Snapshot? {
    get { box?.snapshot }
    set { box = newValue.map(Box.init) }
  }
  /// Few messages have one, and those without are copied for what a reference costs.
  private var box: Box?

  private final class Box: Hashable, Sendable {
    let snapshot: Snapshot

    init(_ snapshot: Snapshot) { self.snapshot = snapshot }

    static func == (a: Box, b: Box) -> Bool { a === b || a.snapshot == b.snapshot }
    func hash(into hasher: inout Hasher) { hasher.combine(snapshot) }
  }

  /// A message; the core fills in its sender and term.
  public init(
    _ kind: Kind, to: NodeID, from: NodeID = 0, term: Term = 0, logTerm: Term = 0, index: LogIndex = 0, commit: LogIndex = 0,
    hint: LogIndex = 0, context: UInt64 = 0, isRejected: Bool = false, isTransfer: Bool = false, entries: [Entry] = [],
    snapshot: Snapshot? = nil
  ) {
    self.kind = kind
    self.from = from
    self.to = to
    self.term = term
    self.logTerm = logTerm
    self.index = index
    self.commit = commit
    self.hint = hint
    self.context = context
    self.isRejected = isRejected
    self.isTransfer = isTransfer
    self.entries = entries
    box = snapshot.map(Box.init)
  }

  /// No term or index in a message may exceed this, so that counting on from one never overflows.
  static let limit: UInt64 = 1 << 62

  /// What makes the message impossible whatever the state of its receiver, if something does.
  var defect: MessageRejection? {
    if max(term, logTerm, index, commit, hint) >= Self.limit { return .outOfRange }
    if kind == .snapshot {
      guard let snapshot else { return .incomplete }
      if max(snapshot.place.index, snapshot.place.term) >= Self.limit { return .outOfRange }
      if snapshot.confState.defect != nil || snapshot.place.term > term { return .incomplete }
    }
    if kind == .append {
      var place = LogPlace(term: logTerm, index: index)
      for entry in entries {
        guard entry.index == place.index + 1, entry.term >= place.term, entry.term <= term, entry.index < Self.limit else { return .notContiguous }
        place = LogPlace(term: entry.term, index: entry.index)
      }
    }
    return nil
  }
}
