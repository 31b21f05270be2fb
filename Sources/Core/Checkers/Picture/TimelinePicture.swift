/// Operations as bars over time, one row per process, in one page that needs nothing else.
struct TimelinePicture {
  struct Bar {
    enum Style: String {
      case plain = "o"
      case culprit = "c"
    }

    let row: String
    let from: Int
    /// Nothing for an operation whose end nobody saw.
    let to: Int?
    let text: String
    var style = Style.plain
  }

  let title: String
  let explanation: String
  let bars: [Bar]
  var notes: [String] = []

  /// More bars than this say nothing to the eye.
  static let mostBars = 400
  private static let longestLabel = 40

  var page: String { Page.make(title: title, explanation: explanation, svg: svg, notes: notes) }

  private var svg: String {
    let shown = bars.prefix(Self.mostBars)
    let rows = shown.reduce(into: [String]()) { if !$0.contains($1.row) { $0.append($1.row) } }
    // Places are ranks: a witness has few events, far apart in the history.
    let places = Set(shown.flatMap { [$0.from] + ($0.to.map { [$0] } ?? []) }).sorted()
    let rank = Dictionary(places.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
    let longest = min(Self.longestLabel, shown.map(\.text.count).max() ?? 0)
    // Bars are wide enough for their text, up to a point: the rest of a text is in the tip of the bar.
    let shortest = shown.map { (rank[$0.to ?? -1] ?? places.count) - (rank[$0.from] ?? 0) }.min() ?? 1
    let step = min(160, max(40, (longest * 8 + 20) / max(1, shortest)))
    let left = 30 + (rows.map(\.count).max() ?? 0) * 8
    let width = left + (places.count + 1) * step
    var svg = ""
    for (row, name) in rows.enumerated() {
      let y = 16 + row * 48
      svg += "<text x=\"8\" y=\"\(y + 20)\" class=\"p\">\(Page.escaped(name))</text>"
      svg += "<line x1=\"\(left)\" x2=\"\(width)\" y1=\"\(y + 38)\" y2=\"\(y + 38)\"/>"
      for bar in shown where bar.row == name {
        let start = left + (rank[bar.from] ?? 0) * step
        let end = bar.to.map { left + (rank[$0] ?? 0) * step } ?? width - 8
        let style = bar.to == nil && bar.style == .plain ? "u" : bar.style.rawValue
        svg += "<g><title>\(Page.escaped(bar.text))</title>"
        svg += "<rect x=\"\(start)\" y=\"\(y)\" width=\"\(max(8, end - start))\" height=\"30\" rx=\"4\" class=\"\(style)\"/>"
        svg += "<text x=\"\(start + 6)\" y=\"\(y + 20)\">\(Page.escaped(Page.cut(bar.text, Self.longestLabel)))</text></g>"
      }
    }
    return "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"\(width)\" height=\"\(28 + rows.count * 48)\">\(svg)</svg>"
  }
}

/// Things as boxes on a circle and what leads from one to the next as arrows between them.
struct GraphPicture {
  struct Arrow {
    let from: Int
    let to: Int
    let text: String
    /// Whether it goes against what it should.
    let isCulprit: Bool
  }

  let title: String
  let explanation: String
  let boxes: [String]
  let arrows: [Arrow]
  var notes: [String] = []

  var page: String { Page.make(title: title, explanation: explanation, svg: svg, notes: notes) }

  /// The corners of a regular polygon, stretched.
  private func centers(_ radius: Double, _ height: Double) -> [(x: Double, y: Double)] {
    guard boxes.count > 1 else { return [(0, 0)] }
    // Cosine and sine of one step by their series, since no mathematics library is linked here; the angle is at most half a turn.
    let angle = 2 * Double.pi / Double(boxes.count)
    var (cosine, sine, term) = (0.0, 0.0, 1.0)
    for power in 0..<40 {
      switch power % 4 {
      case 0: cosine += term
      case 1: sine += term
      case 2: cosine -= term
      default: sine -= term
      }
      term *= angle / Double(power + 1)
    }
    var point = (x: -1.0, y: 0.0)
    return boxes.indices.map { _ in
      defer { point = (point.x * cosine - point.y * sine, point.x * sine + point.y * cosine) }
      return (point.x * radius, point.y * height)
    }
  }

  private var svg: String {
    let labels = boxes.map { Page.cut($0, 48) }
    let boxWidth = Double((labels.map(\.count).max() ?? 0) * 8 + 20)
    let radius = max(120, boxWidth * 0.5 + 120)
    let height = boxes.count < 3 ? 60 : 60 + Double(boxes.count) * 24
    let centerX = radius + boxWidth / 2 + 30
    let centerY = height + 40
    let centers = centers(radius, height).map { (x: $0.x + centerX, y: $0.y + centerY) }
    var svg = "<defs><marker id=\"a\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\">"
    svg += "<path d=\"M0 0L10 5L0 10z\"/></marker></defs>"
    for arrow in arrows {
      let (a, b) = (centers[arrow.from], centers[arrow.to])
      let from = Self.leave(a, toward: b, boxWidth)
      let to = Self.leave(b, toward: a, boxWidth)
      // A bend keeps the two arrows between two boxes apart.
      let bend = (x: (from.x + to.x) / 2 + (to.y - from.y) * 0.2, y: (from.y + to.y) / 2 - (to.x - from.x) * 0.2)
      svg +=
        "<path d=\"M\(Int(from.x)) \(Int(from.y))Q\(Int(bend.x)) \(Int(bend.y)) \(Int(to.x)) \(Int(to.y))\" class=\"e\(arrow.isCulprit ? " x" : "")\""
      svg += " marker-end=\"url(#a)\"/><text x=\"\(Int(bend.x))\" y=\"\(Int(bend.y))\" class=\"l\">\(Page.escaped(arrow.text))</text>"
    }
    for (index, label) in labels.enumerated() {
      let center = centers[index]
      svg += "<g><title>\(Page.escaped(boxes[index]))</title><rect x=\"\(Int(center.x - boxWidth / 2))\" y=\"\(Int(center.y) - 16)\""
      svg += " width=\"\(Int(boxWidth))\" height=\"32\" rx=\"4\" class=\"o\"/>"
      svg += "<text x=\"\(Int(center.x))\" y=\"\(Int(center.y) + 5)\" class=\"m\">\(Page.escaped(label))</text></g>"
    }
    return "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"\(Int(centerX * 2))\" height=\"\(Int(centerY * 2))\">\(svg)</svg>"
  }

  /// Where the way from one center to another leaves the box.
  private static func leave(_ a: (x: Double, y: Double), toward b: (x: Double, y: Double), _ width: Double) -> (x: Double, y: Double) {
    let (dx, dy) = (b.x - a.x, b.y - a.y)
    let scale = min(dx == 0 ? 1 : (width / 2 + 4) / abs(dx), dy == 0 ? 1 : 20 / abs(dy), 1)
    return (a.x + dx * scale, a.y + dy * scale)
  }
}

/// The page around a picture.
enum Page {
  static func make(title: String, explanation: String, svg: String, notes: [String]) -> String {
    """
    <!doctype html><html lang="en"><meta charset="utf-8"><title>\(escaped(title))</title>
    <style>body{font:15px/1.5 system-ui,sans-serif;margin:2em;max-width:75em;color:#223}h1{font-size:1.4em}div{overflow-x:auto}
    svg{background:#fff;border:1px solid #ccd}line{stroke:#dde}rect{stroke:#556;fill:#dce8f7}rect.c{fill:#f7c9c4;stroke:#a22}
    rect.u{fill:#eee;stroke-dasharray:4}text{font:12px ui-monospace,monospace}.p{fill:#556}.m,.l{text-anchor:middle}
    .l{paint-order:stroke;stroke:#fff;stroke-width:4px}.e{fill:none;stroke:#446;stroke-width:1.5}.x{stroke:#b22}li{color:#556}</style>
    <h1>\(escaped(title))</h1><p>\(escaped(explanation))</p><div>\(svg)</div>
    <ul>\(notes.map { "<li>\(escaped($0))</li>" }.joined())</ul></html>
    """
  }

  static func cut(_ text: String, _ length: Int) -> String { text.count > length ? text.prefix(length - 1) + "…" : text }

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
