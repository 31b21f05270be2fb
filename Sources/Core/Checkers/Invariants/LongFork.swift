/// What clients do to keys that are written once.
public enum ForkOp: Hashable, Sendable {
  /// Writes a key that nobody else ever writes.
  case write(key: Int)
  /// Reads several keys at once.
  case read([Int])
}

extension Invariants {
  /// No two reads of several keys see writes in different orders: one sees the first and not the second, the other the second and not the first.
  /// Parallel snapshot isolation allows that long fork, snapshot isolation does not.
  ///
  /// A read's result is the set of those of its keys that had been written. Reads of at most `64` keys at once; O(reads · keys) as long as reads
  /// of the same keys form one chain.
  public static func longFork(_ history: History<ForkOp, Set<Int>>) -> Verdict {
    var groups: [[Int]: [(operation: Int, seen: Set<Int>)]] = [:]
    var reads = 0
    for (index, operation) in history.operations.enumerated() {
      guard case .read(let keys) = operation.op, let seen = operation.result else { continue }
      reads += 1
      groups[keys.sorted(), default: []].append((index, seen))
    }
    guard reads > 1 else { return .unknown(reason: "fewer than two reads, so nothing was shown") }
    for keys in groups.keys.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
      // Sorted by size, what was seen must be a chain; neighbours suffice.
      let group = (groups[keys] ?? []).sorted { ($0.seen.count, $0.operation) < ($1.seen.count, $1.operation) }
      for (a, b) in zip(group, group.dropFirst()) where !a.seen.isSubset(of: b.seen) {
        let (x, y) = (a.seen.subtracting(b.seen).sorted(), b.seen.subtracting(a.seen).sorted())
        let explanation =
          "One read saw the writes of \(x) and not those of \(y), the other the other way round: no one order of the writes gives both."
        return .invalid(
          .timeline("long fork", explanation, history, [a.operation, b.operation]) { "\($0.op) → \($0.result.map { "\($0.sorted())" } ?? "?")" })
      }
    }
    return .valid(CheckStatistics(operations: reads, parts: groups.count))
  }
}
