/// What clients of a bank do: read all accounts at once, or move money between two.
public enum BankOp: Hashable, Sendable {
  /// Reads all accounts.
  case read
  /// Moves an amount.
  case transfer(from: Int, to: Int, amount: Int)
}

/// What they hear.
public enum BankResult: Hashable, Sendable {
  /// The balance of each account.
  case balances([Int: Int])
  /// The transfer is done.
  case transferred
}

/// Small invariants of recorded histories, each cheap to check and telling about one kind of fault. All are O(n log n) or better, and
/// `unknown` for a history that shows nothing.
public enum Invariants {
  /// Money is neither made nor lost: every read of all accounts sums up to `total`, names the accounts it should, and has no debts where they
  /// are not allowed.
  public static func bank(
    _ history: History<BankOp, BankResult>, total: Int, accounts: Set<Int>? = nil, allowsDebts: Bool = false
  ) -> Verdict {
    var reads = 0
    for (index, operation) in history.operations.enumerated() {
      guard case .balances(let balances)? = operation.result else { continue }
      reads += 1
      func wrong(_ kind: String, _ explanation: String) -> Verdict {
        // What was moved while the read was open, or right before it, is where the fault is.
        let suspects = history.operations.indices.filter { other in
          guard case .transfer = history.operations[other].op, !history.operations[other].hasFailed else { return false }
          return history.operations[other].invoked < operation.returned ?? .max
            && (history.operations[other].returned ?? .max) > operation.invoked
        }
        return .invalid(
          .timeline(kind, explanation, history, suspects.suffix(8) + [index]) { "\($0.op) → \($0.result.map { describe($0) } ?? "?")" })
      }
      let sum = balances.values.reduce(into: (value: 0, overflows: false)) { sum, balance in
        let (value, overflow) = sum.value.addingReportingOverflow(balance)
        sum = (value, sum.overflows || overflow)
      }
      if sum.overflows || sum.value != total {
        return wrong(
          "wrong total", "A read of all accounts sums up to \(sum.value), not to \(total): it saw a transfer in part, or one was made or lost.")
      }
      if let accounts, Set(balances.keys) != accounts {
        let odd = Set(balances.keys).symmetricDifference(accounts).sorted()
        return wrong("wrong accounts", "A read of all accounts has others than there are: \(odd).")
      }
      if !allowsDebts, let debt = balances.sorted(by: { $0.key < $1.key }).first(where: { $0.value < 0 }) {
        return wrong("negative balance", "Account \(debt.key) has \(debt.value), and debts are not allowed: a transfer overlooked another.")
      }
    }
    guard reads > 0 else { return .unknown(reason: "the accounts were never read, so nothing was shown") }
    return .valid(CheckStatistics(operations: history.operations.count { $0.result != nil }, steps: reads))
  }

  private static func describe(_ result: BankResult) -> String {
    switch result {
    case .balances(let balances): balances.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: ", ")
    case .transferred: "done"
    }
  }
}
