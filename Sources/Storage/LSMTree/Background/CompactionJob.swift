import StrataJobs
import StrataSSTable

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
  var reason: String
}

/// Merges tables of a keyspace into tables of one level: one edit adds the outputs and removes the inputs, so that a crash leaves either.
/// Safe to share between threads because a job is stepped by one runner at a time.
final class CompactionJob: LSMJob, @unchecked Sendable {
  let lane = Scheduler.Lane.compaction
  private let core: LSMCore
  private let plan: Compaction
  private var merge: TableMerge?
  private let began = MonotonicClock.now()

  init(_ core: LSMCore, _ plan: Compaction) {
    self.core = core
    self.plan = plan
  }

  func advance(budget: Int) -> LSMJobStep {
    do throws(LSMError) {
      return try step(budget)
    } catch {
      abandonMerge()
      core.compactionFailed(error, plan)
      return .failed(isNoSpace: error.isNoSpace)
    }
  }

  func abandon() {
    abandonMerge()
    core.endCompaction(plan)
  }

  private func abandonMerge() {
    merge?.abandon()
    merge = nil
  }

  private func step(_ budget: Int) throws(LSMError) -> LSMJobStep {
    if plan.kind != .merge {
      try install([], moves: plan.kind == .move)
      return .done
    }
    if merge == nil {
      merge = try begin()
      return .progress(bytes: 0)
    }
    var outputs: [TableMetadata] = []
    do throws(TableError) {
      if case .progress(let bytes)? = try merge?.step(budget: budget) { return .progress(bytes: bytes) }
      outputs = try merge?.finish() ?? []
    } catch { throw LSMError(error) }
    let took = MonotonicClock.now() &- began
    core.latencies.compaction.record(took)
    if let merge { core.counters.add(FinishedMerge(merge.report, outputs, level: plan.outputLevel, isFlush: false, nanoseconds: took)) }
    merge = nil
    do throws(LSMError) { try install(outputs, moves: false) } catch {
      core.discard(outputs)
      throw error
    }
    return .done
  }

  private func begin() throws(LSMError) -> TableMerge {
    let base = plan.keyspace.version.levels.tables
    let inputs = Set(plan.inputs.map(\.metadata.fileID))
    var others = base.map(\.metadata)
    others.removeAll { inputs.contains($0.fileID) }
    var output = core.output(plan.keyspace, level: UInt8(plan.outputLevel))
    output.grandparents = others.filter { Int($0.level) == plan.outputLevel + 1 }.sorted { $0.smallest < $1.smallest }
    do throws(TableError) {
      return try TableMerge(
        plan.inputs.map { $0.reader.cursor(fillCache: false) },
        ranges: RangeTombstones(plan.inputs.flatMap { $0.reader.rangeTombstones.deletions }), to: output,
        core.garbagePolicy(plan.keyspace, others: others), on: core.fileSystem)
    } catch { throw LSMError(error) }
  }

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
    try core.manifest.apply(edit)
    let removed = Set(plan.inputs.map(\.metadata.fileID))
    plan.keyspace.publish(core.epochs) { shape in
      shape.version = Version(
        active: shape.version.active, sealed: shape.version.sealed, levels: shape.version.levels.replacing(removed, with: handles))
    }
    if !moves { for input in plan.inputs { input.markObsolete() } }
    core.endCompaction(plan)
    core.events.send(
      .compacted(
        keyspace: plan.keyspace.name, reason: plan.reason, inputs: removed.sorted(), outputs: handles.map(\.metadata.fileID),
        level: plan.outputLevel))
    core.shapeChanged()
  }
}
