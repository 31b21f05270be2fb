import StrataJobs
import StrataWriteAheadLog
import Synchronization

/// Waits for room in the place of writers that may not wait: a thread of its own, started when the first one asks.
final class RoomKeeper: Sendable {
  struct Request {
    var bytes: Int
    var run: @Sendable (LSMError?) -> Void
  }

  private struct State {
    var requests: [Request] = []
    var worker: Worker?
    var isStopped = false
  }

  /// What one request may be granted under slowed writes: one that wants more asks again.
  private static let maxCredit = 1 << 20
  private let state = Monitor(State())
  /// Bytes that may be written though writes are slowed, because the delay for them has passed.
  private let credit = Atomic<Int>(0)
  /// A write that may not wait found its memtables full; cleared when they no longer are.
  let isMemtableFull = Atomic<Bool>(false)

  var hasCredit: Bool { credit.load(ordering: .relaxed) > 0 }

  /// Pays for a write of `bytes` from what was granted; the last one may pay with what is left.
  func takeCredit(_ bytes: Int) -> Bool {
    guard hasCredit else { return false }
    _ = credit.subtract(bytes, ordering: .relaxed)
    return true
  }

  func grantCredit(_ bytes: Int) { credit.store(min(max(bytes, 1), Self.maxCredit), ordering: .relaxed) }

  /// Has `serve` make the room and then calls back.
  func ask(_ request: Request, serve: @escaping @Sendable (Int) -> LSMError?) {
    let isRefused = state.withLock { state in
      if state.isStopped { return true }
      state.requests.append(request)
      if state.worker == nil { state.worker = Worker(name: "lsm-room") { self.run(serve) } }
      return false
    }
    if isRefused { return request.run(.closed) }
    state.signal()
  }

  private func run(_ serve: (Int) -> LSMError?) {
    while true {
      let requests = state.wait { state -> [Request]? in
        if state.isStopped { return [] }
        guard !state.requests.isEmpty else { return nil }
        defer { state.requests = [] }
        return state.requests
      }
      guard let requests, !requests.isEmpty else { return }
      // Who asks for the most is served for all: room for it is room for each.
      let error = serve(requests.map(\.bytes).max() ?? 0)
      for request in requests { request.run(error) }
    }
  }

  /// Refuses those who wait and ends the thread.
  func stop() {
    let (worker, requests) = state.withLock { state in
      state.isStopped = true
      defer { (state.worker, state.requests) = (nil, []) }
      return (state.worker, state.requests)
    }
    state.broadcast()
    worker?.join()
    for request in requests { request.run(.closed) }
  }
}

extension LSMCore {
  /// Whether a submission of modest size would be taken.
  var hasRoom: Bool {
    let word = pressureWord.load(ordering: .relaxed)
    guard word == 0 || (!isStopping(word) && room.hasCredit) else { return false }
    return !room.isMemtableFull.load(ordering: .relaxed) && log.hasRoom
  }

  func whenRoom(forBytes bytes: Int, _ body: @escaping @Sendable (LSMError?) -> Void) {
    if scheduler.isManual { return body(makeRoom(bytes)) }
    room.ask(RoomKeeper.Request(bytes: bytes, run: body)) { [self] bytes in makeRoom(bytes) }
  }

  /// Returns when a write of `bytes` would be taken, or with what keeps it from that.
  private func makeRoom(_ bytes: Int) -> LSMError? {
    do throws(LSMError) {
      var hasTried = false
      while true {
        let seen = scheduler.progress
        if isClosed.load(ordering: .acquiring) { throw .closed }
        try commit.withLock { (state) throws(LSMError) in try state.checkOpen() }
        let word = pressureWord.load(ordering: .acquiring)
        if isStopping(word) {
          if work.withLock({ $0.isOutOfSpace }) { try tryForSpace(again: &hasTried) } else { scheduler.wait(after: seen) }
          continue
        }
        if word != 0 { pace(word, bytes) }
        if room.isMemtableFull.exchange(false, ordering: .acquiringAndReleasing) {
          if let full = allKeyspaces.first(where: isFull) {
            room.isMemtableFull.store(true, ordering: .releasing)
            try waitForMemtable(full)
            continue
          }
          try waitForMemory(bytes > options.memtableBytes / 2 ? Memtable.arenaBytes(forEntries: bytes) : 0)
        }
        // Not only where `log.hasRoom` says no: a segment that takes a modest record may be too short for this one.
        do throws(WALError) { try log.makeRoom(forPayload: bytes) } catch { throw LSMError(error) }
        return nil
      }
    } catch { return error }
  }

  private func isFull(_ keyspace: Keyspace) -> Bool { sealedCount(keyspace) >= options.maxSealedMemtables }

  /// Lets the time pass that a write of `bytes` costs while writes are slowed, and grants them.
  private func pace(_ word: UInt64, _ bytes: Int) {
    let began = MonotonicClock.now()
    let delay = min(50_000_000, delayNanoseconds(word, bytes))
    _ = commit.wait(timeout: .nanoseconds(Int64(delay))) { _ -> Void? in nil }
    counters.stalled(MonotonicClock.now() &- began)
    room.grantCredit(bytes)
  }
}
