import Foundation
import Testing

@testable import BenchmarkKit

@Suite struct ReportTests {
  private func measured(_ throughputs: [Double], p99: Double) -> [Figures] {
    throughputs.map { Figures(operations: $0, seconds: 1, latency: Latency(p50: p99 / 2, p99: p99, p999: p99, max: p99)) }
  }

  private func outcome(_ goals: [Goal]) -> Outcome {
    let nothing = { @Sendable (_: Round) in Figures(operations: 0, seconds: 0) }
    let comparison = Comparison("t", unit: "gets", subject: Contender("a", measure: nothing), peers: [Contender("b", measure: nothing)], goals: goals)
    return Outcome(
      comparison: comparison,
      entries: [
        .init(name: "a", measurements: measured([90, 200, 100], p99: 30)), .init(name: "b", measurements: measured([50, 40, 1000], p99: 20)),
      ])
  }

  @Test func goalsAreJudgedByMedians() {
    let goals: [Goal] = [
      .ratio(to: "b", atLeast: 2), .ratio(to: "b", atLeast: 2.1), .throughput(atLeast: 100), .throughput(atLeast: 101),
      .p99(ofPeer: "b", atMost: 1.5), .p99(ofPeer: "b", atMost: 1.4), .seconds(atMost: 1), .seconds(atMost: 0.9),
      .ratio(to: "absent", atLeast: 0), .extra("absent", atMost: 1),
    ]
    let verdicts = goals.map { $0.judge(outcome(goals))?.isMet }
    #expect(verdicts == [true, false, true, false, true, false, true, false, nil, nil])
    let text = outcome(goals).text
    #expect(text.contains("2.00x") && text.contains("pass") && text.contains("MISS") && text.contains("not measured"))
  }

  @Test func percentilesAreExactToAFewPercent() throws {
    var histogram = LatencyRecord()
    for value in UInt64(1)...100_000 { histogram.record(value) }
    let latency = try #require(histogram.latency)
    #expect(abs(latency.p50 / 50_000 - 1) < 0.04 && abs(latency.p99 / 99_000 - 1) < 0.04 && latency.max == 100_000)
    histogram.record(.max)
    #expect(histogram.percentile(1) == .max)
    #expect(LatencyRecord().latency == nil)
  }

  @Test func aPeersLineIsRead() throws {
    let line = "{\"program\":\"x\",\"operations\":10,\"seconds\":2,\"p50_ns\":1,\"p99_ns\":3,\"disk_bytes\":4096,\"checksum\":18446744073709551615}\n"
    let measurement = try #require(Figures(jsonLine: line))
    #expect(measurement.throughput == 5 && measurement.latency?.p99 == 3 && measurement.extras == ["disk_bytes": 4096])
    #expect(Figures(jsonLine: "no json") == nil)
    #expect(Figures(jsonLine: "{\"operations\":1}") == nil)
  }

  @Test func contendersTakeTurnsInCleanDirectories() async throws {
    let base = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    defer { try? FileManager.default.removeItem(at: base) }
    let leaving = { @Sendable (round: Round) in
      let files = try FileManager.default.contentsOfDirectory(atPath: round.directory.path).count
      try Data().write(to: round.directory.appendingPathComponent("file\(round.number)"))
      return Figures(operations: Double(files), seconds: 1)
    }
    let comparison = Comparison(
      "a / b", unit: "files", subject: Contender("fresh", measure: leaving), peers: [Contender("kept", keepsData: true, measure: leaving)], goals: [])
    var order: [String] = []
    let outcome = try await comparison.run(rounds: 3, in: base) { order.append($0) }
    #expect(outcome.entries[0].measurements.map(\.operations) == [0, 0, 0])
    #expect(outcome.entries[1].measurements.map(\.operations) == [0, 1, 2])
    #expect(order.map { $0.contains("fresh") } == [true, false, false, true, true, false])
    #expect(try FileManager.default.contentsOfDirectory(atPath: base.path) == [])
  }

  @Test func flagsAreReadAndWrongOnesRefused() throws {
    let options = try BenchmarkOptions(arguments: ["--rounds", "7", "--json", "--only", "x", "--scale", "0.1", "--seed", "9"])
    #expect(options.rounds == 7 && options.printsJSON && options.only == "x" && options.seed == 9 && options.scaled(100) == 10)
    for wrong in [["--rounds", "0"], ["--rounds"], ["--what", "1"], ["--scale", "-1"], ["--seed", "x"]] {
      #expect(throws: BenchmarkError.self, "\(wrong)") { _ = try BenchmarkOptions(arguments: wrong) }
    }
  }
}
