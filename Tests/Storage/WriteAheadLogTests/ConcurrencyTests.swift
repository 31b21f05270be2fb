import StrataDisk
import StrataJobs
import StrataRequirements
import StrataSimulation
import Synchronization
import Testing

@testable import StrataWriteAheadLog

/// Many threads on one log; also what the thread sanitizer is run on.
@Suite struct WALConcurrencyTests {
  let directory = TemporaryDirectory()

  private func open(_ change: (inout WALOptions) -> Void = { _ in }) throws -> WriteAheadLog {
    try WriteAheadLog.open(
      directory.path,
      options: .small { options in
        options.usesThread = true
        change(&options)
      }
    ).log
  }

  private func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) throws -> Void) -> [any Error] {
    let failures = Monitor<[any Error]>([])
    let workers = (0..<count).map { index in
      Worker(name: "writer") { do { try body(index) } catch { failures.withLock { $0.append(error) } } }
    }
    for worker in workers { worker.join() }
    return failures.withLock { $0 }
  }

  @Test(.requirement("WriteAheadLog.never.13"), arguments: [Durability.everyWrite, .none])
  func followersMissNothingBesideAWriter(mode: Durability) async throws {
    let total = UInt64(2000 * testDepth)
    let log = try open { $0.durability = mode }
    let writer = Worker(name: "writer") {
      do {
        for number in 1...total {
          // Checkpoints take sequences that followers never see.
          if number % 50 == 0 { try log.checkpoint() } else { try log.append(record(number, count: Int(number % 900))) }
        }
        try log.sync()
      } catch { Issue.record("\(error)") }
    }
    try await withThrowingTaskGroup(of: UInt64.self) { group in
      for follower in 0..<8 {
        group.addTask {
          var expected: UInt64 = 1
          for try await entry in log.follow() {
            #expect(entry.sequence == expected, "follower \(follower)")
            #expect(entry.content == .operation(record(expected, count: Int(expected % 900))), "follower \(follower)")
            expected = entry.sequence + (entry.sequence % 50 == 49 ? 2 : 1)
            if entry.sequence >= total - 1 { break }
          }
          return expected
        }
      }
      for try await end in group { #expect(end >= total) }
    }
    writer.join()
    try closed(log)
  }

  /// The blocking close, which an asynchronous test would not choose.
  private func closed(_ log: WriteAheadLog) throws { try log.close() }

  @Test func aFollowerEndsWithTheLogAndWithItsTask() async throws {
    let log = try open()
    for number in UInt64(1)...3 { try log.submit(record(number)) }
    let reading = Task { () -> [UInt64] in
      var found: [UInt64] = []
      for try await entry in log.follow() { found.append(entry.sequence) }
      return found
    }
    let cancelled = Task { () -> Int in
      var count = 0
      for try await _ in log.follow(after: 3) { count += 1 }
      return count
    }
    cancelled.cancel()
    #expect(try await cancelled.value == 0)
    try closed(log)
    #expect(try await reading.value == [1, 2, 3])
  }

  @Test(.requirement("WriteAheadLog.never.6"), arguments: [Durability.everyWrite, .batched(count: 20, interval: .milliseconds(1)), .none])
  func manyWritersTruncationPinsAndFollowers(mode: Durability) async throws {
    let log = try open { $0.durability = mode }
    let rounds = 40 * testDepth
    let isDone = Atomic<Bool>(false)
    let pin = try log.pin(at: 0, name: "slow", maxBytes: 1 << 30)
    let truncating = Worker(name: "truncating") {
      do { while !isDone.load(ordering: .acquiring) { try log.truncate(upTo: log.durableSequence) } } catch { Issue.record("\(error)") }
    }
    let truncatingToo = Worker(name: "truncating") {
      do { while !isDone.load(ordering: .acquiring) { try log.truncate(upTo: log.durableSequence / 2) } } catch { Issue.record("\(error)") }
    }
    let following = Task {
      var last: UInt64 = 0
      for try await entry in try pin.follow() {
        guard entry.sequence == last + 1 else { throw WALError.missingSegment(entry.segment, sequence: last + 1) }
        last = entry.sequence
      }
      return last
    }
    let unpinned = Task {
      do { for try await _ in log.follow() {} } catch WALError.sequenceTruncated {}
    }
    let failures = onThreads(64) { index in
      var last: UInt64 = 0
      for round in 0..<rounds {
        let range =
          (index + round) % 7 == 0
          ? try log.append(batch: [record(1), record(2, count: 300)]) ?? 0...0 : { $0...$0 }(try log.append(record(3, count: 200)))
        #expect(range.lowerBound > last)
        last = range.upperBound
      }
    }
    #expect(failures.isEmpty, "\(failures)")
    isDone.store(true, ordering: .releasing)
    truncating.join()
    truncatingToo.join()
    let last = log.lastSequence
    try closed(log)
    #expect(try await following.value == last)
    try await unpinned.value
    let (reopened, report) = try WriteAheadLog.open(directory.path, options: .small())
    #expect(reopened.lastSequence == last && report.wasClosed)
    try closed(reopened)
  }

  /// A record longer than a segment asks for more of the next one than is prepared, while others end the active one.
  @Test func recordsLongerThanASegmentBesideShortOnes() throws {
    let log = try open { $0.durability = .none }
    let rounds = 100 * testDepth
    let failures = onThreads(4) { index in
      for round in 0..<rounds { try log.append(record(UInt64(index), count: index == 0 ? 70_000 + 3000 * (round % 40) : 34_000)) }
    }
    #expect(failures.isEmpty, "\(failures)")
    let last = log.lastSequence
    #expect(last == UInt64(4 * rounds))
    #expect(try log.sequences() == Array(1...last))
    try closed(log)
    let (reopened, report) = try WriteAheadLog.open(directory.path, options: .small())
    #expect(reopened.lastSequence == last && report.wasClosed)
    #expect(try reopened.sequences() == Array(1...last))
    try closed(reopened)
  }

  @Test func closingBesideSubmittersLeavesAnOrderlyLog() throws {
    for round in 0..<20 * testDepth {
      let directory = TemporaryDirectory()
      let log = try WriteAheadLog.open(directory.path, options: .small { $0.usesThread = round % 2 == 0 }).log
      let started = Atomic<Int>(0)
      let taken = Monitor<UInt64>(0)
      let failures = onThreads(4) { index in
        started.add(1, ordering: .acquiringAndReleasing)
        if index == 0 {
          while started.load(ordering: .acquiring) < 4 || log.lastSequence < 20 {}
          try log.close()
          return
        }
        do {
          while true {
            let sequence = try log.submit(record(7, count: 50))
            taken.withLock { $0 = max($0, sequence) }
          }
        } catch WALError.closed {}
      }
      #expect(failures.isEmpty, "\(failures)")
      let (reopened, report) = try WriteAheadLog.open(directory.path, options: .small())
      #expect(reopened.lastSequence == taken.withLock { $0 } && report.wasClosed)
      #expect(try reopened.sequences() == Array(1...reopened.lastSequence))
      try reopened.close()
    }
  }

  @Test func asynchronousAppendsAreAcknowledgedInTheirMode() async throws {
    for mode in [Durability.everyWrite, .batched(count: 10, interval: .milliseconds(1)), .none] {
      let directory = TemporaryDirectory()
      let log = try WriteAheadLog.open(
        directory.path,
        options: .small { options in
          options.usesThread = true
          options.durability = mode
        }
      ).log
      try await withThrowingTaskGroup(of: Void.self) { group in
        for task in 0..<16 {
          group.addTask {
            for round in 0..<20 {
              let sequence = try await log.append(record(1, count: task * 100))
              if mode == .everyWrite { #expect(log.durableSequence >= sequence) }
              if round % 10 == 9 {
                let range = try #require(try await log.append(batch: [record(1), record(2)]))
                #expect(log.durableSequence >= range.upperBound)
              }
            }
          }
        }
        try await group.waitForAll()
      }
      try await log.sync()
      #expect(log.durableSequence == 16 * 24 && log.lastSequence == 16 * 24)
      try closed(log)
    }
  }
}
