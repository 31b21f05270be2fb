import StrataBytes
import StrataNodes

/// Draws a trace as one page that needs nothing else: a lane per node, time downward, an arrow per message, bands where a node was down, paused
/// or cut off, the node's state before and after each input on a click, and a jump to the violation.
public struct SpaceTimeDiagram {
  private let report: RunReport

  /// The diagram of a run that kept a trace.
  public init(_ report: RunReport) { self.report = report }

  /// The page.
  public var html: String {
    let title = "\(report.scenario), seed \(report.plan.seed)"
    let (events, states) = rows
    let data = JSON.object([
      .init("scenario", .string(report.scenario)), .init("seed", .exact(report.plan.seed)), .init("nodes", .integer(Int64(report.plan.nodes))),
      .init("failure", report.failure.map { .string($0.description) } ?? .null),
      .init("dropped", .integer(Int64(report.trace?.dropped ?? 0))), .init("states", .array(states)), .init("events", .array(events)),
    ])
    // A script ends at the first "</", wherever that stands.
    let safe = data.description.replacing("</", with: "<\\/")
    return DiagramPage.text.replacing("TITLE", with: Self.escaped(title)).replacing("\"DATA\"", with: safe)
  }

  /// Each event as [time, kind, node, peer, event, cause, text, state], and the states, each of which is there once.
  private var rows: (events: [JSON], states: [JSON]) {
    var numbers: [String: Int64] = [:]
    var states: [JSON] = []
    let events = (report.trace?.events ?? []).map { event in
      var row: [JSON] = [
        .exact(event.time), .string("\(event.kind)"), .integer(Int64(event.node)), .integer(Int64(event.peer)), .exact(event.event),
        .exact(event.cause), .string(event.text),
      ]
      if let state = event.state {
        if numbers[state] == nil {
          numbers[state] = Int64(states.count)
          states.append(.string(state))
        }
        row.append(.integer(numbers[state] ?? 0))
      }
      return JSON.array(row)
    }
    return (events, states)
  }

  static func escaped(_ text: String) -> String {
    text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
  }
}

extension RunReport {
  /// The trace as JSON Lines: Docs/Formats/Simulation.md.
  public var traceLines: String {
    var text =
      JSON.object([
        .init("magic", .string("STRATA-TRACE")), .init("version", .integer(1)), .init("scenario", .string(scenario)),
        .init("seed", .exact(plan.seed)),
      ]).description + "\n"
    var count = 1
    for event in trace?.events ?? [] {
      var members: [JSON.Member] = [
        .init("t", .exact(event.time)), .init("node", event.node < 0 ? .null : .integer(Int64(event.node + 1))),
        .init("kind", .string("\(event.kind)")), .init("id", .exact(event.event)), .init("cause", .exact(event.cause)),
      ]
      if event.peer >= 0 { members.append(.init("peer", .integer(Int64(event.peer + 1)))) }
      if !event.text.isEmpty { members.append(.init("text", .string(event.text))) }
      text += JSON.object(members).description + "\n"
      count += 1
    }
    let last = JSON.object([.init("records", .integer(Int64(count))), .init("crc32c", .integer(Int64(crc32c(Array(text.utf8).span.bytes))))])
    return text + last.description + "\n"
  }

  /// The trace for a terminal: one line for each thing that happened.
  public var traceText: String {
    (trace?.events ?? []).map { event in
      let who = event.node < 0 ? "clients" : "n\(event.node + 1)"
      let peer =
        event.peer < 0 ? "" : (event.kind == .send || event.kind == .linkCut || event.kind == .linkJoined ? " → n" : " ← n") + "\(event.peer + 1)"
      return "\(Instant(nanoseconds: event.time))  \(who)\(peer)  \(event.kind)\(event.text.isEmpty ? "" : "  " + event.text)"
    }.joined(separator: "\n")
  }
}
