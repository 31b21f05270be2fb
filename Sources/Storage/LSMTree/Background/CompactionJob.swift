import StrataJobs
import StrataSSTable
import Synchronization

/// What a compaction is to do.
struct Compaction: Sendable {
  enum Kind: Sendable, Hashable {
    case merge
    /// The tables go a level down as they are.
    case move
    /// The tables hold nothing anybody can see.
    case drop
  }

  var keyspace: Keyspace
  var kind: Kind
  /// Newest first where they overlap.
  var inputs: [TableHandle]
  var outputLevel: Int
  /// The keys that go to the level below that one instead.
  var descent: Descent?
  var reason: String
  /// Whether tables that are dropped hold what a snapshot could see: then they stay where one has come up.
  var sparesSnapshots = false

  /// Every level it writes to.
  var outputLevels: [Int] { [outputLevel] + (descent.map { [$0.level] } ?? []) }
}

/// Merges tables of a keyspace into tables of one level, or of two: one edit adds the outputs and removes the inputs, so that a crash leaves either.
///
/// It is cut into parts by keys where it is large and where keys go to another level than those before. Where threads run jobs, as many as the
/// options allow merge parts beside each other; where the caller steps them, the parts take turns.
/// Safe to share between threads because a job is stepped by one runner at a time.
final class CompactionJob: LSMJob, @unchecked Sendable {
  let lane = Scheduler.Lane.compaction
  private let core: LSMCore
  private let plan: Compaction
  private var parts: [CompactionPart] = []
  /// Threads that merge all parts but the first.
  private var helpers: [Worker] = []
  /// Tells the helpers that there is no use in going on, or the runner that a helper's part has failed.
  private let isOver = Atomic<Bool>(false)
  /// The part whose turn it is, where there are no helpers.
  private var turn = 0
  private var hasBegun = false
  private let began = MonotonicClock.now()

  private static let stepBytes = 256 << 10

  init(_ core: LSMCore, _ plan: Compaction) {
    self.core = core
    self.plan = plan
  }

  func advance(budget: Int) -> LSMJobStep {
    do throws(LSMError) {
      return try step(budget)
    } catch {
      abandonParts()
      core.compactionFailed(error, plan)
      return .failed(isNoSpace: error.isNoSpace)
    }
  }

  func abandon() {
    abandonParts()
    core.endCompaction(plan)
  }

  private func abandonParts() {
    joinHelpers(isOver: true)
    for part in parts where !part.isDone { part.abandon() }
    core.discard(parts.flatMap(\.outputs))
    parts = []
  }

  private func step(_ budget: Int) throws(LSMError) -> LSMJobStep {
    if plan.kind != .merge {
      try install([], moves: plan.kind == .move)
      return .done
    }
    if !hasBegun {
      hasBegun = true
      parts = try begin()
      startHelpers()
      return .progress(bytes: 0)
    }
    if let bytes = mergeOn(budget) { return .progress(bytes: bytes) }
    joinHelpers(isOver: false)
    if let failure = parts.lazy.compactMap(\.failure).first { throw LSMError(failure) }
    // Helpers that ended without are those of a store that is being closed: the runner is about to abandon this job.
    guard parts.allSatisfy(\.isDone) else { return .progress(bytes: 0) }
    let outputs = parts.flatMap(\.outputs)
    let took = MonotonicClock.now() &- began
    core.latencies.compaction.record(took)
    core.counters.add(
      FinishedMerge(parts.map(\.report), outputs, isFlush: false, isDescent: plan.descent != nil, nanoseconds: took))
    try install(outputs, moves: false)
    parts = []
    return .done
  }

  // MARK: Merging

  /// Merges a little of what this runner has to; `nil` where nothing of that is left or a part has failed.
  private func mergeOn(_ budget: Int) -> Int? {
    if isOver.load(ordering: .acquiring) { return nil }
    if !core.scheduler.isManual { return next(of: 0).map { merge($0, budget) } }
    for _ in parts.indices {
      turn = (turn + 1) % parts.count
      if !parts[turn].hasEnded { return merge(parts[turn], budget) }
    }
    return nil
  }

  private func merge(_ part: CompactionPart, _ budget: Int) -> Int {
    let bytes = part.step(budget)
    if part.failure != nil { isOver.store(true, ordering: .releasing) }
    return bytes
  }

  /// How many merge beside each other, this runner included.
  private var lanes: Int { min(parts.count, max(1, core.options.maxSubCompactions)) }

  /// What of its share a lane has still to merge: every so many-th part, one after another.
  private func next(of lane: Int) -> CompactionPart? {
    stride(from: lane, to: parts.count, by: lanes).lazy.map { self.parts[$0] }.first { !$0.hasEnded }
  }

  private func startHelpers() {
    guard !core.scheduler.isManual else { return }
    let scheduler = core.scheduler
    helpers = (1..<max(1, lanes)).map { lane in
      Worker(name: "lsm-part-\(lane)") { [self] in
        while !isOver.load(ordering: .acquiring), !scheduler.isStopping, let part = next(of: lane) { scheduler.pay(for: merge(part, Self.stepBytes)) }
      }
    }
  }

  private func joinHelpers(isOver over: Bool) {
    if over { isOver.store(true, ordering: .releasing) }
    for helper in helpers { helper.join() }
    helpers = []
  }

  private func begin() throws(LSMError) -> [CompactionPart] {
    let base = plan.keyspace.version.levels.tables
    let inputs = Set(plan.inputs.map(\.metadata.fileID))
    var others = base.map(\.metadata)
    others.removeAll { inputs.contains($0.fileID) }
    // One for all parts, made after the inputs are fixed.
    let policy = core.garbagePolicy(plan.keyspace, others: others)
    let ranges = RangeTombstones(plan.inputs.flatMap { $0.reader.rangeTombstones.deletions })
    do throws(TableError) {
      // Tables of level 0 are runs: one of several tables would count as several.
      let most = plan.outputLevel > 0 ? core.options.maxSubCompactions : 1
      var cuts = try CompactionCuts.keys(plan.inputs, parts: most, leastBytes: plan.keyspace.options.targetTableBytes)
      for edge in [plan.descent?.bounds.from, plan.descent?.bounds.to] {
        if let edge, !cuts.contains(edge) { cuts.append(edge) }
      }
      cuts.sort { order($0, $1) < 0 }
      var parts: [CompactionPart] = []
      for index in 0...cuts.count {
        let bounds = KeyBounds(from: index == 0 ? nil : cuts[index - 1], to: index == cuts.count ? nil : cuts[index])
        parts.append(CompactionPart(try merge(bounds, ranges, policy)))
      }
      return parts
    } catch { throw LSMError(error) }
  }

  private func merge(_ bounds: KeyBounds, _ ranges: RangeTombstones, _ policy: GarbagePolicy) throws(TableError) -> TableMerge {
    let level = plan.descent.flatMap { $0.covers(bounds) ? $0.level : nil } ?? plan.outputLevel
    var output = core.output(plan.keyspace, level: UInt8(level))
    output.options.newestTime = plan.inputs.map(\.metadata.newestTime).max()
    output.grandparents = policy.others.filter { Int($0.level) == level + 1 && Levels.overlaps($0, bounds) }.sorted { $0.smallest < $1.smallest }
    var cursors: [Cursor] = plan.inputs.filter { Levels.overlaps($0.metadata, bounds) }.map { $0.reader.cursor(fillCache: false) }
    var ranges = ranges
    if bounds.from != nil || bounds.to != nil {
      cursors = [BoundedCursor(MergingCursor(cursors), from: bounds.from, to: bounds.to)]
      ranges = ranges.clipped(from: bounds.from, to: bounds.to)
    }
    return try TableMerge(cursors, ranges: ranges, to: output, policy, on: core.fileSystem)
  }

  // MARK: The end

  private func install(_ outputs: [TableMetadata], moves: Bool) throws(LSMError) {
    var handles: [TableHandle] = []
    if moves {
      for input in plan.inputs {
        var metadata = input.metadata
        metadata.level = UInt8(plan.outputLevel)
        handles.append(input.moved(metadata))
      }
    } else {
      for table in outputs { handles.append(try core.openTable(table)) }
    }
    var edit = ManifestEdit()
    edit.removed = plan.inputs.map { ManifestEdit.Removal(keyspace: plan.keyspace.id, fileID: $0.metadata.fileID) }
    edit.added = handles.map { (plan.keyspace.id, $0.metadata) }
    edit.nextFile = core.nextFile.load(ordering: .relaxed)
    guard try commit(edit, handles) else { return core.endCompaction(plan) }
    if !moves { for input in plan.inputs { input.markObsolete() } }
    core.endCompaction(plan)
    let inputs = plan.inputs.map(\.metadata.fileID).sorted()
    core.events.send(
      .compacted(
        keyspace: plan.keyspace.name, reason: plan.reason, inputs: inputs, outputs: handles.map(\.metadata.fileID), level: plan.outputLevel))
    core.shapeChanged()
  }

  /// Makes the edit durable and shows it; `false` where it would take from a snapshot what that sees.
  private func commit(_ edit: ManifestEdit, _ handles: [TableHandle]) throws(LSMError) -> Bool {
    let removed = Set(plan.inputs.map(\.metadata.fileID))
    func change() throws(LSMError) {
      try core.manifest.apply(edit)
      plan.keyspace.publish(core.epochs) { shape in
        shape.version = Version(
          active: shape.version.active, sealed: shape.version.sealed, levels: shape.version.levels.replacing(removed, with: handles))
      }
    }
    if plan.sparesSnapshots, let oldest = plan.inputs.map(\.metadata.minSequence).min() {
      // A snapshot made between the edit and its publication would see the tables first and miss them then.
      return try core.snapshots.ifNoneHolds(oldest) { () throws(LSMError) in try change() }
    }
    try change()
    return true
  }
}
