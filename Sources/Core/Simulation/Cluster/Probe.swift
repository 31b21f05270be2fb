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
  private var reached: [UInt64: (name: String, count: Int)] = [:]
  private var lines: [String] = []
  @usableFromInline var firstBroken: String?

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
    let key = Self.hash(name)
    reached[key, default: (name.description, 0)].count += condition ? 1 : 0
  }

  var situations: [String: Int] {
    Dictionary(reached.values.map { ($0.name, $0.count) }, uniquingKeysWith: +)
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
