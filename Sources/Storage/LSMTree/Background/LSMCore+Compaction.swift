import SystemPackage
import StrataBytes
import StrataSSTable

extension LSMCore {
  /// The most urgent compaction that nothing stands in the way of, its tables marked as busy.
  func nextCompaction() -> (any LSMJob)? {
    guard manifest.failure == nil, !work.withLock({ $0.isOutOfSpace }) else { return nil }
    for keyspace in allKeyspaces {
      let asked = work.withLock { $0.asked[keyspace.id] }
      guard asked != nil || options.compactsAutomatically else { continue }
      let levels = keyspace.version.levels
      let circumstances = circumstances()
      let plan =
        asked.map { fullPlan(keyspace, levels, $0, circumstances.held) } ?? CompactionPicker(keyspace, levels, options, circumstances).pick()
      guard let plan, claim(plan, madeFor: levels) else { continue }
      return CompactionJob(self, plan)
    }
    return nil
  }

  /// Marks the inputs; `false` where one became busy, or the tables are others, since the plan was made. A table ingested in between could lie among
  /// the outputs.
  private func claim(_ plan: Compaction, madeFor levels: Levels) -> Bool {
    let ids = Set(plan.inputs.map(\.metadata.fileID))
    return work.withLock { work in
      guard plan.keyspace.version.levels === levels, work.busy.isDisjoint(with: ids), work.quarantined.isDisjoint(with: ids),
        let hull = KeyHull(plan.inputs),
        !work.running.contains(where: { $0.keyspace == plan.keyspace.id && plan.outputLevels.contains($0.level) && $0.hull.overlaps(hull) })
      else { return false }
      work.busy.formUnion(ids)
      work.running += plan.outputLevels.map { RunningCompaction(keyspace: plan.keyspace.id, level: $0, hull: hull, inputs: ids) }
      return true
    }
  }

  func endCompaction(_ plan: Compaction) {
    work.withLock { work in
      let ids = Set(plan.inputs.map(\.metadata.fileID))
      work.busy.subtract(ids)
      work.stumbledOver.subtract(ids)
      work.running.removeAll { $0.inputs == ids }
      if plan.reason == Self.askedFor { work.asked[plan.keyspace.id] = nil }
    }
    scheduler.announceProgress()
  }

  /// A damaged input is spared from now on and the rest goes on; a full disk passes; anything else turns writes off.
  func compactionFailed(_ error: LSMError, _ plan: Compaction) {
    if case .table(let cause) = error, let input = plan.inputs.first(where: { cause.path == $0.reader.path }) {
      quarantine(input, plan.keyspace, cause)
    } else {
      jobFailed(error, "compaction of keyspace \"\(plan.keyspace.name)\"")
    }
    work.withLock { $0.askedFailures[plan.keyspace.id] = error }
    endCompaction(plan)
    updatePressure()
  }

  static let askedFor = "asked for"

  /// Everything within the bounds, into the last level there is, as one run. Waits for running compactions of the keyspace to end.
  private func fullPlan(_ keyspace: Keyspace, _ levels: Levels, _ bounds: KeyBounds, _ held: Set<UInt64>) -> Compaction? {
    guard !levels.tables.contains(where: { work.withLock { $0.busy }.contains($0.metadata.fileID) }) else { return nil }
    let bottom = keyspace.options.goesByAge ? 0 : LSMOptions.maxLevels - 1
    var inputs = levels.overlapping(bounds)
    // An output may span everything between its inputs: all of that comes along.
    while let hull = KeyHull(inputs) {
      let wider = levels.tables.filter { hull.overlaps($0.metadata) }
      if wider.count == inputs.count { break }
      inputs = wider
    }
    let isDamaged = inputs.contains { held.contains($0.metadata.fileID) }
    if isDamaged { work.withLock { $0.askedFailures[keyspace.id] = .incompatible("a damaged table is in the way; `verify` names it") } }
    guard !inputs.isEmpty, !isDamaged else {
      work.withLock { $0.asked[keyspace.id] = nil }
      scheduler.announceProgress()
      return nil
    }
    let chosen = Set(inputs.map(\.metadata.fileID))
    let ordered = newestFirst(levels).filter { chosen.contains($0.metadata.fileID) }
    return Compaction(keyspace: keyspace, kind: .merge, inputs: ordered, outputLevel: bottom, reason: Self.askedFor)
  }
}

/// The keys from the first to the last of some tables.
struct KeyHull: Sendable {
  var from: [UInt8]
  var to: [UInt8]

  init(from: [UInt8], to: [UInt8]) { (self.from, self.to) = (from, to) }

  /// `nil` for no tables.
  init?(_ tables: [TableHandle]) {
    guard let first = tables.first?.metadata else { return nil }
    (from, to) = (first.smallest.userKey, first.largest.userKey)
    for table in tables.dropFirst() {
      if order(table.metadata.smallest.userKey, from) < 0 { from = table.metadata.smallest.userKey }
      if order(table.metadata.largest.userKey, to) > 0 { to = table.metadata.largest.userKey }
    }
  }

  func overlaps(_ table: TableMetadata) -> Bool {
    order(table.smallest.userKey, to) <= 0 && order(table.largest.userKey, from) >= 0
  }

  func overlaps(_ other: KeyHull) -> Bool {
    order(other.from, to) <= 0 && order(other.to, from) >= 0
  }
}

/// The tables of a keyspace, newest first where they overlap.
func newestFirst(_ levels: Levels) -> [TableHandle] { levels.levelZero.reversed() + levels.deeper.flatMap(\.tables) }

extension TableError {
  /// The file the error is about, where it is about one's content.
  var path: FilePath? {
    switch self {
    case .corruptBlock(let path, _, _, _), .notATable(let path, _), .truncated(let path, _, _), .foreignTable(let path, _): path
    default: nil
    }
  }
}
