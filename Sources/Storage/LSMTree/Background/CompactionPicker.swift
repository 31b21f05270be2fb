import StrataSSTable

/// Chooses what to compact next by the planners of sorted tables; a function of the tables, what is held and the options, and of nothing else.
struct CompactionPicker {
  let keyspace: Keyspace
  let levels: Levels
  private let strategy: any CompactionStrategy
  let circumstances: Circumstances

  /// What is to be known beside the shape.
  struct Circumstances {
    /// Tables that no plan may touch: inputs of compactions under way, and damaged ones.
    var held: Set<UInt64> = []
    /// Tables whose deletions have cost readers too much.
    var stumbledOver: Set<UInt64> = []
    /// Changes up to this sequence are needed by no snapshot and no history.
    var droppableThrough = UInt64.max
    /// The sequence of the newest snapshot held.
    var newestSnapshot: UInt64?
    /// What came after it is history that must stay readable.
    var historyFloor: UInt64?
    /// Seconds since 1970.
    var now: UInt64 = 0
  }

  /// Why a table that readers stumble over is compacted.
  static let reads = "reads"

  init(_ keyspace: Keyspace, _ levels: Levels, _ options: LSMOptions, _ circumstances: Circumstances) {
    self.keyspace = keyspace
    self.levels = levels
    self.circumstances = circumstances
    strategy = keyspace.options.strategy(levelZeroTrigger: options.levelZeroTrigger, now: circumstances.now)
  }

  func pick() -> Compaction? {
    if let expired { return expired }
    guard let plan = strategy.plan(levels.shape, busy: circumstances.held) else { return stumbledOver }
    let chosen = compaction(plan, reason: plan.reason.rawValue)
    return chosen.kind == .drop ? spared(chosen) : chosen
  }

  /// What of a plan that drops what can be seen may go now: the oldest tables, as far as no snapshot sees any of them and no history needs them.
  private func spared(_ plan: Compaction) -> Compaction? {
    var plan = plan
    let newest = circumstances.newestSnapshot
    let floor = circumstances.historyFloor ?? .max
    let free = plan.inputs.reversed().prefix { table in
      table.metadata.maxSequence <= floor && newest.map { $0 < table.metadata.minSequence } ?? true
    }
    plan.inputs = free.reversed()
    plan.sparesSnapshots = true
    return plan.inputs.isEmpty ? nil : plan
  }

  /// A plan with the tables it means.
  func compaction(_ plan: CompactionPlan, reason: String) -> Compaction {
    let chosen = plan.inputIDs
    let kind: Compaction.Kind =
      switch plan.kind {
      case .merge: .merge
      case .trivialMove: .move
      case .deleteOnly: .drop
      }
    return Compaction(
      keyspace: keyspace, kind: kind, inputs: newestFirst(levels).filter { chosen.contains($0.metadata.fileID) }, outputLevel: plan.outputLevel,
      descent: plan.descent, reason: reason)
  }
}

extension CompactionPicker {
  /// Tables all of whose values have expired go as they are. Where deletions have an owner to be asked, those with some are left to merges.
  private var expired: Compaction? {
    let expired = keyspace.expiredThrough.load(ordering: .acquiring)
    guard expired > 0 else { return nil }
    let inputs = newestFirst(levels).filter { table in
      table.metadata.maxSequence <= expired && !circumstances.held.contains(table.metadata.fileID)
        && (keyspace.options.isPurgeable == nil || table.metadata.deletionCount + table.metadata.rangeDeletionCount == 0)
    }
    if inputs.isEmpty { return nil }
    return Compaction(keyspace: keyspace, kind: .drop, inputs: inputs, outputLevel: 0, reason: "expired")
  }
}

extension Levels {
  /// What planners look at.
  var shape: LSMShape { LSMShape(levels: [levelZero.reversed().map(\.metadata)] + deeper.map { $0.tables.map(\.metadata) }) }
}

extension KeyspaceOptions {
  /// The planner of the keyspace's style.
  func strategy(levelZeroTrigger: Int, now: UInt64) -> any CompactionStrategy {
    switch style {
    case .leveled: return leveled(levelZeroTrigger: levelZeroTrigger)
    case .sizeTiered:
      var strategy = SizeTieredStrategy()
      strategy.minRuns = max(2, levelZeroTrigger)
      return strategy
    // What has outlived its time to live is dropped by marks that no clock set back can undo: see `expired`.
    case .fifo: return FirstInFirstOutStrategy(maxBytes: fifoBytes)
    case .timeWindow:
      var strategy = TimeWindowStrategy(windowSeconds: windowSeconds, now: now)
      strategy.minRuns = max(2, levelZeroTrigger)
      return strategy
    }
  }

  func leveled(levelZeroTrigger: Int) -> LeveledStrategy {
    var strategy = LeveledStrategy()
    strategy.level0Trigger = max(1, levelZeroTrigger)
    strategy.baseLevelBytes = max(1, baseLevelBytes)
    strategy.fanOut = UInt64(max(2, fanOut))
    strategy.targetFileSize = targetTableBytes
    strategy.allowsDescents = true
    return strategy
  }

  /// Bytes of an output table: of every style but the leveled one each run is one table, as it is runs that are counted, merged and dropped.
  var outputTableBytes: UInt64 { style == .leveled ? targetTableBytes : 1 << 50 }

  /// Whether tables are told apart by their age: they stay in level 0, and keep the sequences that say which is older.
  var goesByAge: Bool { style == .fifo || style == .timeWindow }
}
