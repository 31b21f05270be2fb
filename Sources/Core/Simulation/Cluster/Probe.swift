import StrataNodes

/// What the nodes of one simulated cluster talk to beside their effects.
@usableFromInline
final class Probe: EffectsObserver {
  @usableFromInline let isTracing: Bool
  /// The node that is being called.
  @usableFromInline var node = 0
  private let random: Random
  private let buggifies: Bool
  private var sites: [UInt64: Random?] = [:]
  private var reached: [Situation] = []
  /// Where a name's situation is, by the hash of its characters.
  private var indices: [UInt64: Int] = [:]
  /// The same for names lately heard, by their address: one literal is at one address for as long as the program runs.
  private var lately = [(address: UInt, index: Int)](repeating: (0, 0), count: 64)
  private var lines: [String] = []
  @usableFromInline var firstBroken: String?

  private struct Situation {
    let name: StaticString
    var count = 0
  }

  @usableFromInline
  init(random: Random, isTracing: Bool, buggifies: Bool) {
    self.random = random
    self.isTracing = isTracing
    self.buggifies = buggifies
  }

  @usableFromInline
  func trace(_ text: String) { lines.append(text) }

  /// Lines the last call of a node traced.
  @usableFromInline
  func takeLines() -> [String] {
    defer { lines.removeAll() }
    return lines
  }

  @usableFromInline
  func buggify(_ site: StaticString, fires: Int, in visits: Int) -> Bool {
    guard buggifies, visits > 0 else { return false }
    let key = Self.hash(site)
    // A quarter of all runs make a site active; each active site draws from a stream of its own.
    let state: Random?
    if let known = sites[key] {
      state = known
    } else {
      var stream = random.fork(site)
      state = stream.chance(1, in: 4) ? stream : nil
      sites[key] = .some(state)
    }
    guard var stream = state else { return false }
    let result = stream.chance(fires, in: visits)
    sites[key] = .some(stream)
    return result
  }

  @usableFromInline
  func sometimes(_ name: StaticString, _ condition: Bool) {
    guard name.hasPointerRepresentation else {
      reached[index(of: name)].count += condition ? 1 : 0
      return
    }
    let address = UInt(bitPattern: name.utf8Start)
    let slot = Int(truncatingIfNeeded: (address &* 0x9E37_79B9_7F4A_7C15) >> 58)
    if lately[slot].address != address { lately[slot] = (address, index(of: name)) }
    if condition { reached[lately[slot].index].count += 1 }
  }

  private func index(of name: StaticString) -> Int {
    let key = Self.hash(name)
    if let known = indices[key] { return known }
    indices[key] = reached.count
    reached.append(Situation(name: name))
    return reached.count - 1
  }

  var situations: [String: Int] {
    Dictionary(reached.map { ($0.name.description, $0.count) }, uniquingKeysWith: +)
  }

  @usableFromInline
  func broken(_ name: StaticString) { if firstBroken == nil { firstBroken = name.description } }

  @inlinable
  func takeBroken() -> String? {
    if firstBroken == nil { return nil }
    defer { firstBroken = nil }
    return firstBroken
  }

  private static func hash(_ name: StaticString) -> UInt64 {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    name.withUTF8Buffer { for byte in $0 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 } }
    return hash
  }
}
