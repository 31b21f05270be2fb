import StrataCheckers
import StrataNodes
import StrataRequirements
import Testing

/// Every kind judges files: one that is right, one that is not, one that shows nothing, and one that is of another kind.
@Suite struct CheckKindTests {
  struct Sample: Sendable, CustomTestStringConvertible {
    let kind: CheckKind
    let right: [String]
    let wrong: [String]
    let violation: String
    var testDescription: String { kind.rawValue }
  }

  /// Each line `process f value -> result`: an operation; `!` for a failure, `?` for an end nobody saw.
  static func file(_ lines: [String]) throws -> HistoryFile {
    var text = ""
    for line in lines {
      let words = line.split(separator: " ", maxSplits: 2).map(String.init)
      let parts = words[2].split(separator: " -> ").map(String.init)
      let start = #"{"p":\#(words[0]),"f":"\#(words[1])","type":"#
      text += start + #""invoke","value":\#(parts[0])}"# + "\n"
      switch parts[1] {
      case "!": text += start + #""fail","value":\#(parts[0])}"# + "\n"
      case "?": text += start + #""info","value":\#(parts[0])}"# + "\n"
      default: text += start + #""ok","value":\#(parts[1])}"# + "\n"
      }
    }
    return try HistoryFile(reading: Array(text.utf8))
  }

  static let samples: [Sample] = [
    Sample(
      kind: .register, right: ["1 write 3 -> 3", "2 cas [3,4] -> [3,4]", "1 cas [3,5] -> !", "1 read null -> 4", "1 read [7,null] -> [7,null]"],
      wrong: ["1 write [7,3] -> [7,3]", "1 cas [7,[3,4]] -> [7,[3,4]]", "1 read [7,null] -> [7,3]"], violation: "linearizability"),
    Sample(
      kind: .keyValue, right: [#"1 put ["a","x"] -> ["a","x"]"#, #"1 append ["a","y"] -> ["a","y"]"#, #"1 get ["a",null] -> ["a","xy"]"#],
      wrong: [#"1 put ["a","x"] -> ["a","x"]"#, #"1 delete "a" -> null"#, #"1 get ["a",null] -> ["a","x"]"#], violation: "linearizability"),
    Sample(
      kind: .linearizableSet, right: ["1 add 1 -> true", "1 contains 1 -> true", "1 read null -> [1]", "1 remove 1 -> true"],
      wrong: ["1 add 1 -> true", "1 contains 1 -> false"], violation: "linearizability"),
    Sample(
      kind: .linearizableQueue, right: ["1 enqueue 1 -> 1", "1 enqueue 2 -> 2", "2 dequeue null -> 1"],
      wrong: ["1 enqueue 1 -> 1", "1 enqueue 2 -> 2", "2 dequeue null -> 2"], violation: "linearizability"),
    Sample(
      kind: .linearizableCounter, right: ["1 add 2 -> 2", "1 read null -> 2"], wrong: ["1 add 2 -> 2", "1 read null -> 1"],
      violation: "linearizability"),
    Sample(
      kind: .linearizableLock, right: ["1 acquire 0 -> 7", "2 acquire 0 -> false", "1 release 0 -> true", "2 acquire 0 -> 8"],
      wrong: ["1 acquire 0 -> 7", "2 acquire 0 -> 8"], violation: "linearizability"),
    Sample(
      kind: .listAppend, right: [#"1 txn [["append",1,5],["r",1,null]] -> [["append",1,5],["r",1,[5]]]"#],
      wrong: [#"1 txn [["append",1,5]] -> !"#, #"1 txn [["r",1,null]] -> [["r",1,[5]]]"#], violation: "G1a"),
    Sample(
      kind: .readWriteRegister, right: [#"1 txn [["w",1,5]] -> [["w",1,5]]"#, #"1 txn [["r",1,null]] -> [["r",1,5]]"#],
      wrong: [#"1 txn [["r",1,null]] -> [["r",1,5]]"#], violation: "garbage"),
    Sample(
      kind: .sessions, right: ["1 write 4 -> 1", "1 read 4 -> 1"], wrong: ["1 write 4 -> 1", "1 read 4 -> 0"], violation: "read-your-writes"),
    Sample(
      kind: .convergence, right: ["1 deliver [1,2] -> [1,2]", "2 deliver [2,1] -> [2,1]", "1 observe null -> [1,2]", "2 observe null -> [1,2]"],
      wrong: ["1 deliver 1 -> 1", "2 deliver 1 -> 1", #"1 observe null -> "a""#, #"2 observe null -> "b""#], violation: "divergence"),
    Sample(
      kind: .durability,
      right: [#"1 write {"a":1} -> null"#, #"1 write-buffered {"b":1} -> null"#, #"1 write {"a":2} -> ?"#, #"2 recover null -> {"a":1}"#],
      wrong: [#"1 write {"a":1} -> null"#, #"1 recover null -> {"a":1}"#, #"1 recover null -> {}"#], violation: "lost write"),
    Sample(
      kind: .totalOrder, right: ["1 broadcast 1 -> 1", "1 broadcast 2 -> 2", "1 deliver [1,2] -> [1,2]", "2 deliver 1 -> 1"],
      wrong: ["1 broadcast 1 -> 1", "1 broadcast 2 -> 2", "1 deliver [1,2] -> [1,2]", "2 deliver 2 -> 2"], violation: "different order"),
    Sample(
      kind: .mutex, right: ["1 acquire 0 -> 1", "1 use [0,1] -> null", "1 release 0 -> null", "2 acquire 0 -> 2"],
      wrong: ["1 acquire 0 -> 1", "2 acquire 0 -> 2"], violation: "two holders"),
    Sample(
      kind: .bank, right: [#"1 read null -> {"1":10,"2":5}"#, #"1 transfer {"from":1,"to":2,"amount":3} -> null"#, #"1 read null -> {"1":7,"2":8}"#],
      wrong: [#"1 read null -> {"1":10,"2":5}"#, #"1 read null -> {"1":7,"2":5}"#], violation: "wrong total"),
    Sample(kind: .set, right: ["1 add 1 -> 1", "1 read null -> [1]"], wrong: ["1 add 1 -> 1", "1 read null -> []"], violation: "lost element"),
    Sample(
      kind: .queue, right: ["1 enqueue 1 -> 1", "1 dequeue null -> 1"], wrong: ["1 enqueue 1 -> 1", "1 dequeue null -> 1", "1 dequeue null -> 1"],
      violation: "duplicate value"),
    Sample(
      kind: .counter, right: ["1 add 1 -> 1", "1 read null -> 1"], wrong: ["1 add 1 -> 1", "1 read null -> 0"], violation: "counter out of bounds"),
    Sample(
      kind: .uniqueIDs, right: [#"1 generate null -> "a""#, #"1 generate null -> "b""#], wrong: ["1 generate null -> 1", "2 generate null -> 1"],
      violation: "identifier twice"),
    Sample(
      kind: .longFork, right: [#"1 txn [["w",1,1]] -> [["w",1,1]]"#] + forks("1,null", "1,1"), wrong: forks("1,null", "null,1"),
      violation: "long fork"),
    Sample(
      kind: .log, right: ["1 send [0,5] -> 0", #"2 poll null -> {"0":[[0,5]]}"#],
      wrong: ["1 send [0,5] -> 0", "1 send [0,6] -> 1", #"2 poll null -> {"0":[[1,6]]}"#], violation: "lost write"),
  ]

  static func forks(_ reads: String...) -> [String] {
    reads.map { read in
      let seen = read.split(separator: ",")
      return #"1 txn [["r",1,null],["r",2,null]] -> [["r",1,\#(seen[0])],["r",2,\#(seen[1])]]"#
    }
  }

  @Test(.requirement("Simulation.never.8"), arguments: samples)
  func filesAreJudged(_ sample: Sample) throws {
    let right = try Self.file(sample.right).verdict(as: sample.kind)
    #expect(right.isValid, "\(right)")
    expectViolation(try Self.file(sample.wrong).verdict(as: sample.kind), sample.violation)
    #expect(try HistoryFile(RecordedHistory()).verdict(as: sample.kind).isUnknown)
    #expect(Set(Self.samples.map(\.kind)) == Set(CheckKind.allCases))
    if sample.kind != .uniqueIDs {
      do {
        let verdict = try Self.file(["1 read 1 -> 1", "1 nonsense [1] -> 1"]).verdict(as: sample.kind)
        Issue.record("taken as \(sample.kind): \(verdict)")
      } catch { #expect([.line(1), .line(3)].contains((error as? HistoryError)?.place), "\(error)") }
    }
  }

  @Test func allFailedIsUnknownForEveryKind() throws {
    for sample in Self.samples {
      let failed = sample.right.map { line in line.split(separator: " -> ").map(String.init)[0] + " -> !" }
      let verdict = try Self.file(failed).verdict(as: sample.kind)
      #expect(verdict.isUnknown, "\(sample.kind): \(verdict)")
    }
  }

  @Test func anErrorOfTheHistoryNamesItsLines() throws {
    let file = try Self.file([#"1 txn [["append",1,5]] -> [["append",1,5]]"#, #"1 txn [["append",1,5]] -> [["append",1,5]]"#])
    #expect(throws: HistoryError.duplicateWrite(of: "the append of 5 to x1", at: .line(3), before: .line(1))) {
      try file.verdict(as: .listAppend)
    }
  }

  @Test(.requirement("Simulation.checkers.10")) func porcupinesNotationIsJudged() throws {
    let text = """
      {:process 0, :type :invoke, :f :get, :key "0", :value nil}
      {:process 1, :type :invoke, :f :append, :key "0", :value "x 1 0 y"}
      {:process 0, :type :ok, :f :get, :key "0", :value ""}
      {:process 1, :type :ok, :f :append, :key "0", :value "x 1 0 y"}
      {:process 0, :type :invoke, :f :get, :key "0", :value nil}
      {:process 0, :type :ok, :f :get, :key "0", :value "x 1 0 y"}
      """
    #expect(try HistoryFile(reading: Array(text.utf8)).verdict(as: .keyValue).isValid)
    let stale = text.replacing(#"0", :value "x 1 0 y"}"#, with: #"0", :value ""}"#)
    #expect(try HistoryFile(reading: Array(stale.utf8)).verdict(as: .keyValue).isValid, "an append of nothing")
    let wrong: [String] = text.split(separator: "\n").dropLast().map(String.init) + [#"{:process 0, :type :ok, :f :get, :key "0", :value "z"}"#]
    expectViolation(try HistoryFile(reading: Array(wrong.joined(separator: "\n").utf8)).verdict(as: .keyValue), "linearizability")
  }

  @Test func etcdLogsAreJudged() throws {
    let log = """
      INFO  jepsen.util - 0 :invoke :write 4
      INFO  jepsen.util - 1 :invoke :cas [4 2]
      INFO  jepsen.util - 0 :ok :write 4
      INFO  jepsen.util - 1 :ok :cas [4 2]
      INFO  jepsen.util - 2 :invoke :cas [4 3]
      INFO  jepsen.util - 2 :fail :cas [4 3]
      INFO  jepsen.util - 3 :invoke :read nil
      INFO  jepsen.util - 3 :ok :read 2
      """
    #expect(try HistoryFile(reading: Array(log.utf8)).verdict(as: .register).isValid)
    // That the comparison failed is evidence: with 2 in the register it must not.
    let wrong = log.replacing(":cas [4 3]", with: ":cas [2 3]")
    expectViolation(try HistoryFile(reading: Array(wrong.utf8)).verdict(as: .register), "linearizability")
  }

  @Test(.requirement("Simulation.checkers.9")) func noValueOfAFileMakesACheckerTrap() throws {
    let seed: UInt64 = 90
    var random = Random(seed: seed)
    let words = [
      "read", "write", "cas", "txn", "add", "append", "r", "w", "send", "poll", "acquire", "use", "deliver", "recover", "transfer", "enqueue",
    ]
    func value(_ depth: Int) -> HistoryValue {
      switch random.below(depth > 3 ? 5 : 9) {
      case 0: .null
      case 1: .int([0, 1, 2, -1, .max, .min, Int(Int32.max), Int(Int32.min)][random.below(8)])
      case 2: .text([words[random.below(words.count)], "1", "", "9223372036854775807"][random.below(4)])
      case 3: .double(1.5)
      case 4: .bool(random.chance(1, in: 2))
      case 5: .list([.text(["append", "r", "w"][random.below(3)]), value(9), value(depth + 1)])
      case 6: .map((0..<random.below(3)).map { _ in .init(key: value(9), value: value(depth + 1)) })
      default: .list((0..<random.below(4)).map { _ in value(depth + 1) })
      }
    }
    for _ in 0..<3000 * testDepth {
      var history = RecordedHistory()
      let f = words[random.below(words.count)]
      for _ in 0..<random.below(8) {
        let process = [0, 1, 2, .max, .min][random.below(5)]
        do {
          try history.invoke(RecordedOp(random.chance(1, in: 3) ? words[random.below(words.count)] : f, value(0)), by: process)
          try history.ok(value(0), by: process)
        } catch { continue }
      }
      for kind in CheckKind.allCases { _ = try? HistoryFile(history).verdict(as: kind) }
      _ = HistoryFile(history).jsonLines()
    }
  }
}
