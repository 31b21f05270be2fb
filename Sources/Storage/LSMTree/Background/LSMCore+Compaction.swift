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
      let held = work.withLock { $0.busy.union($0.quarantined) }
      let plan = asked.map { fullPlan(keyspace, levels, $0, held) } ?? CompactionPicker(keyspace, levels, options, held).pick()
      guard let plan, claim(plan) else { continue }
      return CompactionJob(self, plan)
    }
    return nil
  }

  /// Marks the inputs; `false` where one became busy or is gone since the plan was made.
  private func claim(_ plan: Compaction) -> Bool {
    let ids = Set(plan.inputs.map(\.metadata.fileID))
    return work.withLock { work in
      let present = Set(plan.keyspace.version.levels.tables.map(\.metadata.fileID))
      guard ids.isSubset(of: present), work.busy.isDisjoint(with: ids), work.quarantined.isDisjoint(with: ids),
        let hull = KeyHull(plan.inputs),
        !work.running.contains(where: { $0.keyspace == plan.keyspace.id && $0.level == plan.outputLevel && $0.hull.overlaps(hull) })
      else { return false }
      work.busy.formUnion(ids)
      work.running.append(RunningCompaction(keyspace: plan.keyspace.id, level: plan.outputLevel, hull: hull, inputs: ids))
      return true
    }
  }

  func endCompaction(_ plan: Compaction) {
    work.withLock { work in
      let ids = Set(plan.inputs.map(\.metadata.fileID))
      work.busy.subtract(ids)
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

  /// Everything within the bounds, into the last level, as one run. Waits for running compactions of the keyspace to end.
  private func fullPlan(_ keyspace: Keyspace, _ levels: Levels, _ bounds: KeyBounds, _ held: Set<UInt64>) -> Compaction? {
    guard !levels.tables.contains(where: { work.withLock { $0.busy }.contains($0.metadata.fileID) }) else { return nil }
    let bottom = LSMOptions.maxLevels - 1
    var inputs = levels.overlapping(bounds)
    // An output may span everything between its inputs: all of that comes along.
    while let hull = KeyHull(inputs) {
      let wider = levels.tables.filter { hull.overlaps($0.metadata) }
      if wider.count == inputs.count { break }
      inputs = wider
    }
    let isDamaged = inputs.contains { held.contains($0.metadata.fileID) }
    if isDamaged { work.withLock { $0.askedFailures[keyspace.id] = .incompatible("a damaged table is in the way; see the events") } }
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

/// Chooses what to compact next; a function of the tables, what is busy and the options, and of nothing else.
struct CompactionPicker {
  private let keyspace: Keyspace
  private let levels: Levels
  private let options: LSMOptions
  private let held: Set<UInt64>
  private let targets: LevelTargets
  /// No plan reads more tables.
  private static let maxInputs = 25

  init(_ keyspace: Keyspace, _ levels: Levels, _ options: LSMOptions, _ held: Set<UInt64>) {
    self.keyspace = keyspace
    self.levels = levels
    self.options = options
    self.held = held
    targets = LevelTargets(levels, keyspace.options)
  }

  func pick() -> Compaction? {
    if keyspace.options.style == .sizeTiered { return tiered() }
    var scores: [(level: Int, score: Double)] = []
    let subLevels = levels.subLevels.count
    if subLevels >= options.levelZeroTrigger { scores.append((0, Double(subLevels) / Double(max(1, options.levelZeroTrigger)))) }
    for run in levels.deeper where run.count > 0 && run.level < targets.last {
      let free = run.tables.reduce(0) { $0 + (isHeld($1) ? 0 : $1.metadata.fileSize) }
      let score = Double(free) / Double(max(1, targets.bytes[run.level]))
      // What lies above the base has no business there.
      if run.level < targets.base { scores.append((run.level, max(score, 1.01))) } else if score > 1 { scores.append((run.level, score)) }
    }
    for (level, _) in scores.sorted(by: { $0.score > $1.score }) {
      if let plan = level == 0 ? levelZero() : leveled(level) { return plan }
    }
    return nil
  }

  private func isHeld(_ table: TableHandle) -> Bool { held.contains(table.metadata.fileID) }

  /// Level 0 with what it overlaps in the base level: the oldest tables first, each with all older ones it overlaps.
  private func levelZero() -> Compaction? {
    var chosen: [TableHandle] = []
    for table in levels.levelZero where !isHeld(table) && !overlapsHeld(table) {
      if chosen.count >= Self.maxInputs { break }
      chosen.append(table)
    }
    chosen = closed(chosen)
    guard let hull = KeyHull(chosen) else { return nil }
    let below = levels.deeper[targets.base - 1].tables.filter { hull.overlaps($0.metadata) }
    guard below.allSatisfy({ !isHeld($0) }) else { return nil }
    return plan(chosen, below, targets.base, "level 0")
  }

  private func overlapsHeld(_ table: TableHandle) -> Bool {
    levels.levelZero.contains { isHeld($0) && Levels.overlap($0.metadata, table.metadata) }
  }

  /// The chosen tables without any whose older overlapping neighbours stay: newer versions never pass below older ones.
  private func closed(_ chosen: [TableHandle]) -> [TableHandle] {
    var kept: [TableHandle] = []
    for table in levels.levelZero {
      guard chosen.contains(where: { $0 === table }) else { continue }
      let blocked = levels.levelZero.prefix { $0 !== table }.contains { older in
        Levels.overlap(older.metadata, table.metadata) && !kept.contains { $0 === older }
      }
      if !blocked { kept.append(table) }
    }
    return kept
  }

  /// The table of the level that moves the most for the least: least overlap below per byte of its own, deletions counting for it.
  private func leveled(_ level: Int) -> Compaction? {
    var best: (ratio: Double, table: TableHandle, below: [TableHandle])?
    for table in levels.deeper[level - 1].tables where !isHeld(table) {
      guard let hull = KeyHull([table]) else { continue }
      let below = levels.deeper[level].tables.filter { hull.overlaps($0.metadata) }
      guard below.count < Self.maxInputs, below.allSatisfy({ !isHeld($0) }) else { continue }
      let own = Double(table.metadata.fileSize) + Double(table.metadata.deletionCount + table.metadata.rangeDeletionCount) * 64
      let ratio = Double(below.reduce(0) { $0 + $1.metadata.fileSize }) / max(1, own)
      if best.map({ ratio < $0.ratio }) ?? true { best = (ratio, table, below) }
    }
    guard let best else { return nil }
    return plan([best.table], best.below, level + 1, "level \(level)")
  }

  private func plan(_ upper: [TableHandle], _ lower: [TableHandle], _ level: Int, _ reason: String) -> Compaction {
    let isAlone =
      lower.isEmpty
      && !upper.indices.contains { index in
        upper[..<index].contains { Levels.overlap($0.metadata, upper[index].metadata) }
      }
    let inputs = upper.sorted { Levels.isOlder($1.metadata, $0.metadata) } + lower
    return Compaction(keyspace: keyspace, kind: isAlone ? .move : .merge, inputs: inputs, outputLevel: level, reason: reason)
  }

  /// Runs of like size that follow each other in age, merged into one; all live in level 0, except what a full compaction left below.
  private func tiered() -> Compaction? {
    let runs = levels.subLevels
    guard runs.count >= options.levelZeroTrigger else { return nil }
    var start = 0
    while start < runs.count {
      var end = start
      var bytes: UInt64 = 0
      while end < runs.count, !runs[end].tables.contains(where: isHeld), fits(runs[end].bytes, bytes, end - start) {
        bytes += runs[end].bytes
        end += 1
      }
      if end - start >= options.levelZeroTrigger, let plan = tiered(Array(runs[start..<min(end, start + 32)].flatMap(\.tables))) { return plan }
      start = max(end, start + 1)
    }
    return nil
  }

  /// The chosen tables and all whose age lies between theirs. The output counts as old as its newest entry: a table left out between them would
  /// lose its place in the order.
  private func tiered(_ chosen: [TableHandle]) -> Compaction? {
    let places = levels.levelZero.indices.filter { index in chosen.contains { $0 === levels.levelZero[index] } }
    guard let first = places.first, let last = places.last else { return nil }
    let slice = levels.levelZero[first...last]
    guard slice.allSatisfy({ !isHeld($0) }) else { return nil }
    return Compaction(keyspace: keyspace, kind: .merge, inputs: slice.reversed(), outputLevel: 0, reason: "runs of like size")
  }

  private func fits(_ bytes: UInt64, _ sum: UInt64, _ count: Int) -> Bool {
    if count == 0 || bytes < 1 << 20 && sum / UInt64(count) < 1 << 20 { return true }
    let mean = Double(sum) / Double(count)
    return Double(bytes) >= mean * 0.5 && Double(bytes) <= mean * 1.5
  }
}

extension TableError {
  /// The file the error is about, where it is about one's content.
  var path: FilePath? {
    switch self {
    case .corruptBlock(let path, _, _, _), .notATable(let path, _), .truncated(let path, _, _), .foreignTable(let path, _): path
    default: nil
    }
  }
}
