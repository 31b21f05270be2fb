/// Walks over the ranges of two placements and collects what moves. Nodes are indices of the union of both memberships, ascending by name.
struct PlanSurvey {
  /// A move under way: it grows while the next range moves alike.
  private struct Open {
    var start: UInt64
    var end: UInt64
    /// Index of the list of sources.
    var sources: Int
    var destination: UInt32
    var replaces: UInt32
  }

  private let names: [MemberID]
  private let isNewMember: [Bool]
  private let oldNumbers: [UInt32]
  private let newNumbers: [UInt32]
  private let lastPosition: UInt64
  private var oldOwners: [UInt32]
  private var newOwners: [UInt32]
  private var gained: [UInt32] = []
  private var lost: [UInt32] = []
  private var sources: [[UInt32]] = []
  private var moves: [Open] = []
  /// The moves of the range before this one, which may go on.
  private var current: Range<Int> = 0..<0
  /// The moves of the first range; they begin where the last range ends.
  private var firstMoves = 0..<0
  private var isFirst = true
  private var previousEnd: UInt64 = 0

  init(_ old: [Member], _ new: [Member], replicas: Int, lastPosition: UInt64) {
    let union = Set((old + new).map(\.id)).sorted()
    var numbers: [MemberID: UInt32] = [:]
    for (number, id) in union.enumerated() { numbers[id] = UInt32(number) }
    var isNewMember = [Bool](repeating: false, count: union.count)
    for member in new { isNewMember[Int(numbers[member.id] ?? 0)] = true }
    names = union
    self.isNewMember = isNewMember
    oldNumbers = old.map { numbers[$0.id] ?? 0 }
    newNumbers = new.map { numbers[$0.id] ?? 0 }
    self.lastPosition = lastPosition
    oldOwners = [UInt32](repeating: 0, count: replicas)
    newOwners = [UInt32](repeating: 0, count: replicas)
  }

  /// Looks at the range that ends at `end` and begins after the end before.
  mutating func look(at end: UInt64, _ old: some Placement, _ new: some Placement, _ spread: Spread) throws(PlacementError) {
    try Self.fill(&oldOwners, old, end, spread, oldNumbers)
    try Self.fill(&newOwners, new, end, spread, newNumbers)
    gained.removeAll(keepingCapacity: true)
    lost.removeAll(keepingCapacity: true)
    for owner in newOwners where !oldOwners.contains(owner) { gained.append(owner) }
    for owner in oldOwners where !newOwners.contains(owner) { lost.append(owner) }
    record(start: previousEnd, end: end)
    if isFirst { firstMoves = current }
    isFirst = false
    previousEnd = end
  }

  private static func fill(
    _ owners: inout [UInt32], _ placement: some Placement, _ end: UInt64, _ spread: Spread, _ numbers: [UInt32]
  ) throws(PlacementError) {
    var failure: PlacementError?
    owners.withUnsafeMutableBufferPointer { owners in
      do throws(PlacementError) { try placement.fillOwners(owners, at: end, spread: spread) } catch { failure = error }
    }
    if let failure { throw failure }
    for place in owners.indices { owners[place] = numbers[Int(owners[place])] }
  }

  /// As many nodes gain a range as lose it, because both placements have the same number of copies: the i-th replaces the i-th.
  private mutating func record(start: UInt64, end: UInt64) {
    if gained.isEmpty {
      current = moves.count..<moves.count
      return
    }
    let goesOn =
      current.count == gained.count
      && current.indices.allSatisfy { index in
        let move = moves[index]
        let place = index - current.lowerBound
        return move.destination == gained[place] && move.replaces == lost[place] && sources[move.sources] == oldOwners
      }
    if goesOn {
      for index in current { moves[index].end = end }
      return
    }
    let first = moves.count
    sources.append(oldOwners)
    for (destination, replaces) in zip(gained, lost) {
      moves.append(Open(start: start, end: end, sources: sources.count - 1, destination: destination, replaces: replaces))
    }
    current = first..<moves.count
  }

  /// The moves in order, and their length as a share of all positions.
  mutating func finish() -> (moves: [TransferPlan.Move], share: Double) {
    closeCircle()
    moves.sort { $0.end != $1.end ? $0.end < $1.end : $0.destination < $1.destination }
    var total: UInt128 = 0
    let moves = moves.map { move in
      let range = TokenRange(start: move.start, end: move.end)
      total += range.length(lastPosition: lastPosition)
      return TransferPlan.Move(
        range: range, sources: sources[move.sources].map { names[Int($0)] }, destination: names[Int(move.destination)],
        replaces: names[Int(move.replaces)], reason: isNewMember[Int(move.replaces)] ? .gain : .loss)
    }
    return (moves, Double(total) / Double(UInt128(lastPosition) + 1))
  }

  /// The first range begins after the last one's end; moves of both that are alike become one.
  private mutating func closeCircle() {
    for index in firstMoves { moves[index].start = previousEnd }
    guard !firstMoves.isEmpty, firstMoves.count == current.count, firstMoves != current else { return }
    let isAlike = zip(firstMoves, current).allSatisfy { head, tail in
      moves[head].destination == moves[tail].destination && moves[head].replaces == moves[tail].replaces
        && sources[moves[head].sources] == sources[moves[tail].sources]
    }
    guard isAlike else { return }
    for (head, tail) in zip(firstMoves, current) { moves[head].start = moves[tail].start }
    moves.removeSubrange(current)
  }
}
