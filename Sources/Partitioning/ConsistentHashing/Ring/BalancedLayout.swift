import StrataBytes

/// Where the tokens of a balanced ring lie: an even layout to begin with, then tokens added and taken away where that evens out the shares.
///
/// Shares count every copy: a member holds a range where it is among the first `replicas` distinct owners clockwise. Putting a token of X at p into
/// the range (a, b] gives X the part (a, p] and every earlier range that reaches p before it has found its copies; whoever was the last copy there
/// loses it. The sum of squares of shares too large or too small says how good that is. Zones do not count here.
struct BalancedLayout {
  private(set) var entries: [TokenEntry]
  private let replicas: Int
  private let whole: Double
  private let lastPosition: UInt64
  /// What each member should hold, as a share of all positions counted once per copy.
  private let targets: [Double]
  private var shares: [Double]

  init(_ entries: [TokenEntry], _ members: [Member], replicas: Int, lastPosition: UInt64) {
    self.entries = entries
    self.replicas = min(replicas, max(members.count, 1))
    self.lastPosition = lastPosition
    whole = Double(UInt128(lastPosition) + 1)
    let total = members.reduce(0) { $0 + $1.weight }
    let copies = Double(self.replicas)
    targets = members.map { min(1, $0.weight / total * copies) }
    shares = []
    shares = measured()
  }

  /// The first layout: equal ranges. Members take turns in rounds, each round in another order, no member again among the last `replicas` tokens
  /// where that can be helped.
  static func tokens(of members: [Member], counts: [Int], replicas: Int, lastPosition: UInt64) -> [TokenEntry] {
    let total = counts.reduce(0, +)
    guard total > 0, let rounds = counts.max() else { return [] }
    let shield = min(replicas, members.count) - 1
    let seeds = members.map { StrataBytes.xxh64(Array($0.id.name.utf8).span.bytes) }
    var order: [UInt32] = []
    order.reserveCapacity(total)
    var waiting: [UInt32] = []
    for round in 0..<rounds {
      // A member with fewer tokens sits out rounds evenly.
      let takers = counts.indices.filter { (round + 1) * counts[$0] / rounds > round * counts[$0] / rounds }
      let salted = takers.map { (Murmur.finish(seeds[$0] &+ UInt64(round) &* 0x9E37_79B9_7F4A_7C15), UInt32($0)) }
      waiting += salted.sorted { $0.0 != $1.0 ? $0.0 < $1.0 : $0.1 < $1.1 }.map(\.1)
      // What cannot go now without standing next to itself waits for the next round.
      while let place = waiting.firstIndex(where: { !order.suffix(shield).contains($0) }) { order.append(waiting.remove(at: place)) }
      // One that outweighs the others waits in vain and stands next to itself in the end.
      let late = max(0, waiting.count - 2 * members.count)
      order += waiting.prefix(late)
      waiting.removeFirst(late)
    }
    order += waiting
    let whole = UInt128(lastPosition) + 1
    return order.enumerated().map { index, owner in
      TokenEntry(token: UInt64(whole * UInt128(index + 1) / UInt128(total) - 1), owner: owner)
    }
  }

  // MARK: Adding

  /// Adds tokens of one member, each where it helps most.
  mutating func add(_ count: Int, of owner: UInt32) {
    guard count > 0 else { return }
    let begin = shares.indices.contains(Int(owner)) ? shares[Int(owner)] : 0
    for step in 1...count {
      guard !entries.isEmpty else {
        entries = [TokenEntry(token: lastPosition, owner: owner)]
        shares = measured()
        continue
      }
      // Its share grows step by step, so that the first token does not take everything.
      let wanted = begin + (targets[Int(owner)] - begin) * Double(step) / Double(count)
      insert(best(for: owner, wanted: wanted), owner)
      shares = measured()
    }
  }

  /// The position at which a token of `owner` improves the shares most.
  private func best(for owner: UInt32, wanted: Double) -> UInt64 {
    var best = (gain: -Double.infinity, position: entries[0].token)
    var changes: [(node: UInt32, amount: Double)] = []
    for index in entries.indices {
      let length = self.length(index)
      // A range of one position cannot be split, and halves stay halves: no range shrinks below a sixteenth at once.
      guard length * whole >= 2 else { continue }
      changes.removeAll(keepingCapacity: true)
      var certain = 0.0
      collectEarlier(index, owner, &changes, &certain)
      let loser = lastCopy(index, without: owner)
      let delta = { (node: UInt32) in changes.reduce(0.0) { $1.node == node ? $0 + $1.amount : $0 } }
      let mine = shares[Int(owner)] + certain - wanted
      var part = length / 2
      if let loser {
        let theirs = shares[Int(loser)] + delta(loser) - targets[Int(loser)]
        part = min(max((theirs - mine) / 2, length / 16), length * 15 / 16)
      }
      var gain = square(shares[Int(owner)] - wanted) - square(mine + (loser == nil ? 0 : part))
      var counted: [UInt32] = []
      for change in changes where !counted.contains(change.node) && change.node != loser {
        counted.append(change.node)
        let before = shares[Int(change.node)] - targets[Int(change.node)]
        gain += square(before) - square(before + delta(change.node))
      }
      if let loser {
        let before = shares[Int(loser)] - targets[Int(loser)]
        gain += square(before) - square(before + delta(loser) - part)
      }
      if gain > best.gain { best = (gain, position(index, part)) }
    }
    return best.position
  }

  /// What the ranges before `index` that reach it while looking for copies give to `owner`, and who loses it.
  private func collectEarlier(_ index: Int, _ owner: UInt32, _ changes: inout [(node: UInt32, amount: Double)], _ certain: inout Double) {
    // Going back, distinct owners between the range and the new token; as many as there are copies shield the ranges before.
    var between: [UInt32] = []
    var at = index
    for _ in 0..<entries.count - 1 {
      at = at == 0 ? entries.count - 1 : at - 1
      let passed = entries[at].owner
      if passed == owner { return }
      if !between.contains(passed) { between.append(passed) }
      if between.count >= replicas { return }
      // The copies of the range that ends at `at`: its own owners up to the new token, then beyond it.
      guard let loser = lastCopy(at, without: owner) else { continue }
      let amount = length(at)
      changes.append((loser, -amount))
      certain += amount
    }
  }

  /// The last of the copies of a range, or `nil` where `owner` is among them already or there are too few.
  private func lastCopy(_ index: Int, without owner: UInt32) -> UInt32? {
    var found: [UInt32] = []
    var at = index
    for _ in entries.indices {
      let next = entries[at].owner
      if !found.contains(next) {
        if next == owner { return nil }
        found.append(next)
        if found.count == replicas { return next }
      }
      at = at + 1 == entries.count ? 0 : at + 1
    }
    return nil
  }

  private func square(_ value: Double) -> Double { value * value }

  /// The length of the range that ends at a token, as a share of all positions.
  private func length(_ index: Int) -> Double {
    let end = entries[index].token
    let start = entries[index == 0 ? entries.count - 1 : index - 1].token
    if index > 0 { return Double(end - start) / whole }
    return Double(UInt128(end) + UInt128(lastPosition) + 1 - UInt128(start)) / whole
  }

  /// The position `part` after the beginning of a range.
  private func position(_ index: Int, _ part: Double) -> UInt64 {
    let start = entries[index == 0 ? entries.count - 1 : index - 1].token
    let offset = max(1, min((part * whole).rounded(.down), whole - 1))
    return UInt64((UInt128(start) + UInt128(offset)) % (UInt128(lastPosition) + 1))
  }

  private mutating func insert(_ token: UInt64, _ owner: UInt32) {
    let entry = TokenEntry(token: token, owner: owner)
    var low = 0
    var high = entries.count
    while low < high {
      let middle = (low + high) / 2
      if entries[middle] < entry { low = middle + 1 } else { high = middle }
    }
    entries.insert(entry, at: low)
  }

  // MARK: Removing

  /// Takes away tokens of one member, each time the one whose absence evens out the shares most; one always stays.
  mutating func remove(_ count: Int, of owner: UInt32) {
    for _ in 0..<max(0, count) {
      let own = entries.indices.filter { entries[$0].owner == owner }
      guard own.count > 1 else { return }
      var best = (badness: Double.infinity, entries: entries)
      let all = entries
      for index in own {
        entries = all
        entries.remove(at: index)
        let badness = zip(measured(), targets).reduce(0) { $0 + square($1.0 - $1.1) }
        if badness < best.badness { best = (badness, entries) }
      }
      entries = best.entries
    }
    shares = measured()
  }

  /// What every member holds, as a share of all positions counted once per copy.
  private func measured() -> [Double] {
    var shares = [Double](repeating: 0, count: targets.count)
    var found: [UInt32] = []
    for index in entries.indices {
      let length = self.length(index)
      found.removeAll(keepingCapacity: true)
      var at = index
      var steps = 0
      while found.count < replicas, steps < entries.count {
        let owner = entries[at].owner
        if !found.contains(owner) {
          found.append(owner)
          shares[Int(owner)] += length
        }
        at = at + 1 == entries.count ? 0 : at + 1
        steps += 1
      }
    }
    return shares
  }
}
