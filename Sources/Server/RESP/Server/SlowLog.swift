import StrataJobs
import Synchronization

/// The last commands that took long, and the last slow events per kind; both bounded.
final class SlowLog: Sendable {
  struct Entry: Sendable {
    var id: UInt64
    var unixSeconds: UInt64
    var microseconds: UInt64
    var arguments: [[UInt8]]
    var address: String
    var clientName: String
  }

  private struct State {
    var entries: [Entry] = []
    var nextID: UInt64 = 0
  }

  static let maxArguments = 32
  static let maxArgumentBytes = 128

  /// Microseconds from which a command is kept; negative for none. Read on every command.
  let threshold: Atomic<Int>
  let capacity: Atomic<Int>
  private let state = Monitor(State())

  init(threshold: Int, capacity: Int) {
    self.threshold = Atomic(threshold)
    self.capacity = Atomic(capacity)
  }

  func add(_ call: Invocation, microseconds: UInt64, unixSeconds: UInt64, address: String, clientName: String) {
    let arguments = Self.excerpt(call)
    let capacity = capacity.load(ordering: .relaxed)
    state.withLock { state in
      state.entries.append(
        Entry(
          id: state.nextID, unixSeconds: unixSeconds, microseconds: microseconds, arguments: arguments, address: address, clientName: clientName))
      state.nextID += 1
      if state.entries.count > capacity { state.entries.removeFirst(state.entries.count - capacity) }
    }
  }

  /// Long commands are cut the way Redis cuts them: 31 arguments and a note, 128 bytes each and a note.
  private static func excerpt(_ call: Invocation) -> [[UInt8]] {
    let shown = call.count > maxArguments ? maxArguments - 1 : call.count
    var arguments = (0..<shown).map { index -> [UInt8] in
      let argument = call[index]
      guard argument.count > maxArgumentBytes else { return [UInt8](argument) }
      return [UInt8](argument.prefix(maxArgumentBytes)) + Array("... (\(argument.count - maxArgumentBytes) more bytes)".utf8)
    }
    if call.count > shown { arguments.append(Array("... (\(call.count - shown) more arguments)".utf8)) }
    return arguments
  }

  /// The newest `count` entries, newest first.
  func latest(_ count: Int) -> [Entry] { state.withLock { Array($0.entries.suffix(count).reversed()) } }
  var count: Int { state.withLock { $0.entries.count } }
  func reset() { state.withLock { $0.entries = [] } }
}

/// What LATENCY tells: per kind of event, the spikes at or above the threshold.
final class LatencyLog: Sendable {
  struct Sample: Sendable {
    var unixSeconds: UInt64
    var milliseconds: UInt64
  }

  struct Series: Sendable {
    var samples: [Sample] = []
    var worst: UInt64 = 0
  }

  static let maxSamples = 160

  /// Milliseconds; 0 for off.
  let threshold: Atomic<Int>
  private let series = Monitor<[String: Series]>([:])

  init(threshold: Int) { self.threshold = Atomic(threshold) }

  func add(_ event: String, milliseconds: UInt64, unixSeconds: UInt64) {
    let threshold = threshold.load(ordering: .relaxed)
    guard threshold > 0, milliseconds >= UInt64(threshold) else { return }
    series.withLock { all in
      var series = all[event] ?? Series()
      series.worst = max(series.worst, milliseconds)
      // One sample per second, the worst one.
      if let last = series.samples.last, last.unixSeconds == unixSeconds {
        series.samples[series.samples.count - 1].milliseconds = max(last.milliseconds, milliseconds)
      } else {
        series.samples.append(Sample(unixSeconds: unixSeconds, milliseconds: milliseconds))
        if series.samples.count > Self.maxSamples { series.samples.removeFirst() }
      }
      all[event] = series
    }
  }

  func all() -> [(event: String, series: Series)] {
    series.withLock { all in all.sorted { $0.key < $1.key }.map { ($0.key, $0.value) } }
  }

  func history(_ event: String) -> [Sample] { series.withLock { $0[event]?.samples ?? [] } }

  /// Forgets the named series, or all; returns how many.
  func reset(_ events: [String]) -> Int {
    series.withLock { all in
      if events.isEmpty {
        let count = all.count
        all = [:]
        return count
      }
      return events.filter { all.removeValue(forKey: $0) != nil }.count
    }
  }
}
