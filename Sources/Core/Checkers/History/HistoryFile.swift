import StrataBytes

/// A history in a file: read from JSON Lines, EDN or the text logs of Jepsen's etcd tests; written as JSON Lines or EDN.
///
/// Docs/Formats/History.md says what the lines look like. Reading takes a small multiple of the file's size and never traps.
public struct HistoryFile: Sendable {
  /// A notation of histories.
  public enum Format: String, Hashable, Sendable, CaseIterable {
    /// One JSON object per event, with Strata's first and last line or without them.
    case jsonLines = "jsonl"
    /// Jepsen's `history.edn`: a map per event, one after the other or in one vector. Porcupine's key-value histories are of this kind.
    case edn
    /// `INFO  jepsen.util - 0 :invoke :read nil`, as the etcd logs that come with Porcupine.
    case etcdLog = "etcd"
  }

  /// What clients did.
  public var history: RecordedHistory
  /// The line of each event, from 1; empty for a history that was not read from a file.
  public var lines: [Int]
  /// The revision of the program that recorded the history, where the file says so.
  public var revision: String?
  /// What is odd about the file and does not keep it from being judged, such as a missing last line.
  public var warnings: [String]

  /// A history to be written.
  public init(_ history: RecordedHistory, revision: String? = nil) {
    self.history = history
    self.revision = revision
    lines = []
    warnings = []
  }

  /// Reads a history.
  ///
  /// - Parameter format: nothing to tell it by the first character.
  /// - Throws: ``HistoryError`` with the line that is wrong.
  public init(reading bytes: [UInt8], as format: Format? = nil) throws(HistoryError) {
    self.init(RecordedHistory())
    var events = EventReader()
    switch format ?? Self.guess(bytes) {
    case .jsonLines: try readJSONLines(bytes, &events)
    case .edn: try readEDN(bytes, &events)
    case .etcdLog: try readEtcdLog(bytes, &events)
    }
    history = events.history
    lines = events.lines
    if events.skipped > 0 { warnings.append("\(events.skipped) events of processes that are no clients were left out") }
  }

  /// Where an event is: its line if the history was read from a file.
  public func place(of event: Int) -> HistoryError.Place { lines.indices.contains(event) ? .line(lines[event]) : .event(event) }

  static func guess(_ bytes: [UInt8]) -> Format {
    var reader = bytes[...]
    while let byte = reader.first, byte <= 0x20 { reader = reader.dropFirst() }
    if reader.starts(with: "INFO".utf8) { return .etcdLog }
    guard reader.first == UInt8(ascii: "{") else { return .edn }
    reader = reader.dropFirst()
    while let byte = reader.first, byte <= 0x20 { reader = reader.dropFirst() }
    return reader.first == UInt8(ascii: "\"") ? .jsonLines : .edn
  }

  // MARK: JSON Lines

  static let magic = "STRATA-HIST"
  static let version = 1

  private mutating func readJSONLines(_ bytes: [UInt8], _ events: inout EventReader) throws(HistoryError) {
    var start = 0
    var line = 0
    var records = 0
    var hasHeader = false
    var isComplete = false
    while start < bytes.count {
      let end = bytes[start...].firstIndex(of: 0x0A) ?? bytes.count
      defer { start = end + 1 }
      line += 1
      if bytes[start..<end].allSatisfy({ $0 <= 0x20 }) { continue }
      guard !isComplete else { throw .malformed("something follows the last line", at: .line(line)) }
      let value: HistoryValue
      do { value = try HistoryValue.parsing(bytes[start..<end], line: line) } catch {
        // The recorder died while it wrote: what is there can be judged.
        guard end == bytes.count, hasHeader else { throw error }
        warnings.append("line \(line) is cut off and was left out")
        break
      }
      if let magic = value["magic"] {
        guard line == 1 || records == 0, magic == .text(Self.magic) else { throw .unsupported("a file of the kind \(magic)", at: .line(line)) }
        guard value["version"] == .int(Self.version) else {
          throw .unsupported("version \(value["version"] ?? .null) of \(Self.magic)", at: .line(line))
        }
        hasHeader = true
        revision = value["revision"]?.string
      } else if let count = value["records"], let checksum = value["crc32c"] {
        guard count == .int(records) else { throw .malformed("\(records) events where the last line counts \(count)", at: .line(line)) }
        let actual = bytes.withUnsafeBytes { crc32c(UnsafeRawBufferPointer(rebasing: $0[..<start])) }
        guard let expected = checksum.integer.flatMap(UInt32.init(exactly:)), expected == actual else {
          throw .checksumMismatch(expected: UInt32(truncatingIfNeeded: checksum.integer ?? 0), actual: actual, at: .line(line))
        }
        isComplete = true
      } else {
        try events.add(value, line: line)
        records += 1
      }
    }
    if hasHeader, !isComplete { warnings.append("the last line with count and checksum is missing: the file may be cut short") }
  }

  /// The history as JSON Lines, with first and last line.
  public func jsonLines() -> [UInt8] {
    var bytes: [UInt8] = []
    func add(_ members: [JSON.Member]) { bytes += (JSON.object(members).description + "\n").utf8 }
    add(
      [.init("magic", .string(Self.magic)), .init("version", .integer(Int64(Self.version)))]
        + (revision.map { [.init("revision", .string($0))] } ?? []))
    let renamed = ClientNames(history)
    for event in history.events {
      let operation = history.operations[event.operation]
      add([
        .init("i", .integer(Int64(event.index))), .init("p", .integer(Int64(renamed[event.operation]))), .init("t", .number(String(event.time))),
        .init("type", .string(event.kind.rawValue)), .init("f", .string(operation.op.f)), .init("value", Self.value(event, operation).json),
      ])
    }
    let checksum = bytes.withUnsafeBytes { crc32c($0) }
    add([.init("records", .integer(Int64(history.eventCount))), .init("crc32c", .integer(Int64(checksum)))])
    return bytes
  }

  /// The history as Jepsen writes it: one map per line.
  public func edn() -> [UInt8] {
    var bytes: [UInt8] = []
    let renamed = ClientNames(history)
    for event in history.events {
      let operation = history.operations[event.operation]
      bytes += "{:index \(event.index), :time \(event.time), :type :\(event.kind.rawValue), :process \(renamed[event.operation]), :f ".utf8
      EDNWriter.append(.text(operation.op.f), to: &bytes)
      bytes += ", :value ".utf8
      EDNWriter.append(Self.value(event, operation), to: &bytes)
      bytes += "}\n".utf8
    }
    return bytes
  }

  private static func value(_ event: RecordedHistory.Event, _ operation: RecordedHistory.Operation) -> HistoryValue {
    if event.kind == .ok, let result = operation.result { result } else { operation.op.value }
  }

  // MARK: EDN

  private func readEDN(_ bytes: [UInt8], _ events: inout EventReader) throws(HistoryError) {
    var reader = EDNReader(bytes)
    let isVector = reader.entersVector()
    while true {
      if isVector, reader.leavesVector() {
        guard try reader.next() == nil else { throw .malformed("something follows the vector of events", at: .line(reader.line)) }
        return
      }
      let line = reader.line
      guard let value = try reader.next() else {
        if isVector { throw .malformed("the vector of events has no end", at: .line(line)) }
        return
      }
      try events.add(value, line: reader.line)
    }
  }
}

/// Process numbers for a file, in which `info` retires a process: what its client does next goes under a number nobody has.
private struct ClientNames {
  private var names: [Int]

  init(_ history: RecordedHistory) {
    names = []
    names.reserveCapacity(history.operations.count)
    var next = (history.operations.map(\.process).max() ?? 0).addingReportingOverflow(1).partialValue
    var current: [Int: Int] = [:]
    var retired: Set<Int> = []
    for operation in history.operations {
      if retired.remove(operation.process) != nil {
        current[operation.process] = next
        next = next.addingReportingOverflow(1).partialValue
      }
      names.append(current[operation.process] ?? operation.process)
      if operation.abandoned != nil { retired.insert(operation.process) }
    }
  }

  subscript(_ operation: Int) -> Int { names[operation] }
}
