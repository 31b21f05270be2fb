/// Judges what is there after a crash against what had been acknowledged before it.
///
/// Batches are numbered in the order in which the system took them. After recovery the state must be that after *some* first batches: all
/// that were acknowledged as durable are among them, none is there in part, nothing is there that nobody wrote, and nothing that had been
/// overwritten for certain is back.
public enum Durability {
  /// What a client was told of a batch.
  public enum Acknowledgement: Hashable, Sendable {
    /// It survives any crash.
    case durable
    /// It was taken, and may be lost in a crash.
    case accepted
    /// Nothing: the client had no answer.
    case none
  }

  /// One batch of changes, all or nothing.
  public struct Batch<Key: Hashable & Sendable, Value: Hashable & Sendable>: Sendable {
    /// The new value of each key; nothing deletes it.
    public let changes: [(key: Key, value: Value?)]
    /// What its client was told.
    public let acknowledgement: Acknowledgement

    /// A batch.
    public init(_ changes: [(key: Key, value: Value?)], _ acknowledgement: Acknowledgement) {
      self.changes = changes
      self.acknowledgement = acknowledgement
    }
  }

  /// Judges `recovered` after the crash of a system that took `batches` in this order. Unknown where no batch was acknowledged. O(n).
  public static func check<Key, Value>(_ batches: [Batch<Key, Value>], recovered: [Key: Value]) -> Verdict {
    guard let certain = batches.lastIndex(where: { $0.acknowledgement == .durable }) else {
      guard batches.contains(where: { $0.acknowledgement == .accepted }) || !recovered.isEmpty else {
        return .unknown(reason: "nothing was acknowledged, so nothing was shown")
      }
      return judge(batches, recovered, from: 0)
    }
    return judge(batches, recovered, from: certain + 1)
  }

  private static func judge<Key, Value>(_ batches: [Batch<Key, Value>], _ recovered: [Key: Value], from first: Int) -> Verdict {
    // How many keys differ between what was recovered and the state after the first batches, kept up batch by batch.
    var state: [Key: Value] = [:]
    var different = recovered.count
    func differs(_ key: Key) -> Bool { state[key] != recovered[key] }
    for length in 0...batches.count {
      if length > 0 {
        for change in batches[length - 1].changes {
          let before = differs(change.key)
          state[change.key] = change.value
          different += (differs(change.key) ? 1 : 0) - (before ? 1 : 0)
        }
      }
      if length >= first, different == 0 {
        return .valid(CheckStatistics(operations: batches.count, steps: length))
      }
    }
    return .invalid(DurabilityExplanation(batches: batches, recovered: recovered, first: first).violation())
  }
}

/// Says which promise a state breaks.
private struct DurabilityExplanation<Key: Hashable & Sendable, Value: Hashable & Sendable> {
  let batches: [Durability.Batch<Key, Value>]
  let recovered: [Key: Value]
  /// The recovered state must be that after at least this many batches.
  let first: Int

  /// Of each key, what each batch made of it.
  private var changes: [Key: [(batch: Int, value: Value?)]] {
    var changes: [Key: [(batch: Int, value: Value?)]] = [:]
    for (number, batch) in batches.enumerated() {
      for change in batch.changes {
        if changes[change.key]?.last?.batch == number { changes[change.key]?.removeLast() }
        changes[change.key, default: []].append((number, change.value))
      }
    }
    return changes
  }

  func violation() -> Violation {
    let changes = changes
    // Of each key, the batches after which it had the recovered value: from each such batch up to the next that changed it.
    var spans: [(key: Key, spans: [Range<Int>])] = []
    for (key, history) in changes {
      var own: [Range<Int>] = []
      if recovered[key] == nil { own.append(0..<((history.first?.batch ?? batches.count) + 1)) }
      for (place, change) in history.enumerated() where change.value == recovered[key] {
        let end = place + 1 < history.count ? history[place + 1].batch + 1 : batches.count + 1
        own.append((change.batch + 1)..<end)
      }
      spans.append((key, own))
    }
    for (key, value) in recovered where changes[key] == nil { return say("phantom", "\(key) is \(value), and nobody ever wrote it.", [], [key]) }
    for (key, own) in spans.sorted(by: { "\($0.key)" < "\($1.key)" }) {
      let history = changes[key] ?? []
      let value = recovered[key].map { "\($0)" } ?? "absent"
      if let value = recovered[key], !history.contains(where: { $0.value == value }) {
        return say("phantom", "\(key) is \(value), which nobody ever wrote to it.", history.map(\.batch), [key])
      }
      if own.contains(where: { $0.upperBound > first }) { continue }
      let last = history.last { $0.batch < first }
      let due = last?.value.map { "\($0)" } ?? "absent"
      let numbers = history.filter { $0.batch < first }.suffix(2).map(\.batch) + own.suffix(1).map { max(0, $0.lowerBound - 1) }
      if last?.value == nil, recovered[key] != nil {
        return say(
          "resurrection", "\(key) is \(value), although its deletion was acknowledged as durable or came before something that was.", numbers, [key])
      }
      return say(
        recovered[key] == nil || own.isEmpty ? "lost write" : "resurrection",
        "\(key) is \(value) and should be \(due) or something later: what was acknowledged as durable is gone.", numbers, [key])
    }
    return disagreement(spans)
  }

  /// Every key alone is right, and no moment is right for all: a batch is there in part, or a later one without an earlier one.
  private func disagreement(_ spans: [(key: Key, spans: [Range<Int>])]) -> Violation {
    for (number, batch) in batches.enumerated() {
      var present: [Key] = []
      var absent: [Key] = []
      for change in batch.changes {
        guard let own = spans.first(where: { $0.key == change.key })?.spans else { continue }
        if !own.contains(where: { $0.upperBound > number + 1 }) { absent.append(change.key) }
        if !own.contains(where: { $0.lowerBound <= number && $0.upperBound > first }) { present.append(change.key) }
      }
      if let here = present.first, let gone = absent.first {
        return say("torn batch", "Batch \(number) is there in \(here) and not in \(gone), and is all or nothing.", [number], [here, gone])
      }
    }
    let latest = spans.max { earliest($0.spans) < earliest($1.spans) }
    let oldest = spans.min { (($0.spans.last?.upperBound ?? 0)) < (($1.spans.last?.upperBound ?? 0)) }
    let keys = [oldest?.key, latest?.key].compactMap { $0 }
    let numbers = [oldest?.spans.last.map { $0.upperBound - 1 }, latest.map { max(0, earliest($0.spans) - 1) }].compactMap { $0 }
    return say(
      "gap", "What a later batch wrote is there and what an earlier one wrote is not: the state is not that after any first batches.", numbers, keys)
  }

  private func earliest(_ spans: [Range<Int>]) -> Int { spans.first { $0.upperBound > first }?.lowerBound ?? 0 }

  private func say(_ kind: String, _ sentence: String, _ numbers: [Int], _ keys: [Key]) -> Violation {
    let shown = Set(numbers.filter { batches.indices.contains($0) }).sorted()
    let interesting = Set(keys)
    var rows = shown.map { number -> (name: String, items: [String]) in
      let batch = batches[number]
      let items = batch.changes.filter { interesting.contains($0.key) }.map { "\($0.key) = \($0.value.map { "\($0)" } ?? "deleted")" }
      return ("batch \(number) (\(batch.acknowledgement))", items)
    }
    let found = keys.map { "\($0) = \(recovered[$0].map { "\($0)" } ?? "absent")" }
    rows.append(("after recovery", found))
    let bound = first == 0 ? "No batch was acknowledged as durable." : "Batches 0 to \(first - 1) had to survive."
    return .listing(kind, "\(sentence) \(bound)", rows, culprits: Set(found))
  }
}
