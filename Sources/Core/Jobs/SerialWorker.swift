/// A thread that does pieces of work one after another: for what may take long and must keep its order.
///
/// The queue has no bound of its own; whoever adds to it bounds what it adds. Safe from any thread.
package final class SerialWorker: Sendable {
  private struct State {
    var work: [@Sendable () -> Void] = []
    var isStopping = false
  }

  private let monitor: Monitor<State>
  private let worker: Worker

  /// A thread without work; `name` is shown by debuggers.
  package init(name: String) {
    let monitor = Monitor(State())
    self.monitor = monitor
    worker = Worker(name: name) { Self.run(monitor) }
  }

  deinit { stop() }

  /// Does `body` after all that was added before. Says whether it will: not after ``finish()``.
  package func add(_ body: @escaping @Sendable () -> Void) -> Bool {
    let isTaken = monitor.withLock { state in
      if !state.isStopping { state.work.append(body) }
      return !state.isStopping
    }
    monitor.signal()
    return isTaken
  }

  /// Takes nothing more and waits until all that was added is done. Not to be called by the work itself.
  package func finish() {
    stop()
    worker.join()
  }

  private func stop() {
    monitor.withLock { $0.isStopping = true }
    monitor.broadcast()
  }

  private static func run(_ monitor: Monitor<State>) {
    while true {
      let work = monitor.wait(choosing: { state -> Waiting<[@Sendable () -> Void]> in
        if state.work.isEmpty, !state.isStopping { return .wait(on: 0) }
        defer { state.work = [] }
        return .done(state.work)
      })
      if work.isEmpty { return }
      for body in work { body() }
    }
  }
}
