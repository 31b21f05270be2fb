/// Draws operations as bars over time, one row per process, in one page that needs nothing else.
enum HistoryPicture {
  struct Bar {
    let process: Int
    let from: Int
    let to: Int?
    let text: String
    let isCulprit: Bool
  }

  static func page(title: String, explanation: String, bars: [Bar]) -> String {
    let processes = Set(bars.map(\.process)).sorted()
    // Places in the picture are ranks: the witness has few events, far apart in the history.
    let places = Set(bars.flatMap { [$0.from] + ($0.to.map { [$0] } ?? []) }).sorted()
    let rank = Dictionary(places.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
    let step = 90
    let width = (places.count + 1) * step + 120
    var svg = ""
    for (row, process) in processes.enumerated() {
      let y = 30 + row * 52
      svg += "<text x=\"8\" y=\"\(y + 20)\" class=\"p\">process \(process)</text><line x1=\"100\" x2=\"\(width)\" y1=\"\(y + 34)\" y2=\"\(y + 34)\"/>"
      for bar in bars where bar.process == process {
        let left = 110 + (rank[bar.from] ?? 0) * step
        let right = bar.to.map { 110 + (rank[$0] ?? 0) * step } ?? width - 10
        let kind = bar.isCulprit ? "c" : bar.to == nil ? "u" : "o"
        svg += "<rect x=\"\(left)\" y=\"\(y)\" width=\"\(max(10, right - left))\" height=\"30\" rx=\"4\" class=\"\(kind)\"/>"
        svg += "<text x=\"\(left + 6)\" y=\"\(y + 20)\">\(escaped(bar.text))</text>"
      }
    }
    return """
      <!doctype html><meta charset="utf-8"><title>\(escaped(title))</title>
      <style>body{font:14px system-ui,sans-serif;margin:2em;max-width:70em}svg{background:#fff;border:1px solid #ccd}line{stroke:#ccd}
      rect{stroke:#556;fill:#dce8f7}rect.c{fill:#f7c9c4;stroke:#a22}rect.u{fill:#eee;stroke-dasharray:4}
      text{font:12px ui-monospace,monospace}.p{fill:#556}</style>
      <h1>\(escaped(title))</h1><p>\(escaped(explanation))</p>
      <svg xmlns="http://www.w3.org/2000/svg" width="\(width)" height="\(40 + processes.count * 52)">\(svg)</svg>
      """
  }

  static func escaped(_ text: String) -> String {
    var result = ""
    for character in text.unicodeScalars {
      switch character {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      default: result.unicodeScalars.append(character)
      }
    }
    return result
  }
}
