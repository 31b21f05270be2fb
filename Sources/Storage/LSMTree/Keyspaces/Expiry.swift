import StrataJobs
import StrataSSTable

// A keyspace's values may have a time to live. No value carries a time: sequences follow time, and marks in the manifest say which sequence was the
// last one written before which moment. What lies at or below the newest mark that is older than the time to live has expired. The present is the
// latest mark's time, and marks are durable before they count: what has expired never comes back, whatever crashes and however clocks are set.

/// Everything up to a sequence was written before a moment.
struct TimeMark: Sendable, Hashable {
  var sequence: UInt64
  /// Milliseconds since 1970.
  var time: UInt64
}

/// Marks in the order of both their sequences and their times, and the moment up to which time has passed.
struct TimeMarks: Sendable {
  private static let limit = 512
  private var marks: [TimeMark] = []
  /// The greatest time of any mark: what counts as the present, whatever clocks say.
  private(set) var now: UInt64 = 0

  /// The greatest sequence of any mark.
  var lastSequence: UInt64 { marks.last?.sequence ?? 0 }
  var isEmpty: Bool { marks.isEmpty }
  var count: Int { marks.count }

  /// Marks that make these of none.
  var all: [TimeMark] {
    guard let last = marks.last, last.time < now else { return marks }
    return marks + [TimeMark(sequence: last.sequence, time: now)]
  }

  /// The last sequence that was written longer ago than `milliseconds`, 0 where none is known to be.
  func expired(after milliseconds: UInt64) -> UInt64 { newest(after: milliseconds).map { marks[$0].sequence } ?? 0 }

  private func newest(after milliseconds: UInt64) -> Int? {
    guard now >= milliseconds else { return nil }
    return marks.lastIndex { $0.time <= now - milliseconds }
  }

  /// Adds a mark, which with the sequence of the last one only says that time has passed; `false` where it is not later. What no time to live needs
  /// any more goes, and of too many every second, but none that something has expired by.
  mutating func add(_ mark: TimeMark, timesToLive: [UInt64]) -> Bool {
    guard mark.sequence >= lastSequence, mark.time >= now, mark.sequence > lastSequence || mark.time > now else { return false }
    if mark.sequence > lastSequence { marks.append(mark) }
    now = mark.time
    let needed = timesToLive.map { newest(after: $0) }
    let first = needed.contains(nil) ? 0 : needed.compactMap { $0 }.min() ?? 0
    let thins = marks.count - first > Self.limit
    let last = marks.count - 1
    guard first > 0 || thins else { return true }
    marks = marks.indices.filter { $0 >= first && (!thins || $0 % 2 == 0 || $0 == last || needed.contains($0)) }.map { marks[$0] }
    return true
  }
}

/// Makes a mark durable.
/// Safe to share between threads because a job is stepped by one runner at a time.
final class TimeMarkJob: LSMJob, @unchecked Sendable {
  let lane = Scheduler.Lane.flush
  private let core: LSMCore
  private let mark: TimeMark

  init(_ core: LSMCore, _ mark: TimeMark) {
    self.core = core
    self.mark = mark
  }

  func advance(budget: Int) -> LSMJobStep {
    var edit = ManifestEdit()
    edit.timeMarks = [mark]
    do throws(LSMError) { try core.manifest.apply(edit) } catch {
      core.jobFailed(error, "mark of the time")
      return .failed(isNoSpace: error.isNoSpace)
    }
    core.advanceExpiry()
    return .done
  }

  func abandon() {}
}

extension LSMCore {
  /// The mark that is due: one for every thirty-second part of the shortest time to live, not more than one a second, as long as there is something
  /// that has not expired.
  func nextTimeMark() -> TimeMarkJob? {
    let shortest = allKeyspaces.lazy.map(\.options.timeToLiveMilliseconds).filter { $0 > 0 }.min()
    guard let shortest, manifest.failure == nil, !work.withLock({ $0.isOutOfSpace }) else { return nil }
    // The sequence first, the time second: what is written between them only counts as younger than it is.
    let visible = ring.visible
    let marks = manifest.state.timeMarks
    let now = max(options.clock(), marks.now)
    let isLasting = allKeyspaces.contains { keyspace in
      keyspace.options.timeToLiveMilliseconds > 0 && keyspace.expiredThrough.load(ordering: .relaxed) < marks.lastSequence
    }
    guard visible > marks.lastSequence || (isLasting && now > marks.now), marks.isEmpty || now - marks.now >= max(1000, shortest / 32) else {
      return nil
    }
    return TimeMarkJob(self, TimeMark(sequence: visible, time: now))
  }

  /// Lets expire what has become old enough.
  func advanceExpiry() {
    let marks = manifest.state.timeMarks
    for keyspace in allKeyspaces where keyspace.options.timeToLiveMilliseconds > 0 {
      let expired = marks.expired(after: keyspace.options.timeToLiveMilliseconds)
      let before = keyspace.expiredThrough.max(expired, ordering: .acquiringAndReleasing).oldValue
      if expired > before { scheduler.wake() }
    }
  }
}

extension KeyspaceOptions {
  /// The time to live, 0 for none.
  var timeToLiveMilliseconds: UInt64 {
    guard let timeToLive, timeToLive > .zero else { return 0 }
    let (seconds, fraction) = timeToLive.components
    guard seconds < 1 << 50 else { return 1 << 60 }
    return max(1, UInt64(seconds) * 1000 + UInt64(fraction / 1_000_000_000_000_000))
  }

  /// The length of a window, 0 where it is less than a second.
  var windowSeconds: UInt64 { UInt64(clamping: windowLength.components.seconds) }

  /// What bounds a style that has a bound: bytes or seconds.
  var styleLimit: UInt64 {
    switch style {
    case .leveled, .sizeTiered: 0
    case .fifo: fifoBytes
    case .timeWindow: windowSeconds
    }
  }

  /// - Throws: `.incompatible` where the options contradict each other.
  func check() throws(LSMError) {
    // What operands make of a key would depend on which of them were folded before their time was over.
    if style == .fifo, mergeOperator != nil { throw .incompatible("a keyspace of the style fifo has no merge operator: old operands go first") }
    if style == .fifo, fifoBytes == 0 { throw .incompatible("a keyspace of the style fifo keeps at least one byte") }
    if style == .timeWindow, windowSeconds == 0 { throw .incompatible("a window of time is at least a second long") }
    if timeToLive != nil, mergeOperator != nil { throw .incompatible("a keyspace has either a time to live or a merge operator") }
  }
}
