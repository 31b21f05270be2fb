import BenchmarkKit
import StrataFilters

/// The keys of a run and what is asked: number for number those of Peers/filters.cc.
struct Loads: Sendable {
  let hashes: [UInt64]
  /// As many questions, half of them for keys that are there, in random order.
  let probes: [UInt64]

  init(keys: Int, seed: UInt64) {
    let seed = Workload.mix(seed)
    hashes = (0..<UInt64(keys)).map { Workload.mix($0 ^ seed) }
    var random = WorkloadRandom(seed: 2)
    probes = (0..<keys).map { _ in Workload.mix(random.below(2 * UInt64(keys)) ^ seed) }
  }

  /// Adds all keys to new filters until `operations` keys were added; making a filter is not measured where `make` and `fill` are apart.
  func add<Filter>(_ operations: Int, make: () throws -> Filter, fill: (inout Filter, [UInt64]) throws -> Void) throws -> Figures {
    var done = 0
    var time: UInt64 = 0
    while done < operations {
      var filter = try make()
      let begin = nanoseconds()
      try fill(&filter, hashes)
      time += nanoseconds() - begin
      done += hashes.count
      withExtendedLifetime(filter) {}
    }
    return Figures(operations: Double(done), seconds: Double(time) * 1e-9)
  }

  /// Asks one question after the other. Answers are stored and counted afterwards: counting them at once makes a branch of each, which half of the
  /// keys being there makes a guess, and the peer's compiler makes none.
  @inline(__always)
  func probe(_ operations: Int, _ ask: (UInt64) -> Bool) -> Figures {
    var done = 0
    var found = 0
    let begin = nanoseconds()
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 1024) { answers in
      answers.initialize(repeating: 0)
      probes.withUnsafeBufferPointer { probes in
        while done < operations {
          for first in stride(from: 0, to: probes.count - 1023, by: 1024) {
            for index in 0..<1024 { answers[index] = ask(probes[first &+ index]) ? 1 : 0 }
            for answer in answers { found &+= Int(answer) }
          }
          done += probes.count / 1024 * 1024
        }
      }
    }
    let seconds = Double(nanoseconds() - begin) * 1e-9
    return Figures(operations: Double(done), seconds: seconds, extras: ["positives": Double(found) / Double(done)])
  }

  /// Asks `size` questions at a time.
  func batches(of size: Int, _ operations: Int, _ filter: some MembershipFilter) -> Figures {
    var done = 0
    var found = 0
    var answers = BitMask(count: size)
    let begin = nanoseconds()
    while done < operations {
      probes.withUnsafeBufferPointer { probes in
        for first in stride(from: 0, to: probes.count - size + 1, by: size) {
          filter.mayContain(hashes: Span(_unsafeElements: UnsafeBufferPointer(rebasing: probes[first..<first + size])), into: &answers)
          found += answers.setCount
        }
      }
      done += probes.count / size * size
    }
    let seconds = Double(nanoseconds() - begin) * 1e-9
    return Figures(operations: Double(done), seconds: seconds, extras: ["positives": Double(found) / Double(done)])
  }
}
