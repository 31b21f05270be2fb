import StrataCheckers
import StrataNodes
import StrataRequirements
import Testing

/// Histories that others have published, with the verdicts they give.
@Suite(.requirement("Simulation.checkers.11")) struct PublishedHistoriesTests {
  /// Four of the logs of Jepsen's etcd tests that come with Porcupine, whose tests say which are linearizable. `2w4` is process 2 asking to write
  /// 4, `0r` a read, `1c3,0` a compare-and-set of 3 to 0; `0=3` is what a read gave, `+` that it was done, `-` that the comparison failed, `?` a
  /// timeout.
  static let etcd: [(name: String, isLinearizable: Bool, events: String)] = [
    (
      "etcd_000", false,
      """
      0r 3r 2w4 1w2 4w3 3=nil 0=nil 4+ 1+ 2+ 3w3 0r 0=3 3+ 4r 4=3 1r 1=3 2c3,0 2+ 0w2 3r 0+ 3=0 4r 4=2 1c0,3 2c0,0 1- 2- 0c2,1 3r 3=2 0+ 4r 4=1
      1r 1=1 2r 2=1 3w0 0c1,3 3+ 4w2 0- 4+ 1r 1=2 2c1,1 2- 3c0,0 0r 0=2 4w1 3- 1c2,1 2w2 2+ 0c1,4 3w3 4? 0- 3+ 1? 2w2 9w3 0r 0=3 2+ 3c3,4 3-
      6c1,1 9? 0w1 0+ 2c0,0 2- 3c2,2 6? 3- 14w4 0c4,3 0- 2w0 11r 11=2 2+ 3w2 3+ 14? 0w1 11c2,1 2c0,3 3r 3=2 19r 19=2 0? 11? 2? 3r 3=2 19c1,3
      19+ 5w0 16c4,3 7c1,2 5+ 7- 16- 3c4,2 3- 19c0,1 19+ 5c4,0 7c1,4 16r 16=1 3c1,3 3- 5+ 7+ 19c2,0 19- 16r 16=0 3r 3=0 5r 7c4,2 5=0 7-
      19c2,3 19- 16c4,1 3w4 5w4 7c0,2 19r 19=0 16? 3? 5? 7? 19w3 19+ 21c2,0 21- 8w4 10w2 10+ 12c4,4 19w4 21r 21=4 19+ 8? 10c0,1 12? 10-
      21c3,3 21- 19r 19=4 13c2,2 17c4,4 13? 17? 10r 10=1
      """
    ),
    (
      "etcd_001", false,
      """
      0r 1r 0=nil 1=nil 4w0 2c1,0 3w2 2- 4+ 3+ 0r 0=0 1c0,0 1+ 2r 2=0 4w1 3w3 4+ 3+ 0r 0=3 1c3,0 2c0,4 1+ 2+ 4r 4=4 3r 3=4 0r 0=4 1w1 1+
      2r 2=1 4w4 4+ 3c1,3 3- 0r 0=4 1c0,2 2r 2=4 4r 4=4 3c3,2 0c2,1 1? 2r 2=4 4c0,0 3? 0? 6r 6=4 2c2,3 4? 8r 8=4 5r 5=4 6c3,0 6- 2? 9c3,4
      8w0 8+ 5w1 5+ 6w1 7r 7=4 9? 6+ 8r 8=1 5w2 5+ 7r 7=4 14c1,0 6c1,2 8r 8=2 6- 5r 5=2 7c1,3 14? 8w3 8+ 6w0 6+ 5r 5=0 7? 19w2 19+ 8r 8=2
      6w0 5c2,1 6+ 12r 12=0 19c1,3 5- 8c3,4 8- 19- 6w3 6+ 12c0,3 12- 5c0,3 8r 8=3 5- 19r 19=3 6w1 6+ 12r 12=1 8r 8=1 5r 5=1 19c3,2 19-
      6w1 12w4 8r 8=1 5r 5=1 19w4 6? 12? 8w0 5c2,4 19? 11r 11=1 17c0,1 17- 8? 5? 24r 24=1 11c1,3 11+ 17c3,4 13r 13=1 10w1 17+ 24c1,1 10+
      11c1,4 11+ 13r 13=1 17c0,3 17- 24? 10w4 10+ 11r 11=4
      """
    ),
    (
      "etcd_002", true,
      """
      4r 4=nil 1w1 2c2,4 3c1,2 0c1,4 1+ 0- 2+ 3+ 4w0 4+ 1w2 1+ 0r 0=2 2c0,2 3c2,3 2- 3+ 4r 4=3 1w3 1+ 0w2 2w0 0+ 2+ 3c0,4 3+ 4c3,4 4- 1w1
      0w3 0+ 1+ 2r 2=3 3r 3=3 4r 4=3 0c4,3 0- 1c2,2 2w3 1- 3w2 4w2 4+ 0c1,4 0- 2? 1w3 1+ 3? 4c3,0 4+ 0r 0=0 7c3,1 1w1 8r 8=3 4c4,0 1+ 0w2
      0+ 7? 4- 8c4,0 1w0 1+ 0w4 0+ 12w4 4r 4=4 8? 1r 1=4 0w2 12? 0+ 4c3,0 4- 13w3 1w0 17r 0c2,1 17=3 4w1 13? 1? 0? 17c0,1 4? 18r 18=3 6w3
      5w2 17? 9c2,2 18w4 6? 5? 22w1 9? 18? 11w3 10c1,1 22? 14w0 11+ 23c4,4 14+ 10- 23- 27w1 11w2 11+ 14c1,2 10r 10=2 14- 23r 23=0 27? 11w1
      11+ 10r 10=1 14w2 23c2,3 32c2,1 14+ 11w4 11+ 10c1,1 10- 23? 32? 14w4 14+ 11c2,4 11- 10r 10=4 28r 28=0 37w3 37? 14r 14=4
      """
    ),
    (
      "etcd_005", true,
      """
      3r 3=nil 2c1,4 4w2 1c0,1 0c4,1 4+ 1- 0- 2- 3r 3=2 4c1,1 4- 1w4 0w4 2w2 0+ 2+ 1+ 3w1 4c4,3 3+ 4- 0r 0=1 2w1 1r 1=1 2+ 3c4,1 3- 4w2 0r
      0=1 4+ 1c1,3 2r 2=2 1- 3w4 3+ 0w4 4c2,1 2c3,3 1c2,0 3w4 0? 4? 2? 1? 3? 5w4 9r 9=4 7r 7=4 6w0 5+ 8c2,0 8- 9w0 7w1 6? 5c3,0 7+ 5- 8r
      8=1 9? 11w2 7w0 5c4,1 7+ 8c1,4 8- 5- 14w3 11? 7r 7=0 8w3 8+ 5c1,3 5- 14? 16r 16=4 7r 7=3 8c2,1 8- 5c0,3 19c4,3 5- 19- 16w2 7w3 8c2,2
      7+ 16+ 8- 5w0 19w2 5+ 19+ 7r 7=2 16r 16=2 8r 8=2 5w4 19r 19=2 7r 7=2 16r 16=2 8c1,1 5+ 8- 19c1,2 19- 7w3 16r 16=4 5c1,4 8c4,1 19r
      19=4 7? 16r 16=4 5? 8? 19r 19=4 12c0,0 16w2 12- 10r 10=4 16+ 13w2 19c1,4 12w1 10r 10=2 16w0 13? 12+ 19? 16+ 10r 10=0 18r 18=0
      """
    ),
  ]

  /// The log the events stand for.
  static func log(_ events: String) -> String {
    var open: [Substring: String] = [:]
    return events.split { $0 == " " || $0 == "\n" }.map { event in
      let process = event.prefix { $0.isNumber }
      let rest = event.dropFirst(process.count)
      let value = rest.dropFirst()
      func line(_ type: String, _ value: String) -> String { "INFO  jepsen.util - \(process)\t:\(type)\t\(open[process] ?? "")\t\(value)\n" }
      func end(_ type: String, _ value: String? = nil) -> String {
        let asked = open[process] ?? ""
        let parts = asked.split(separator: "\t")
        open[process] = String(parts.first ?? "")
        return line(type, value ?? String(parts.last ?? ""))
      }
      switch rest.first {
      case "r":
        open[process] = ":read"
        return line("invoke", "nil")
      case "w":
        defer { open[process] = ":write\t\(value)" }
        open[process] = ":write"
        return line("invoke", String(value))
      case "c":
        let pair = "[" + value.replacing(",", with: " ") + "]"
        defer { open[process] = ":cas\t\(pair)" }
        open[process] = ":cas"
        return line("invoke", pair)
      case "=": return end("ok", String(value))
      case "+": return end("ok")
      case "-": return end("fail")
      default: return end("info", ":timed-out")
      }
    }.joined()
  }

  @Test(arguments: etcd.indices) func jepsensEtcdLogsGetPorcupinesVerdict(_ number: Int) throws {
    let (name, isLinearizable, events) = Self.etcd[number]
    let file = try HistoryFile(reading: Array(Self.log(events).utf8))
    #expect(file.history.operations.count > 60 && file.warnings.isEmpty)
    let verdict = try file.verdict(as: .register)
    #expect(verdict.isValid == isLinearizable && !verdict.isUnknown, "\(name): \(verdict)")
  }

  /// Two questions of an examination of MIT's 6.824, 2017, which Porcupine has for examples; nothing stands for 0.
  @Test func examplesOfAnExamination() throws {
    func check(_ written: Int, _ reads: [(begins: Int, ends: Int, value: Int?)]) throws -> Verdict {
      var history = History<RegisterModel.Op, RegisterModel.Result>()
      var events: [(time: Int, process: Int, ends: Bool)] = [(0, 0, false), (100, 0, true)]
      for (number, read) in reads.enumerated() { events += [(read.begins, number + 1, false), (read.ends, number + 1, true)] }
      for event in events.sorted(by: { $0.time < $1.time }) {
        if !event.ends {
          try history.invoke(event.process == 0 ? .write(key: 0, written) : .read(key: 0), by: event.process)
        } else {
          try history.ok(event.process == 0 ? .written : .value(reads[event.process - 1].value), by: event.process)
        }
      }
      return Linearizability.check(history, against: RegisterModel())
    }
    #expect(try check(100, [(25, 75, 100), (30, 60, nil)]).isValid)
    #expect(try check(200, [(10, 30, 200), (40, 90, nil)]).violation != nil)
  }

  // MARK: Elle

  /// Elle's own notation: `ax1ry12` appends 1 to x and reads y as [1, 2].
  static func transaction(_ text: String, end: Planted<ListStep>.End = .ok) -> Planted<ListStep> {
    var steps: [ListStep] = []
    var function: Character = " "
    var key = 0
    for character in text {
      switch character {
      case "a", "r": function = character
      case "x", "y", "z":
        key = character == "x" ? 1 : character == "y" ? 2 : 3
        if function == "r" { steps.append(.read(key: key, [])) }
      default:
        let value = character.wholeNumberValue ?? -1
        if function == "a" { steps.append(.append(key: key, value)) }
        if function == "r", case .read(_, let values)? = steps.last { steps[steps.count - 1] = .read(key: key, values + [value]) }
      }
    }
    return Planted(process: -1, from: 0, to: 1000, steps: steps, end: end)
  }

  /// What its tests find in which transactions, and the strongest levels those leave.
  static let elle: [(history: [String], anomaly: String?, allowed: IsolationLevel?)] = [
    (["ax1ay1", "ax2ay2", "rx12ry21"], "G0", nil),
    (["ax1ax2", "rx1", "rx12"], "G1b", .readUncommitted),
    (["ax1ry1", "ax2ay1", "rx12ry1"], "G1c", .readUncommitted),
    (["ax1ay1", "ax2ry", "rx12"], "G-single", .readCommitted),
    (["ax1ry", "ay1rx"], "G2-item", .snapshotIsolation),
    (["rxay1", "ryax1", "rx1ry1"], "G2-item", .snapshotIsolation),
    (["ax1ry1", "ax2", "ax3ay1", "rx13", "rx123"], "incompatible-order", nil),
    // Figure 3 of Adya, Liskov and O'Neil.
    (["az1ax1ay1", "rx1ay2", "ry12az3", "rz13"], nil, .serializable),
  ]

  @Test(arguments: elle.indices) func ellesTestsGetItsVerdicts(_ number: Int) throws {
    let (texts, anomaly, allowed) = Self.elle[number]
    let history = try lists(texts.map { Self.transaction($0) })
    let verdict = try Isolation.checkListAppend(history, expecting: .serializable)
    if let anomaly { #expect(anomalies(verdict).contains(anomaly), "\(texts): \(verdict)") } else { #expect(verdict.isValid, "\(texts): \(verdict)") }
    if let allowed { #expect(try Isolation.checkListAppend(history, expecting: allowed).isValid, "\(texts)") }
  }

  @Test(arguments: [[1, 2], [0, 2, 3], [1, 2, 3, 4], [1]]) func ellesInternalCases(_ second: [Int]) throws {
    let wrong = L.all(.read(key: 1, [1, 2]), .append(key: 1, 3), .read(key: 1, second))
    let history = try lists([wrong] + [0, 1, 2, 4].map { L.all(.append(key: 1, $0)) })
    #expect(anomalies(try Isolation.checkListAppend(history, expecting: .strictSerializable)).contains("internal"))
  }

  /// The example of Elle's paper: the fourth read 255 before the second's append and the third saw that append and not the fourth's to 256.
  @Test func ellesPaper() throws {
    let history = try lists([
      Planted(
        process: -1, from: 0, to: 1000,
        steps: [(253, 1), (253, 3), (253, 4), (255, 2), (255, 3), (255, 4), (255, 5), (256, 1), (256, 2)].map { .append(key: $0, $1) }),
      L.all(.append(key: 255, 8), .read(key: 253, [1, 3, 4])),
      L.all(.append(key: 256, 4), .read(key: 255, [2, 3, 4, 5, 8]), .read(key: 256, [1, 2, 4]), .read(key: 253, [1, 3, 4])),
      L.all(.append(key: 250, 10), .read(key: 253, [1, 3, 4]), .read(key: 255, [2, 3, 4, 5]), .append(key: 256, 3)),
    ])
    let violation = try #require(try Isolation.checkListAppend(history, expecting: .snapshotIsolation).violation)
    #expect(violation.kind == "G-single" && violation.witness.contains { $0.contains("255") }, "\(violation)")
  }

  /// `si-without-g-single.edn`: anti-dependencies in a row, and no circle with one alone.
  @Test func ellesSkewWithoutASingle() throws {
    let history = try lists([
      L.all(.append(key: 9, 2)), L.all(.append(key: 8, 1), .read(key: 9, [])), L.all(.read(key: 6, []), .read(key: 8, []), .append(key: 9, 5)),
      L.all(.append(key: 6, 2), .read(key: 9, [2])),
    ])
    let found = anomalies(try Isolation.checkListAppend(history, expecting: .serializable))
    #expect(found.contains("G2-item") && !found.contains("G-single"), "\(found)")
  }
}

private typealias L = Planted<ListStep>
