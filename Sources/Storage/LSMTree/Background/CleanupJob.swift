import StrataDisk
import StrataWriteAheadLog

/// Removes tables that nobody needs any more, and lets go of the log that tables hold.
/// Safe to share between threads because a job is stepped by one runner at a time.
final class CleanupJob: LSMJob, @unchecked Sendable {
  let lane = Scheduler.Lane.flush
  private let core: LSMCore
  private var files: [UInt64]
  private let log: UInt64?

  init(_ core: LSMCore, files: [UInt64], log: UInt64?) {
    self.core = core
    self.files = files
    self.log = log
  }

  func advance(budget: Int) -> LSMJobStep {
    // After a manifest that may or may not have taken an edit, every file may still be needed.
    guard core.manifest.failure == nil else { return .done }
    if let file = files.popLast() {
      core.remove(table: file)
      return files.isEmpty && log == nil ? .done : .progress(bytes: 0)
    }
    if let log {
      do throws(WALError) { try core.log.truncate(upTo: log) } catch {
        core.jobFailed(LSMError(error), "truncation of the log")
        return .failed(isNoSpace: false)
      }
    }
    return .done
  }

  func abandon() {}
}
