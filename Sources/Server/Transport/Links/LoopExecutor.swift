import NIOCore
import StrataHost
import StrataJobs

/// Lets a host have its turns on an event loop of the transport: what a connection brings is given to its node in the same turn of the loop, and what
/// the node sends is written in it.
// `turn` and `timer` are touched on the loop alone.
final class LoopExecutor: HostExecutor, @unchecked Sendable {
  private let loop: any EventLoop
  private var turn: (@Sendable () -> UInt64?)?
  private var timer: (at: UInt64, task: Scheduled<Void>)?

  init(_ loop: any EventLoop) { self.loop = loop }

  func begin(_ turn: @escaping @Sendable () -> UInt64?) {
    loop.execute {
      self.turn = turn
      self.run()
    }
  }

  func wake() { loop.execute { self.run() } }

  private func run() {
    guard let turn else { return }
    guard let next = turn() else {
      self.turn = nil
      timer?.task.cancel()
      timer = nil
      return
    }
    guard next != .max else { return }
    let now = MonotonicClock.now()
    // What is due at once lets the connections have their turn first.
    guard next > now else { return wake() }
    if let timer, timer.at <= next, timer.at > now { return }
    timer?.task.cancel()
    let task = loop.scheduleTask(in: .nanoseconds(Int64(clamping: next - now))) {
      self.timer = nil
      self.run()
    }
    timer = (next, task)
  }
}
