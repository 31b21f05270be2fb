/// Judges replicated state that is merged: whether merging is what a join must be, and whether replicas that were told the same say the same.
public enum Convergence {
  /// One replica at the end of a run, or at any moment of it.
  public struct Replica<Update: Hashable & Sendable, Observed: Equatable & Sendable>: Sendable {
    /// Its name.
    public let name: String
    /// Which updates it has been told, its own included.
    public let delivered: Set<Update>
    /// What a client would see of it.
    public let observed: Observed

    /// A replica.
    public init(name: String, delivered: Set<Update>, observed: Observed) {
      self.name = name
      self.delivered = delivered
      self.observed = observed
    }
  }

  /// Whether replicas with equal delivered sets have equal observable states. Unknown where no two have, or none was told anything. O(n²).
  public static func check<Update, Observed>(_ replicas: [Replica<Update, Observed>]) -> Verdict {
    var compared = 0
    for (index, a) in replicas.enumerated() where !a.delivered.isEmpty {
      for b in replicas[(index + 1)...] where b.delivered == a.delivered {
        compared += 1
        guard a.observed != b.observed else { continue }
        let explanation =
          "\(a.name) and \(b.name) have been told the same \(a.delivered.count) updates, and show different states: they have diverged for good."
        return .invalid(
          .listing("divergence", explanation, [(a.name, ["\(a.observed)"]), (b.name, ["\(b.observed)"])], culprits: ["\(b.observed)"]))
      }
    }
    guard compared > 0 else { return .unknown(reason: "no two replicas were told the same updates, so nothing was shown") }
    return .valid(CheckStatistics(operations: compared, parts: replicas.count))
  }

  /// Whether `merge` is commutative, associative and idempotent on these states, and gives a state that holds both. Take states that the system
  /// can reach; all triples are looked at, O(n³). Unknown with fewer than two different states.
  public static func checkMerge<State: Equatable & Sendable>(_ states: [State], merge: (State, State) -> State) -> Verdict {
    var different: [State] = []
    for state in states where !different.contains(state) { different.append(state) }
    guard different.count > 1 else { return .unknown(reason: "fewer than two different states, so nothing was shown") }
    var looked = 0
    for a in different {
      looked += 1
      if merge(a, a) != a { return law("idempotence", "Merging a state with itself changed it.", [("a", a), ("a ∪ a", merge(a, a))]) }
      for b in different {
        let (ab, ba) = (merge(a, b), merge(b, a))
        if ab != ba {
          return law("commutativity", "Merging gives another state the other way round.", [("a", a), ("b", b), ("a ∪ b", ab), ("b ∪ a", ba)])
        }
        if merge(a, ab) != ab {
          return law(
            "inflation", "The merged state does not hold what it was merged from: merging that again changes it.",
            [("a", a), ("b", b), ("a ∪ b", ab), ("a ∪ (a ∪ b)", merge(a, ab))])
        }
      }
    }
    for a in different {
      for b in different {
        let ab = merge(a, b)
        for c in different where merge(ab, c) != merge(a, merge(b, c)) {
          return law(
            "associativity", "It matters which two of three states are merged first.",
            [("a", a), ("b", b), ("c", c), ("(a ∪ b) ∪ c", merge(ab, c)), ("a ∪ (b ∪ c)", merge(a, merge(b, c)))])
        }
      }
    }
    return .valid(CheckStatistics(operations: looked, steps: looked * looked * looked))
  }

  /// Whether `update` only ever adds to a state: merging the old state into the new one changes nothing. O(states · updates).
  public static func checkUpdates<State: Equatable & Sendable, Update: Sendable>(
    _ states: [State], _ updates: [Update], apply: (State, Update) -> State, merge: (State, State) -> State
  ) -> Verdict {
    guard !states.isEmpty, !updates.isEmpty else { return .unknown(reason: "no state or no update, so nothing was shown") }
    for state in states {
      for update in updates {
        let after = apply(state, update)
        if merge(state, after) != after {
          return law(
            "inflation", "An update took something away that merging brings back: \(update).",
            [("before", state), ("after", after), ("merged", merge(state, after))])
        }
      }
    }
    return .valid(CheckStatistics(operations: states.count * updates.count))
  }

  private static func law<State>(_ name: String, _ explanation: String, _ states: [(String, State)]) -> Verdict {
    let rows = states.map { ($0.0, ["\($0.1)"]) }
    return .invalid(
      .listing(
        name, explanation + " Replicas that merge in different orders, or the same message twice, will differ.", rows,
        culprits: Set(rows.suffix(1).flatMap(\.1))))
  }
}
