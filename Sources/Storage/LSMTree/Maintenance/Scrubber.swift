import StrataJobs
import StrataSSTable
import Synchronization

/// Reads the tables again and again at a low rate, on a thread of its own, so that damage shows while there may still be another copy to repair from.
final class Scrubber: Sendable {
  private struct State {
    var isStopped = false
    var worker: Worker?
  }

  /// Between the ends of two passes at least; a store without tables would otherwise be passed over without rest.
  private static let restNanoseconds: Int64 = 1_000_000_000
  private let state = Monitor(State())

  /// Begins passes that read about so many bytes per second.
  func start(_ core: LSMCore, bytesPerSecond: Int) {
    state.withLock { state in
      guard !state.isStopped, state.worker == nil else { return }
      state.worker = Worker(name: "lsm-scrub") { self.run(core, max(1, bytesPerSecond)) }
    }
  }

  /// Ends the thread; a table that is being read is read to its end.
  func stop() {
    let worker = state.withLock { state in
      state.isStopped = true
      defer { state.worker = nil }
      return state.worker
    }
    state.broadcast()
    worker?.join()
  }

  private var isStopped: Bool { state.withLock { $0.isStopped } }

  /// Lets time pass, less where the thread is to end.
  private func rest(_ nanoseconds: Int64) { _ = state.wait(timeout: .nanoseconds(nanoseconds)) { $0.isStopped ? () : nil } }

  private func run(_ core: LSMCore, _ rate: Int) {
    while !isStopped {
      for (keyspace, id) in core.allKeyspaces.flatMap({ keyspace in keyspace.version.levels.tables.map { (keyspace, $0.metadata.fileID) } }) {
        if isStopped { return }
        // One that a compaction has taken away since is not missed; one that is still there stays while it is read.
        guard let table = keyspace.version.levels.tables.first(where: { $0.metadata.fileID == id }) else { continue }
        scrub(table, keyspace, core, rate)
      }
      rest(Self.restNanoseconds)
    }
  }

  private func scrub(_ table: TableHandle, _ keyspace: Keyspace, _ core: LSMCore, _ rate: Int) {
    let found: TableVerification
    do throws(TableError) {
      found = try table.reader.verify { bytes in rest(Int64(Double(bytes) / Double(rate) * 1e9)) }
    } catch {
      // The device's own error: readers meet it too, and the table may be sound.
      core.events.send(.jobFailed(what: "scrub of table \(table.metadata.fileID)", error: "\(error)"))
      return
    }
    core.counters.scrubbed(found)
    core.judge(table, keyspace, found)
  }
}
