import StrataSSTable

// A table in which damage was found is marked: reads of its sound blocks go on, no compaction touches it, and the manifest keeps the mark, so that
// the next opening need not find the damage again. Marks are noted in memory at once, by readers too, who must not wait for the disk, and made
// durable by a job. A mark goes with its table, or when the whole table has been read and found sound: its file was restored.

/// Makes durable which tables are marked.
/// Safe to share between threads because a job is stepped by one runner at a time.
final class QuarantineJob: LSMJob, @unchecked Sendable {
  let lane = Scheduler.Lane.flush
  private let core: LSMCore

  init(_ core: LSMCore) { self.core = core }

  func advance(budget: Int) -> LSMJobStep {
    do throws(LSMError) { try core.settleMarks() } catch {
      core.jobFailed(error, "marks of damaged tables")
      return .failed(isNoSpace: error.isNoSpace)
    }
    return .done
  }

  func abandon() {}
}

extension LSMCore {
  /// Marks a table as damaged.
  func quarantine(_ table: TableHandle, _ keyspace: Keyspace, _ error: TableError) {
    let id = table.metadata.fileID
    let isNew = work.withLock { work in
      guard work.quarantined.insert(id).inserted else { return false }
      work.unsettledMarks.insert(id)
      return true
    }
    guard isNew else { return }
    events.send(.quarantined(keyspace: keyspace.name, table: id, error: "\(error)"))
    scheduler.wake()
  }

  /// Marks a table by what reading all of it has found, or takes its mark away.
  func judge(_ table: TableHandle, _ keyspace: Keyspace, _ found: TableVerification) {
    // A filter that is damaged costs reads their speed and nothing else: the table is rewritten like any other.
    if let damage = found.damage.first(where: { $0 != table.reader.filterDamage }) { return quarantine(table, keyspace, damage) }
    let id = table.metadata.fileID
    let wasMarked = work.withLock { work in
      guard work.quarantined.remove(id) != nil else { return false }
      work.unsettledMarks.insert(id)
      return true
    }
    guard wasMarked else { return }
    events.send(.absolved(keyspace: keyspace.name, table: id))
    scheduler.wake()
  }

  func nextQuarantine() -> QuarantineJob? {
    guard manifest.failure == nil, work.withLock({ !$0.unsettledMarks.isEmpty && !$0.isOutOfSpace }) else { return nil }
    return QuarantineJob(self)
  }

  /// Makes every mark durable that is not.
  func settleMarks() throws(LSMError) {
    var edit = ManifestEdit()
    let unsettled = work.withLock { work in
      for id in work.unsettledMarks.sorted() {
        if work.quarantined.contains(id) { edit.quarantined.append(id) } else { edit.absolved.append(id) }
      }
      defer { work.unsettledMarks = [] }
      return work.unsettledMarks
    }
    guard !unsettled.isEmpty else { return }
    do throws(LSMError) { try manifest.apply(edit) } catch {
      work.withLock { $0.unsettledMarks.formUnion(unsettled) }
      throw error
    }
  }

  /// The tables of a version that are marked, in the order of their numbers.
  func quarantined(in levels: Levels) -> [UInt64] {
    let marked = work.withLock { $0.quarantined }
    return marked.isEmpty ? [] : levels.tables.map(\.metadata.fileID).filter(marked.contains).sorted()
  }
}
