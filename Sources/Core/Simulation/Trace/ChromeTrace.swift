import StrataBytes

/// Writes a trace as the JSON that `chrome://tracing` and Perfetto read: a track per node, a slice per input it took, slices where it was down or
/// paused, an arrow per message that arrived, and the nodes' own notes as arguments.
public struct ChromeTrace {
  private let report: RunReport

  /// The trace of a run that kept one.
  public init(_ report: RunReport) { self.report = report }

  /// How long an input is drawn, in nanoseconds: it takes no time in the simulator, and a slice without length can be neither seen nor clicked.
  private static let inputTime: UInt64 = 20_000

  /// The file's text.
  public var json: String {
    let events = report.trace?.events ?? []
    var rows = tracks
    rows += bands(events)
    rows += slices(events)
    return JSON.object([
      .init("displayTimeUnit", .string("ms")),
      .init(
        "otherData",
        .object([
          .init("scenario", .string(report.scenario)), .init("seed", .exact(report.plan.seed)),
          .init("failure", report.failure.map { .string($0.description) } ?? .null),
        ])),
      .init("traceEvents", .array(rows)),
    ]).description + "\n"
  }

  private var tracks: [JSON] {
    let process = JSON.object([
      .init("ph", .string("M")), .init("pid", .integer(1)), .init("name", .string("process_name")),
      .init("args", .object([.init("name", .string("\(report.scenario), seed \(report.plan.seed)"))])),
    ])
    return [process]
      + (0...report.plan.nodes).map { track in
        .object([
          .init("ph", .string("M")), .init("pid", .integer(1)), .init("tid", .integer(Int64(track))), .init("name", .string("thread_name")),
          .init("args", .object([.init("name", .string(track == 0 ? "clients" : "n\(track)"))])),
        ])
      }
  }

  /// Microseconds with three decimals, as the format wants them.
  private static func microseconds(_ nanoseconds: UInt64) -> JSON {
    let rest = String(nanoseconds % 1000)
    return .number("\(nanoseconds / 1000)." + String(repeating: "0", count: 3 - rest.count) + rest)
  }

  private func row(_ phase: String, _ name: String, node: Int, at time: UInt64, _ more: [JSON.Member] = []) -> JSON {
    .object(
      [
        .init("ph", .string(phase)), .init("pid", .integer(1)), .init("tid", .integer(Int64(node + 1))), .init("name", .string(name)),
        .init("ts", Self.microseconds(time)),
      ] + more)
  }

  /// When nodes were down or paused.
  private func bands(_ events: [TraceEvent]) -> [JSON] {
    var rows: [JSON] = []
    var open: [Int: (name: String, since: UInt64)] = [:]
    func close(_ node: Int, at time: UInt64) {
      guard let band = open.removeValue(forKey: node) else { return }
      rows.append(row("X", band.name, node: node, at: band.since, [.init("dur", Self.microseconds(time - band.since))]))
    }
    for event in events {
      switch event.kind {
      case .crash, .pause:
        close(event.node, at: event.time)
        open[event.node] = (event.kind == .crash ? "down" : "paused", event.time)
      case .start, .resume: close(event.node, at: event.time)
      default: break
      }
    }
    let end = events.last?.time ?? 0
    for node in open.keys.sorted() { close(node, at: end) }
    return rows
  }

  /// What nodes took and noted, and the messages between them.
  private func slices(_ events: [TraceEvent]) -> [JSON] {
    var rows: [JSON] = []
    var sends: [SendName: TraceEvent] = [:]
    var notes: [UInt64: [JSON]] = [:]
    for event in events where event.kind == .note { notes[event.event, default: []].append(.string(event.text)) }
    for event in events {
      switch event.kind {
      case .send: sends[SendName(event: event.event, from: event.node, to: event.peer, text: event.text)] = event
      case .receive, .timer, .persisted, .persistFailed, .request, .cancel, .start:
        var more: [JSON.Member] = [
          .init("dur", Self.microseconds(Self.inputTime)), .init("cat", .string("\(event.kind)")),
        ]
        if let notes = notes[event.event] { more.append(.init("args", .object([.init("notes", .array(notes))]))) }
        rows.append(row("X", event.text.isEmpty ? "\(event.kind)" : event.text, node: event.node, at: event.time, more))
      case .failure, .fault, .dropped, .cut, .refused, .lost, .reply, .crash:
        rows.append(row("i", "\(event.kind) \(event.text)", node: event.node, at: event.time, [.init("s", .string("t"))]))
      default: break
      }
      guard event.kind == .receive,
        let sent = sends[SendName(event: event.cause, from: event.peer, to: event.node, text: event.text)]
      else { continue }
      let flow: [JSON.Member] = [.init("cat", .string("message")), .init("id", .integer(Int64(event.id)))]
      rows.append(row("s", "message", node: sent.node, at: sent.time, flow))
      rows.append(row("f", "message", node: event.node, at: event.time, flow + [.init("bp", .string("e"))]))
    }
    return rows
  }

  private struct SendName: Hashable {
    let event: UInt64
    let from: Int
    let to: Int
    let text: String
  }
}
