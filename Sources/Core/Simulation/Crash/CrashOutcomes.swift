import StrataNodes

/// One way a power loss could treat the pending operations, with the words that reports use for it.
struct CrashOutcome: Sendable {
  var label: String
  var survivals: [Survival]
}

/// How many outcomes of each kind to try at one crash point.
struct CrashBounds: Sendable {
  var singles: Int
  var tears: Int
  var randoms: Int
}

extension DiskState {
  /// The outcomes to examine: nothing and all kept; each operation alone, each missing, each prefix; the last write torn; random ones.
  /// Corrected to legal ones and without repetition.
  func crashOutcomes(_ bounds: CrashBounds, _ random: inout Random) -> [CrashOutcome] {
    let count = pending.count
    var outcomes = [CrashOutcome(label: "nothing pending kept", survivals: Array(repeating: .lost, count: count))]
    guard count > 0 else { return outcomes }
    let all = Array(repeating: Survival.kept, count: count)
    outcomes.append(CrashOutcome(label: "everything pending kept", survivals: all))
    for index in chosenIndices(count, bounds.singles, &random) {
      var alone = outcomes[0].survivals
      alone[index] = .kept
      outcomes.append(CrashOutcome(label: "only pending \(index) kept", survivals: alone))
      var without = all
      without[index] = .lost
      outcomes.append(CrashOutcome(label: "all but pending \(index) kept", survivals: without))
      let prefix = Array(all[..<index]) + outcomes[0].survivals[index...]
      outcomes.append(CrashOutcome(label: "the first \(index) pending kept", survivals: prefix))
    }
    outcomes += tears(bounds.tears, &random)
    for _ in 0..<bounds.randoms { outcomes.append(CrashOutcome(label: "random subset", survivals: randomChoice(&random))) }

    var seen: Set<[Survival]> = []
    return outcomes.compactMap { outcome in
      let legal = legalised(outcome.survivals)
      return seen.insert(legal).inserted ? CrashOutcome(label: outcome.label, survivals: legal) : nil
    }
  }

  /// All indices where they are few; otherwise the latest ones and a random draw of the rest, whose turn as latest came before.
  private func chosenIndices(_ count: Int, _ limit: Int, _ random: inout Random) -> [Int] {
    guard count > limit else { return Array(0..<count) }
    let latest = limit / 2
    var chosen = Set(count - latest..<count)
    while chosen.count < limit { chosen.insert(random.below(count)) }
    return chosen.sorted()
  }

  /// The last write cut in several places, once with everything else kept and once with everything else lost.
  private func tears(_ limit: Int, _ random: inout Random) -> [CrashOutcome] {
    guard limit > 0, let index = pending.lastIndex(where: { if case .data(_, .write) = $0.kind { true } else { false } }),
      case .data(_, .write(let offset, let bytes)) = pending[index].kind
    else { return [] }
    let sectors = sectorCount(offset, bytes.count)
    let lead = Int(offset % UInt64(profile.sectorBytes))
    var cuts: [Survival] = [.grown(stale: nil), .grown(stale: random.next())]
    if sectors > 1 {
      cuts.append(.prefix(bytes: profile.sectorBytes - lead))
      cuts.append(.sectors((0..<sectors).map { $0 == sectors - 1 }))
      cuts.append(.sectors((0..<sectors).map { _ in random.chance(1, in: 2) }))
      cuts.append(.prefix(bytes: (sectors / 2 + 1) * profile.sectorBytes - lead))
    }
    if profile.tear == .byte, bytes.count > 1 {
      cuts += [.prefix(bytes: 1), .prefix(bytes: bytes.count - 1), .prefix(bytes: 1 + random.below(bytes.count - 1))]
    }
    while cuts.count > limit { cuts.remove(at: random.below(cuts.count)) }
    return cuts.flatMap { cut -> [CrashOutcome] in
      var kept = Array(repeating: Survival.kept, count: pending.count)
      var lost = Array(repeating: Survival.lost, count: pending.count)
      kept[index] = cut
      lost[index] = cut
      return [
        CrashOutcome(label: "pending \(index) torn (\(cut)), all else kept", survivals: kept),
        CrashOutcome(label: "pending \(index) torn (\(cut)), all else lost", survivals: lost),
      ]
    }
  }

  /// The pending operations and what became of each, for a report.
  func describe(_ outcome: CrashOutcome, limit: Int = 24) -> String {
    var lines = ["\(outcome.label):"]
    for (index, pair) in zip(pendingOperations, legalised(outcome.survivals)).enumerated().suffix(limit) {
      lines.append("    pending \(index): \(pair.0) -> \(pair.1)")
    }
    if pending.count > limit { lines.insert("    (\(pending.count - limit) earlier ones not shown)", at: 1) }
    return lines.joined(separator: "\n")
  }
}
