import StrataNodes

extension RaftStorage {
  /// Writes down that a group is founded here, before its member first runs: from now on its directory differs from one that lost what it
  /// held. Durable on return.
  ///
  /// - Parameter groups: what ``open(_:cluster:options:toleratesDamage:on:)`` gave.
  /// - Throws: ``RaftStorageError/inconsistent(group:_:)`` if something is stored of the group already; nothing is changed then.
  public func found(_ group: UInt64, among groups: [UInt64: StoredGroup]) throws(RaftStorageError) {
    guard groups[group] == nil else { throw .inconsistent(group: group, "it was founded here before") }
    let mark = HardState(term: 1, vote: 0, commit: 1)
    try waitUntilDurable(try submit(StorageAppend(hardState: mark, entries: [], snapshot: nil, mustSync: true, responses: []), of: group))
  }

  /// What ``makeAlone(_:in:from:founders:)`` did.
  public struct Forced: Hashable, Sendable {
    /// The members as the log knew them.
    public var before: ConfState
    /// The last entry the log held. All of them count as committed now.
    public var last: LogPlace
    /// Entries that were added to remove the others.
    public var added: Int
  }

  /// Makes a member the only one of its group, for when a majority of the others is lost for ever. Durable on return.
  ///
  /// All that the log holds counts as committed, although some of it may never have been; what other members held beyond it is lost. No other member
  /// of the group may ever run again with what it has: two groups would call themselves the same. Nobody may run on this storage meanwhile.
  ///
  /// - Parameters:
  ///   - state: what ``open(_:cluster:options:toleratesDamage:on:)`` gave of the group.
  ///   - founders: the members the group was founded with.
  /// - Throws: ``RaftStorageError/inconsistent(group:_:)`` if the member is none of the group's, or the log makes no sense; nothing is changed then.
  public func makeAlone(_ member: NodeID, in group: UInt64, from state: StoredGroup, founders: [NodeID]) throws(RaftStorageError) -> Forced {
    var conf = state.snapshot == nil ? ConfState(voters: founders) : state.confState
    let snapshot = state.snapshot?.index ?? 1
    for entry in state.entries where entry.kind == .confChange && entry.index > snapshot {
      // A change that is impossible is passed over when it is applied, at every member alike.
      if let change = ConfChange(decoding: entry.payload), let next = try? conf.applying(change) { conf = next }
    }
    guard conf.contains(member) else {
      throw .inconsistent(group: group, "\(member) is no member: \(conf); choose one of them")
    }
    let last = state.entries.last.map { LogPlace(term: $0.term, index: $0.index) } ?? state.snapshot ?? LogPlace(term: 1, index: 1)
    let term = max(state.hardState.term, last.term) + 1
    var entries: [Entry] = []
    func add(_ payload: [UInt8]) {
      entries.append(Entry(term: term, index: last.index + UInt64(entries.count) + 1, kind: .confChange, payload: payload))
    }
    if conf.isJoint { add([]) }
    if !conf.voters.contains(member) { add(ConfChange([.addVoter(member)]).encoded) }
    for other in conf.members where other != member { add(ConfChange([.remove(other)]).encoded) }
    let mark = HardState(term: term, vote: 0, commit: last.index + UInt64(entries.count))
    try waitUntilDurable(
      try submit(StorageAppend(hardState: mark, entries: entries, snapshot: nil, mustSync: true, responses: []), of: group))
    return Forced(before: conf, last: last, added: entries.count)
  }
}
