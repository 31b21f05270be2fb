/// Puts the events of a file together to operations.
struct EventReader {
  private(set) var history = RecordedHistory()
  private(set) var lines: [Int] = []
  /// Events that are no client's: a nemesis, a comment.
  private(set) var skipped = 0
  private var retired: Set<Int> = []

  /// Takes one event as JSON or EDN says it, with short names or Jepsen's.
  mutating func add(_ event: HistoryValue, line: Int) throws(HistoryError) {
    guard case .map = event else { throw .malformed("an event is an object, not \(String(event.description.prefix(60)))", at: .line(line)) }
    guard let type = event["type"]?.string else { throw .malformed("an event without a type", at: .line(line)) }
    guard let name = event["p"] ?? event["process"] else { throw .malformed("an event without a process", at: .line(line)) }
    guard case .int(let process) = name else {
      // Jepsen's nemesis has a name where a client has a number.
      guard case .text = name else { throw .malformed("a process is a number, not \(name)", at: .line(line)) }
      skipped += 1
      return
    }
    guard let f = event["f"]?.string else { throw .malformed("an event without a function", at: .line(line)) }
    var value = event["value"] ?? .null
    if let key = event["key"] { value = .list([key, value]) }
    var time: UInt64 = 0
    if let given = event["t"] ?? event["time"] {
      guard let nanoseconds = given.integer.flatMap(UInt64.init(exactly:)) else { throw .malformed("the time \(given)", at: .line(line)) }
      time = nanoseconds
    }
    if let index = event["i"], index != .int(lines.count) {
      throw .malformed("event \(index) where event \(lines.count) is due", at: .line(line))
    }
    try add(type, f, value, process, time, line)
  }

  /// Takes one event.
  mutating func add(_ type: String, _ f: String, _ value: HistoryValue, _ process: Int, _ time: UInt64, _ line: Int) throws(HistoryError) {
    do {
      try apply(type, f, value, process, time, line)
    } catch {
      switch error {
      case .invokedTwice(let process, _): throw .invokedTwice(process: process, at: .line(line))
      case .endedWithoutInvocation(let process, _): throw .endedWithoutInvocation(process: process, at: .line(line))
      default: throw error
      }
    }
    lines.append(line)
  }

  private mutating func apply(
    _ type: String, _ f: String, _ value: HistoryValue, _ process: Int, _ time: UInt64, _ line: Int
  ) throws(HistoryError) {
    switch type {
    case "invoke":
      guard !retired.contains(process) else { throw .retiredProcess(process: process, at: .line(line)) }
      try history.invoke(RecordedOp(f, value), by: process, at: time)
    case "ok": try history.ok(value, by: process, at: time)
    case "fail": try history.fail(by: process, at: time)
    case "info":
      try history.lose(by: process, at: time)
      retired.insert(process)
    default: throw .malformed("the type '\(type.prefix(40))', none of invoke, ok, fail, info", at: .line(line))
    }
  }
}

extension HistoryFile {
  /// `INFO  jepsen.util - <process> :<type> :<f> <value>`; other lines are another logger's. A compare-and-set that `:fail`s was compared
  /// and found wanting, which is a result; it is kept as `ok` with the value `[expected, new, false]`, a success has `true` there.
  func readEtcdLog(_ bytes: [UInt8], _ events: inout EventReader) throws(HistoryError) {
    var line = 0
    for text in bytes.split(separator: 0x0A, omittingEmptySubsequences: false) {
      line += 1
      let words = text.split { $0 <= 0x20 }
      guard words.count >= 6, words[0].elementsEqual("INFO".utf8), words[1].elementsEqual("jepsen.util".utf8), words[2].elementsEqual("-".utf8),
        words[4].first == UInt8(ascii: ":"), let process = Int(String(decoding: words[3], as: UTF8.self))
      else { continue }
      let type = String(decoding: words[4].dropFirst(), as: UTF8.self)
      let f = String(decoding: words[5].dropFirst(), as: UTF8.self)
      // What follows is a value, or why there is none: `:timed-out`, with the value perhaps after it.
      var reader = EDNReader(words.dropFirst(6).reduce(into: []) { $0 += Array($1) + [0x20] })
      let value: HistoryValue
      do { value = try reader.next() ?? .null } catch { throw .malformed("a value that is not EDN", at: .line(line)) }
      if f == "cas", type == "ok" || type == "fail", let pair = value.items, pair.count == 2 {
        try events.add("ok", f, .list(pair + [.bool(type == "ok")]), process, 0, line)
      } else if f == "read", type == "info" {
        try events.add("fail", f, .null, process, 0, line)
      } else {
        try events.add(type, f, value, process, 0, line)
      }
    }
  }
}
