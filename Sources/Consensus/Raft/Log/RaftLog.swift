/// The log of one node: entries since the last compaction, of which a prefix is durable, a prefix committed and a prefix applied.
///
/// `base < first ... last` are the entries in memory; `base` is the place just before them, (0, 0) or the last compacted one, and answers
/// for its term like an entry. `applied <= applying <= committed <= last`. `stable` may lie anywhere up to `last`. Entries in
/// `stable+1 ... handed` are on their way to the disk.
struct RaftLog {
  private(set) var base: LogPlace
  private var entries: [Entry]
  /// Everything up to here is durable.
  private(set) var stable: LogIndex
  /// Everything up to here was given to the driver to be made durable.
  private(set) var handed: LogIndex
  private(set) var committed: LogIndex
  /// Everything up to here was given to the driver to be applied.
  private(set) var applying: LogIndex
  private(set) var applied: LogIndex
  /// A snapshot that replaced the log and is not durable yet.
  private(set) var snapshot: Snapshot?
  /// Whether that snapshot was given to the driver.
  private(set) var snapshotIsHanded = false
  /// Bytes of payload in memory.
  private(set) var bytes: Int
  /// The entries that came last, as they came: the disk, every follower and the state machine mostly want just these, and are given the same array.
  private var recent: [Entry] = []
  /// What they cost in a message.
  private var recentBytes = 0

  init(base: LogPlace, entries: [Entry], committed: LogIndex, applied: LogIndex) {
    self.base = base
    self.entries = entries
    bytes = entries.reduce(0) { $0 + $1.payload.count }
    let last = base.index + UInt64(entries.count)
    stable = last
    handed = last
    self.committed = committed
    self.applied = applied
    applying = applied
  }

  var first: LogIndex { base.index + 1 }
  var last: LogIndex { base.index + UInt64(entries.count) }
  var lastPlace: LogPlace { LogPlace(term: lastTerm, index: last) }
  var lastTerm: Term { entries.last?.term ?? base.term }

  /// The term of the newest durable entry.
  var stableTerm: Term { snapshot == nil ? term(at: stable) ?? base.term : 0 }

  /// The term of an entry, or of the place just before the first; nothing for what is compacted or does not exist.
  func term(at index: LogIndex) -> Term? {
    if index > base.index { return index <= last ? entries[Int(index - base.index - 1)].term : nil }
    return index == base.index ? base.term : nil
  }

  func contains(_ place: LogPlace) -> Bool { term(at: place.index) == place.term }

  subscript(index: LogIndex) -> Entry { entries[Int(index - base.index - 1)] }

  /// Entries from `from` up to and with `to`, as many as fit into `maxBytes`, at least one if there is any.
  func slice(from: LogIndex, to: LogIndex, maxBytes: Int) -> [Entry] {
    guard from > base.index, from <= min(to, last) else { return [] }
    if recentBytes <= maxBytes, isRecent(from: from, to: min(to, last)) { return recent }
    let start = Int(from - base.index - 1)
    let end = Int(min(to, last) - base.index)
    var size = 0
    var stop = start
    while stop < end {
      size += entries[stop].payload.count + Entry.overhead
      if size > maxBytes, stop > start { break }
      stop += 1
    }
    return Array(entries[start..<stop])
  }

  /// Whether some entry of the range changes the members.
  func hasConfChange(after from: LogIndex, upTo to: LogIndex) -> Bool {
    guard from < to else { return false }
    let start = Int(max(from, base.index) - base.index)
    return entries[start..<Int(min(to, last) - base.index)].contains { $0.kind == .confChange }
  }

  // MARK: Growing

  /// Adds entries behind the last.
  mutating func append(_ new: [Entry]) {
    entries.append(contentsOf: new)
    bytes += remember(new)
  }

  private func isRecent(from: LogIndex, to: LogIndex) -> Bool {
    recent.first?.index == from && recent.count == Int(to - from) + 1
  }

  /// Notes what came last; says how many bytes of payload there are in it.
  private mutating func remember(_ new: [Entry]) -> Int {
    var size = 0
    for place in new.indices { size += new[place].payload.count }
    recent = new
    recentBytes = size + new.count * Entry.overhead
    return size
  }

  /// Replaces everything from `new[0]` on.
  ///
  /// `new` must continue the log, and nothing committed may be replaced: to do so would be to lose what was promised.
  mutating func replaceSuffix(with new: [Entry]) {
    guard let start = new.first?.index else { return }
    precondition(start <= last + 1 && start > base.index, "an entry would leave a gap in the log")
    let kept = Int(start - base.index - 1)
    if kept < entries.count {
      for entry in entries[kept...] { bytes -= entry.payload.count }
      entries.removeSubrange(kept...)
    }
    append(new)
    stable = min(stable, start - 1)
    handed = min(handed, start - 1)
  }

  /// The index of the first of `new` that the log does not hold with the same term; nothing if it holds them all.
  func firstConflict(in new: [Entry]) -> Int? {
    for (offset, entry) in new.enumerated() where term(at: entry.index) != entry.term { return offset }
    return nil
  }

  /// The last place at or below `index` whose term is at most `term`: where two logs may still agree (etcd-io/raft, findConflictByTerm).
  func lastPlace(atMost index: LogIndex, term: Term) -> LogPlace {
    var index = min(index, last)
    while index > base.index {
      let own = entries[Int(index - base.index - 1)].term
      if own <= term { return LogPlace(term: own, index: index) }
      index -= 1
    }
    // What is compacted was committed, so both logs hold it; its term is known at one place only.
    return index == base.index ? base : LogPlace(term: 0, index: index)
  }

  /// Bytes of payload behind `from`, up to and with `to`.
  func payloadBytes(after from: LogIndex, upTo to: LogIndex) -> Int {
    var size = 0
    for place in Int(max(from, base.index) - base.index)..<Int(max(to, from, base.index) - base.index) { size += entries[place].payload.count }
    return size
  }

  // MARK: Marks

  mutating func commit(to index: LogIndex) { committed = max(committed, min(index, last)) }

  /// The entries to be handed to the disk next, and marks them so.
  mutating func takeUnstable() -> [Entry] {
    guard handed < last else { return [] }
    defer { handed = last }
    if isRecent(from: handed + 1, to: last) { return recent }
    return Array(entries[Int(max(handed, base.index) - base.index)...])
  }

  var hasUnstable: Bool { handed < last || (snapshot != nil && !snapshotIsHanded) }

  /// Whether something is on its way to the disk.
  var isWriting: Bool { stable < handed || snapshotIsHanded }

  /// Everything up to `place` is durable, provided the log still holds that entry: it may have been replaced meanwhile.
  mutating func stable(to place: LogPlace) {
    guard place.index > stable, place.index <= handed, contains(place) else { return }
    stable = place.index
  }

  /// How far entries may be applied: committed ones, and only durable ones where `durable`.
  func applicable(durable: Bool) -> LogIndex { snapshot != nil ? applying : durable ? min(committed, stable) : committed }

  mutating func takeCommitted(durable: Bool, maxBytes: Int) -> [Entry] {
    let taken = slice(from: applying + 1, to: applicable(durable: durable), maxBytes: maxBytes)
    if let last = taken.last?.index { applying = last }
    return taken
  }

  mutating func applied(to index: LogIndex) {
    guard index > applied, index <= committed else { return }
    applied = index
    applying = max(applying, index)
  }

  // MARK: Snapshots

  /// Drops everything up to `index`, which must be applied and in memory.
  mutating func compact(to index: LogIndex) {
    guard index > base.index, let term = term(at: index) else { return }
    let count = Int(index - base.index)
    for entry in entries[..<count] { bytes -= entry.payload.count }
    entries.removeSubrange(..<count)
    base = LogPlace(term: term, index: index)
  }

  /// Replaces the log by a snapshot that is not durable yet.
  mutating func restore(_ new: Snapshot) {
    base = new.place
    entries.removeAll()
    recent = []
    bytes = 0
    committed = new.index
    stable = new.index
    handed = new.index
    snapshot = new
    snapshotIsHanded = false
  }

  mutating func takeSnapshot() -> Snapshot? {
    guard let snapshot, !snapshotIsHanded else { return nil }
    snapshotIsHanded = true
    return snapshot
  }

  /// The snapshot is durable and the state machine holds its content.
  mutating func snapshotDurable(_ index: LogIndex) {
    guard let pending = snapshot, pending.index == index else { return }
    snapshot = nil
    snapshotIsHanded = false
    applied = max(applied, index)
    applying = max(applying, index)
  }
}

extension Entry {
  /// What an entry costs in a message or a log beside its payload.
  static let overhead = 21
}
