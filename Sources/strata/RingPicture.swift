import StrataConsistentHashing

/// A placement as a circle of letters, one per owner, and a table of the nodes.
struct RingPicture {
  private let state: RingState
  private let placement: any Placement
  /// Of each member how much it holds first, as a share of all positions; sampled where a placement has no ranges.
  private let shares: [Double]

  private static let rows = 21
  private static let columns = 45
  private static let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
  private static let samples = 1 << 16

  init(_ state: RingState) {
    self.state = state
    placement = state.placement
    shares = Self.shares(of: state)
  }

  private static func shares(of state: RingState) -> [Double] {
    let placement = state.placement
    if case .ring(let ring, _) = state {
      let ownership = ring.ownership()
      return ring.members.map { ownership[$0.id] ?? 0 }
    }
    var counts = [Int](repeating: 0, count: placement.members.count)
    let positions = placement.lastPosition < UInt64(samples) ? Int(placement.lastPosition) + 1 : samples
    for sample in 0..<positions {
      guard let owner = try? placement.primaryIndex(at: position(sample, of: positions, placement.lastPosition)) else { return counts.map { _ in 0 } }
      counts[owner] += 1
    }
    return counts.map { Double($0) / Double(positions) }
  }

  private static func position(_ index: Int, of count: Int, _ last: UInt64) -> UInt64 {
    UInt64((UInt128(last) + 1) * UInt128(index) / UInt128(count))
  }

  private var kind: String {
    switch state {
    case .ring(let ring, let next):
      "ring of \(ring.tokenCount) tokens" + (next.map { ", becoming that of epoch \($0.epoch)" } ?? "")
    case .slots(let map): "\(map.slotCount) slots, \(map.migrations.count) under way"
    case .maglev(let table): "Maglev table of \(table.size) entries"
    case .rendezvous: "rendezvous"
    case .jump: "jump hashing"
    }
  }

  /// The largest ratio of a share to the share of weights.
  private var imbalance: Double {
    let total = placement.members.reduce(0) { $0 + $1.weight }
    return zip(placement.members, shares).reduce(placement.members.isEmpty ? 1 : 0) { max($0, $1.1 / ($1.0.weight / total)) }
  }

  var text: String {
    let members = placement.members
    var lines = ["\(kind), hash \(placement.keyHash), replication factor \(state.replicationFactor), epoch \(placement.epoch)"]
    if members.isEmpty { return lines[0] + "\nno nodes" }
    lines += ["", circle, ""]
    let width = max(4, members.map { $0.id.name.count }.max() ?? 0)
    func row(_ cells: [String]) -> String {
      zip(cells, [2, width, 8, 8, 8, 12, 12]).map { $0 + String(repeating: " ", count: max(0, $1 - $0.count)) }.joined(separator: " ")
    }
    lines.append(row(["", "node", "weight", "vnodes", "share %", "zone", "rack"]))
    for (index, member) in members.enumerated() {
      let vnodes = if case .ring(let ring, _) = state { "\(ring.tokenCount(of: member.id) ?? 0)" } else { "-" }
      lines.append(
        row([
          String(Self.letters[index % Self.letters.count]), member.id.name, "\(member.weight)", vnodes, fixed(shares[index] * 100, digits: 2),
          member.zone ?? "-", member.rack ?? "-",
        ]))
    }
    lines.append("imbalance \(fixed(imbalance, digits: 3))")
    return lines.map { line in String(line.reversed().drop { $0 == " " }.reversed()) }.joined(separator: "\n")
  }

  /// The circle: position 0 at the top, ascending clockwise; each letter is the owner of the middle of its arc.
  private var circle: String {
    var grid = [[Character]](repeating: [Character](repeating: " ", count: Self.columns), count: Self.rows)
    let (middleX, middleY) = (Double(Self.columns - 1) / 2, Double(Self.rows - 1) / 2)
    for step in 0..<720 {
      let position = Self.position(step * 2 + 1, of: 1440, placement.lastPosition)
      guard let owner = try? placement.primaryIndex(at: position) else { continue }
      let (sine, cosine) = Self.direction(Double(step) / 720)
      let x = Int((middleX + sine * middleX).rounded())
      let y = Int((middleY - cosine * middleY).rounded())
      if grid[y][x] == " " { grid[y][x] = Self.letters[owner % Self.letters.count] }
    }
    return grid.map { "  " + String($0) }.joined(separator: "\n")
  }

  /// Sine and cosine of a part of a turn, by the series of a quarter: close enough for a picture.
  private static func direction(_ turn: Double) -> (sine: Double, cosine: Double) {
    let quarter = Int(turn * 4)
    let x = (turn * 4 - Double(quarter)) * 1.570_796_326_794_896_6
    let sine = x * (1 - x * x / 6 * (1 - x * x / 20 * (1 - x * x / 42)))
    let cosine = 1 - x * x / 2 * (1 - x * x / 12 * (1 - x * x / 30 * (1 - x * x / 56)))
    switch quarter % 4 {
    case 0: return (sine, cosine)
    case 1: return (cosine, -sine)
    case 2: return (-sine, -cosine)
    default: return (-cosine, sine)
    }
  }

  var json: JSONText {
    var json = JSONText()
    json.add("kind", kind)
    json.add("hash", "\(placement.keyHash)")
    json.add("epoch", placement.epoch)
    json.add("replicas", state.replicationFactor)
    json.add("imbalance", imbalance)
    json.add(
      "members",
      placement.members.enumerated().map { index, member in
        var json = JSONText()
        json.add("id", member.id.name)
        json.add("weight", member.weight)
        json.add("share", shares[index])
        if case .ring(let ring, _) = state { json.add("vnodes", ring.tokenCount(of: member.id) ?? 0) }
        if let zone = member.zone { json.add("zone", zone) }
        if let rack = member.rack { json.add("rack", rack) }
        return json
      })
    return json
  }
}
