import StrataCheckers
import StrataNodes
import StrataRequirements
import Testing

/// What a history is, and what it refuses to be.
@Suite struct HistoryTests {
  @Test func eventsComeBackInTheirOrder() throws {
    var history = History<String, Int>()
    try history.invoke("a", by: 1, at: 10)
    try history.invoke("b", by: 2, at: 20)
    try history.ok(7, by: 2, at: 30)
    try history.fail(by: 1, at: 40)
    try history.invoke("c", by: 2, at: 50)
    try history.lose(by: 2, at: 60)
    try history.invoke("d", by: 2, at: 70)
    #expect(
      history.events.map { "\($0.index) \($0.process) \($0.kind.rawValue) \($0.time) \(history.operations[$0.operation].op)" } == [
        "0 1 invoke 10 a", "1 2 invoke 20 b", "2 2 ok 30 b", "3 1 fail 40 a", "4 2 invoke 50 c", "5 2 info 60 c", "6 2 invoke 70 d",
      ])
    #expect(history.operations.map(\.returned) == [3, 2, nil, nil])
    #expect(history.operations.map(\.result) == [nil, 7, nil, nil])
  }

  @Test func aProcessDoesOneThingAtATime() throws {
    var history = History<String, Int>()
    #expect(throws: HistoryError.endedWithoutInvocation(process: 1, at: .event(0))) { try history.ok(1, by: 1) }
    try history.invoke("a", by: 1)
    #expect(throws: HistoryError.invokedTwice(process: 1, at: .event(1))) { try history.invoke("b", by: 1) }
    try history.lose(by: 1)
    #expect(throws: HistoryError.endedWithoutInvocation(process: 1, at: .event(2))) { try history.fail(by: 1) }
    #expect(history.operations.count == 1 && history.eventCount == 2)
  }

  @Test func threadsRecordOneHistory() async throws {
    let recorder = HistoryRecorder<Int, Int>()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for process in 0..<4 {
        group.addTask {
          for number in 0..<500 {
            try recorder.invoke(number, by: process)
            if number % 7 == 0 { try recorder.lose(by: process) } else { try recorder.ok(number, by: process) }
          }
        }
      }
      try await group.waitForAll()
    }
    let history = recorder.recorded
    #expect(history.operations.count == 2000 && history.eventCount == 4000)
    #expect(Set(history.events.map(\.index)).count == 4000)
    let times = history.events.map(\.time)
    #expect(times == times.sorted())
  }
}

/// Files in and out.
@Suite struct HistoryFileTests {
  static func sample() throws -> RecordedHistory {
    var history = RecordedHistory()
    try history.invoke(RecordedOp("txn", .list([.list([.text("append"), .int(1), .int(2)])])), by: 0, at: 5)
    try history.invoke(RecordedOp("read"), by: 1, at: 6)
    try history.ok(.list([.int(-1), .null, .text("quote \" \\ \u{1} ü\n"), .double(0.5)]), by: 1, at: 7)
    try history.lose(by: 0, at: 8)
    try history.invoke(RecordedOp("cas", .map([.init(key: .text("k"), value: .bool(true))])), by: 0, at: 9)
    try history.fail(by: 0, at: 10)
    return history
  }

  static func render(_ history: RecordedHistory) -> [String] {
    history.events.map {
      let operation = history.operations[$0.operation]
      let value = $0.kind == .ok ? operation.result ?? .null : operation.op.value
      return "\($0.index) \($0.process) \($0.time) \($0.kind.rawValue) \(operation.op.f) \(value)"
    }
  }

  @Test(.requirement("Simulation.checkers.10")) func aHistoryComesBackFromJSONLinesAndFromEDN() throws {
    let history = try Self.sample()
    // What follows an operation that never ended is another process's in a file.
    let expected = Self.render(history).map { $0.hasPrefix("4 0") ? "4 2" + $0.dropFirst(3) : $0.hasPrefix("5 0") ? "5 2" + $0.dropFirst(3) : $0 }
    let lines = try HistoryFile(reading: HistoryFile(history, revision: "r1").jsonLines())
    #expect(Self.render(lines.history) == expected)
    #expect(lines.revision == "r1" && lines.warnings.isEmpty && lines.lines == [2, 3, 4, 5, 6, 7])
    let edn = try HistoryFile(reading: HistoryFile(history).edn())
    #expect(Self.render(edn.history) == expected)
  }

  @Test func jsonLinesAreAsDocumented() throws {
    var history = RecordedHistory()
    try history.invoke(RecordedOp("write", .int(3)), by: 4, at: 12)
    try history.ok(.int(3), by: 4, at: 15)
    let text = String(decoding: HistoryFile(history, revision: "abc").jsonLines(), as: UTF8.self)
    #expect(
      text == """
        {"magic":"STRATA-HIST","version":1,"revision":"abc"}
        {"i":0,"p":4,"t":12,"type":"invoke","f":"write","value":3}
        {"i":1,"p":4,"t":15,"type":"ok","f":"write","value":3}
        {"records":2,"crc32c":3152337282}

        """)
  }

  @Test(.requirement("Simulation.checkers.10")) func jepsensNotationIsRead() throws {
    let text = """
      #jepsen.history.Op{:index 0, :time 11, :type :invoke, :process 0, :f :txn, :value [[:r 3 nil] [:append 4 1]]}
      {:type :info, :f :start, :process :nemesis, :time 12} ; a comment
      {:process 0, :type :ok, :f :txn, :value [[:r 3 (1 2)] [:append 4 1]], :time 13N #_ ignored}
      {:process 1, :type :invoke, :f :put, :key "x", :value "y\\n" :at #inst "2020-01-01" :set #{1}}
      """
    let file = try HistoryFile(reading: Array(text.utf8))
    #expect(
      Self.render(file.history) == [
        #"0 0 11 invoke txn [["r",3,null],["append",4,1]]"#, #"1 0 13 ok txn [["r",3,[1,2]],["append",4,1]]"#, #"2 1 0 invoke put ["x","y\n"]"#,
      ])
    #expect(file.lines == [1, 3, 4] && file.warnings.count == 1)
    let vector = try HistoryFile(reading: Array("[{:process 1 :type :invoke :f :read :value nil}\n{:process 1 :type :ok :f :read :value 3}]".utf8))
    #expect(vector.history.operations.map(\.result) == [.int(3)])
  }

  @Test func etcdLogsAreRead() throws {
    let text = """
      INFO  jepsen.core - Worker 0 starting
      INFO  jepsen.util - 0\t:invoke\t:read\tnil
      INFO  jepsen.util - 1\t:invoke\t:cas\t[1 4]
      INFO  jepsen.util - 0\t:ok\t:read\tnil
      INFO  jepsen.util - 1\t:fail\t:cas\t[1 4]
      INFO  jepsen.util - 2\t:invoke\t:write\t4
      INFO  jepsen.util - 2\t:info\t:write\t:timed-out
      INFO  jepsen.util - 3\t:invoke\t:read\tnil
      INFO  jepsen.util - 3\t:fail\t:read\t:timed-out
      """
    let file = try HistoryFile(reading: Array(text.utf8))
    #expect(
      Self.render(file.history) == [
        "0 0 0 invoke read null", "1 1 0 invoke cas [1,4]", "2 0 0 ok read null", "3 1 0 ok cas [1,4,false]", "4 2 0 invoke write 4",
        "5 2 0 info write 4", "6 3 0 invoke read null", "7 3 0 fail read null",
      ])
  }

  static let header = #"{"magic":"STRATA-HIST","version":1}"#

  static let wrongFiles: [(String, HistoryError)] = [
    (#"{"p":1,"type":"ok","f":"r"}"#, HistoryError.endedWithoutInvocation(process: 1, at: .line(1))),
    (#"{"p":1,"type":"invoke","f":"r"}"# + "\n\n" + #"{"p":1,"type":"invoke","f":"r"}"#, .invokedTwice(process: 1, at: .line(3))),
    (
      #"{"p":1,"type":"invoke","f":"r"}"# + "\n" + #"{"p":1,"type":"info","f":"r"}"# + "\n" + #"{"p":1,"type":"invoke","f":"r"}"#,
      .retiredProcess(process: 1, at: .line(3))
    ),
    (#"{"p":1,"type":"maybe","f":"r"}"#, .malformed("the type 'maybe', none of invoke, ok, fail, info", at: .line(1))),
    (#"{"type":"ok","f":"r"}"#, .malformed("an event without a process", at: .line(1))),
    (#"{"p":1,"f":"r"}"#, .malformed("an event without a type", at: .line(1))),
    (#"{"p":1,"type":"ok"}"#, .malformed("an event without a function", at: .line(1))),
    (#"{"i":1,"p":1,"type":"invoke","f":"r"}"#, .malformed("event 1 where event 0 is due", at: .line(1))),
    (#"{"p":1,"t":-1,"type":"invoke","f":"r"}"#, .malformed("the time -1", at: .line(1))),
    (#"{"magic":"STRATA-HIST","version":2}"#, .unsupported("version 2 of STRATA-HIST", at: .line(1))),
    (#"{"magic":"STRATA-SIM","version":1}"#, .unsupported(#"a file of the kind "STRATA-SIM""#, at: .line(1))),
    (header + "\n" + #"{"records":1,"crc32c":1}"#, .malformed("0 events where the last line counts 1", at: .line(2))),
    ("[{:process 1 :type :invoke :f :r}", .malformed("the vector of events has no end", at: .line(1))),
    ("{:process 1 :type }", .malformed("not EDN: a map with a key that has no value", at: .line(1))),
    ("\n17", .malformed("an event is an object, not 17", at: .line(2))),
  ]

  @Test(.requirement("Simulation.checkers.9"), arguments: wrongFiles)
  func aWrongFileIsAnErrorWithItsLine(_ text: String, _ error: HistoryError) {
    #expect(throws: error) { try HistoryFile(reading: Array(text.utf8)) }
  }

  @Test(.requirement("Simulation.checkers.10")) func aChangedByteIsSeenAndACutFileIsReadWithAWarning() throws {
    let bytes = HistoryFile(try Self.sample()).jsonLines()
    let flipped = try #require(bytes.firstIndex(of: UInt8(ascii: "5")))
    var changed = bytes
    changed[flipped] = UInt8(ascii: "4")
    #expect(throws: HistoryError.self) { try HistoryFile(reading: changed) }
    // Every cut leaves a history or an error, and no cut that leaves lines out goes unnoticed.
    for length in 0..<bytes.count - 1 {
      guard let file = try? HistoryFile(reading: Array(bytes[..<length])) else { continue }
      #expect(!file.warnings.isEmpty || length == 0 || file.history.eventCount == 0, "cut at \(length)")
    }
  }

  @Test(.requirement("Simulation.checkers.9")) func noBytesMakeTheReaderTrap() throws {
    let seed: UInt64 = 0x4157
    var random = Random(seed: seed)
    let samples = [
      HistoryFile(try Self.sample()).jsonLines(), HistoryFile(try Self.sample()).edn(), Array("INFO  jepsen.util - 0 :ok :cas [1 2]".utf8),
    ]
    let alphabet = Array("{}[]()#_\\\":;, \n0179-+.eENMntfu\u{80}abc".utf8)
    for round in 0..<20_000 * testDepth {
      var bytes = round % 4 == 3 ? [] : samples[round % 4]
      for _ in 0...random.below(6) {
        let place = random.below(bytes.count + 1)
        switch random.below(3) {
        case 0: bytes.insert(alphabet[random.below(alphabet.count)], at: place)
        case 1: if place < bytes.count { bytes[place] = alphabet[random.below(alphabet.count)] }
        default: if place < bytes.count { bytes.removeSubrange(place..<min(bytes.count, place + 1 + random.below(40))) }
        }
      }
      for format in HistoryFile.Format.allCases { _ = try? HistoryFile(reading: bytes, as: format) }
    }
    let deep = [UInt8](repeating: UInt8(ascii: "["), count: 1_000_000)
    #expect(throws: HistoryError.self) { try HistoryFile(reading: deep, as: .jsonLines) }
    #expect(throws: HistoryError.self) { try HistoryFile(reading: deep, as: .edn) }
    #expect(throws: HistoryError.self) { try HistoryFile(reading: Array(String(repeating: "#a ", count: 1_000_000).utf8), as: .edn) }
  }
}
