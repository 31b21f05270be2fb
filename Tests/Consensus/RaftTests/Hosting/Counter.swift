import StrataHost
import StrataJobs

/// Counts the ends of requests.
final class Counter: Sendable {
  private let state = Monitor((ends: 0, failures: 0))

  func add<R>(_ result: Result<R, HostError>) {
    state.withLock { state in
      state.ends += 1
      if case .failure = result { state.failures += 1 }
    }
    state.broadcast()
  }

  func wait(for count: Int) { _ = state.wait(until: { $0.ends >= count ? true : nil }) }

  var failures: Int { state.withLock { $0.failures } }
}
