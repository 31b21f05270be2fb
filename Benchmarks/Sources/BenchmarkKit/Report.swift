import Foundation

/// Numbers as a reader wants them.
enum Text {
  /// Three digits and a unit of a thousand: 1.23M.
  static func figure(_ value: Double) -> String {
    guard value.isFinite else { return "-" }
    for (unit, size) in [("G", 1e9), ("M", 1e6), ("k", 1e3)] where abs(value) >= size {
      return String(format: "%.3g%@", value / size, unit)
    }
    return String(format: abs(value) >= 100 ? "%.0f" : "%.3g", value)
  }

  /// A time in the unit that suits it.
  static func time(nanoseconds value: Double) -> String {
    if value >= 1e9 { return String(format: "%.2f s", value / 1e9) }
    if value >= 1e6 { return String(format: "%.2f ms", value / 1e6) }
    if value >= 1e3 { return String(format: "%.1f us", value / 1e3) }
    return String(format: "%.0f ns", value)
  }

  /// Binary units.
  static func bytes(_ value: Double) -> String {
    for (unit, size) in [("GiB", 1_073_741_824.0), ("MiB", 1_048_576), ("KiB", 1024)] where value >= size {
      return String(format: "%.1f %@", value / size, unit)
    }
    return String(format: "%.0f B", value)
  }

  static func padded(_ text: String, _ width: Int, right: Bool = true) -> String {
    let blanks = String(repeating: " ", count: max(0, width - text.count))
    return right ? blanks + text : text + blanks
  }
}

extension Outcome {
  /// The table of one comparison.
  var text: String {
    var lines = ["", "## \(comparison.title)"]
    if !comparison.parameters.isEmpty { lines.append(comparison.parameters.map { "\($0.name) \($0.value)" }.joined(separator: ", ")) }
    let width = max(12, entries.map(\.name.count).max() ?? 0)
    let heads = ["median \(comparison.unit)/s", "min", "max", "p50", "p99", "ratio"]
    lines.append(Text.padded("", width, right: false) + heads.map { Text.padded($0, max(10, $0.count + 2)) }.joined())
    for (index, entry) in entries.enumerated() {
      let throughputs = entry.measurements.map(\.throughput)
      let cells = [
        entry.median { $0.throughput }.map(Text.figure) ?? "-", Text.figure(throughputs.min() ?? 0), Text.figure(throughputs.max() ?? 0),
        entry.median { $0.latency?.p50 }.map(Text.time) ?? "-", entry.median { $0.latency?.p99 }.map(Text.time) ?? "-",
        index == 0 ? "" : ratio(to: entry.name) { $0.throughput }.map { String(format: "%.2fx", $0) } ?? "-",
      ]
      lines.append(Text.padded(entry.name, width, right: false) + zip(heads, cells).map { Text.padded($1, max(10, $0.count + 2)) }.joined())
      let extras = entry.extraNames.compactMap { name in entry.median { $0.extras[name] }.map { "\(name) \(Text.figure($0))" } }
      if !extras.isEmpty { lines.append("  " + extras.joined(separator: ", ")) }
    }
    for goal in comparison.goals {
      let judged = goal.judge(self)
      let verdict = judged.map { "\(String(format: "%.3g", $0.value))  \($0.isMet ? "pass" : "MISS")" } ?? "not measured  MISS"
      lines.append("goal: \(goal.text): \(verdict)")
    }
    return lines.joined(separator: "\n")
  }

  /// The same for programs, every round included.
  var json: [String: Any] {
    [
      "title": comparison.title, "unit": comparison.unit,
      "parameters": Dictionary(comparison.parameters.map { ($0.name, $0.value) }, uniquingKeysWith: { first, _ in first }),
      "contenders": entries.enumerated().map { index, entry -> [String: Any] in
        var object: [String: Any] = [
          "name": entry.name, "subject": index == 0, "throughputs": entry.measurements.map(\.throughput),
          "seconds": entry.measurements.map(\.seconds),
        ]
        object["median"] = entry.median { $0.throughput }
        object["p50_ns"] = entry.median { $0.latency?.p50 }
        object["p99_ns"] = entry.median { $0.latency?.p99 }
        object["p999_ns"] = entry.median { $0.latency?.p999 }
        object["max_ns"] = entry.median { $0.latency?.max }
        object["ratio"] = index == 0 ? nil : ratio(to: entry.name) { $0.throughput }
        for name in entry.extraNames { object[name] = entry.median { $0.extras[name] } }
        return object
      },
      "goals": comparison.goals.map { goal -> [String: Any] in
        var object: [String: Any] = ["text": goal.text, "met": goal.judge(self)?.isMet ?? false]
        object["value"] = goal.judge(self)?.value
        return object
      },
    ]
  }
}

extension Outcome.Entry {
  var extraNames: [String] { Set(measurements.flatMap(\.extras.keys)).sorted() }
}
