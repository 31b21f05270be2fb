import StrataJobs
import StrataSSTable
import StrataWriteAheadLog

/// Writes the sealed memtables of a keyspace as level-0 tables.
///
/// In order: writers drained and their sequences visible; tables written, synced and named; log durable as far as the tables reach; one
/// manifest edit; the version with the tables in place of the memtables; only then does the log let go.
/// Safe to share between threads because a job is stepped by one runner at a time.
final class FlushJob: LSMJob, @unchecked Sendable {
  let lane = Scheduler.Lane.flush
  private let core: LSMCore
  private let keyspace: Keyspace
  private let sealed: [SealedMemtable]
  private var merge: TableMerge?
  private let began = MonotonicClock.now()
  private var inputBytes = 0

  /// - Parameter sealed: the keyspace's oldest sealed memtables, oldest first.
  init(_ core: LSMCore, _ keyspace: Keyspace, _ sealed: [SealedMemtable]) {
    self.core = core
    self.keyspace = keyspace
    self.sealed = sealed
  }

  func advance(budget: Int) -> LSMJobStep {
    do throws(LSMError) {
      return try step(budget)
    } catch {
      abandonMerge()
      core.jobFailed(error, "flush of keyspace \"\(keyspace.name)\"")
      core.endFlush(keyspace)
      return .failed(isNoSpace: error.isNoSpace)
    }
  }

  func abandon() {
    abandonMerge()
    core.endFlush(keyspace)
  }

  private func abandonMerge() {
    merge?.abandon()
    merge = nil
  }

  private func step(_ budget: Int) throws(LSMError) -> LSMJobStep {
    if merge == nil {
      for memtable in sealed.map(\.memtable) {
        guard memtable.isQuiet else { return .progress(bytes: 0) }
        core.ring.wait(for: memtable.newestSequence)
        inputBytes += memtable.usedBytes
      }
      merge = try begin()
      return .progress(bytes: 0)
    }
    do throws(TableError) {
      if case .progress(let bytes)? = try merge?.step(budget: budget) { return .progress(bytes: bytes) }
    } catch { throw LSMError(error) }
    try install()
    return .done
  }

  private func begin() throws(LSMError) -> TableMerge {
    let newestFirst = sealed.reversed().map(\.memtable)
    let policy = core.garbagePolicy(keyspace, others: keyspace.version.levels.tables.map(\.metadata))
    do throws(TableError) {
      return try TableMerge(
        newestFirst.map { $0.cursor() }, ranges: RangeTombstones(newestFirst.flatMap(\.rangeDeletions)), to: core.output(keyspace, level: 0),
        policy, on: core.fileSystem)
    } catch { throw LSMError(error) }
  }

  private func install() throws(LSMError) {
    let outputs: [TableMetadata]
    do throws(TableError) { outputs = try merge?.finish() ?? [] } catch { throw LSMError(error) }
    let took = MonotonicClock.now() &- began
    core.latencies.flush.record(took)
    if let merge { core.counters.add(FinishedMerge([merge.report], outputs, isFlush: true, nanoseconds: took)) }
    merge = nil
    var handles: [TableHandle] = []
    do throws(LSMError) {
      let through = sealed.last?.throughLog ?? 0
      // Records the tables hold must not be lost from the log: their numbers would be given to others, which a replay would pass over.
      do throws(WALError) { if through > 0 { try core.log.waitDurable(through) } } catch { throw LSMError(error) }
      for table in outputs { handles.append(try core.openTable(table)) }
      var edit = ManifestEdit()
      edit.added = outputs.map { (keyspace.id, $0) }
      edit.flushedLogs = core.flushedLogs(after: keyspace, through: through)
      edit.lastSequence = max(sealed.map(\.memtable.newestSequence).max() ?? 0, outputs.map(\.maxSequence).max() ?? 0)
      edit.nextFile = core.nextFile.load(ordering: .relaxed)
      try core.manifest.apply(edit)
    } catch {
      core.discard(outputs)
      throw error
    }
    let flushed = sealed.count
    keyspace.publish(core.epochs) { shape in
      shape.sealed.removeFirst(flushed)
      shape.version = Version(
        active: shape.version.active, sealed: Array(shape.version.sealed.dropLast(flushed)),
        levels: shape.version.levels.replacing([], with: handles))
    }
    core.endFlush(keyspace)
    core.events.send(.flushed(keyspace: keyspace.name, tables: outputs.map(\.fileID), bytes: outputs.reduce(0) { $0 + $1.fileSize }))
    core.shapeChanged()
  }
}
