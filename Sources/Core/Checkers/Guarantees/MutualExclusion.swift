/// What a client does with locks and with what they protect.
public enum LockOp: Hashable, Sendable {
  /// Takes a lock.
  case acquire(lock: Int)
  /// Gives a lock back.
  case release(lock: Int)
  /// Changes what the lock protects, showing the token.
  case use(lock: Int, token: Int)

  /// The lock.
  public var lock: Int {
    switch self {
    case .acquire(let lock), .release(let lock), .use(let lock, _): lock
    }
  }
}

/// What a client hears of locks.
public enum LockResult: Hashable, Sendable {
  /// The lock is the client's, with this fencing token.
  case acquired(token: Int)
  /// The lock is free again.
  case released
  /// The change was made.
  case used
}

/// Judges locks: whether two clients held one at once, whether fencing tokens grow, and whether what is protected keeps out old holders.
public enum MutualExclusion {
  /// Judges a history. A client holds a lock for certain from the return of its acquisition to the invocation of its release. Unknown where no
  /// lock was acquired. O(n log n).
  ///
  /// - Parameter leases: whether locks expire, so that a slow holder may overlap with the next without a fault; then only tokens count.
  public static func check(_ history: History<LockOp, LockResult>, leases: Bool = false) -> Verdict {
    var acquisitions: [Int: [Hold]] = [:]
    var uses: [Int: [Use]] = [:]
    var heldBy: [Holder: Int] = [:]
    var count = 0
    for (index, operation) in history.operations.enumerated() {
      let lock = operation.op.lock
      switch (operation.op, operation.result) {
      case (.acquire, .acquired(let token)?):
        heldBy[Holder(process: operation.process, lock: lock)] = acquisitions[lock]?.count ?? 0
        acquisitions[lock, default: []].append(
          Hold(operation: index, invoked: operation.invoked, from: operation.returned ?? .max, to: .max, release: nil, token: token))
        count += 1
      case (.release, _):
        // Also a release nobody saw the end of may have taken effect.
        guard !operation.hasFailed, let hold = heldBy.removeValue(forKey: Holder(process: operation.process, lock: lock)) else { continue }
        acquisitions[lock]?[hold].to = operation.invoked
        acquisitions[lock]?[hold].release = index
      case (.use(_, let token), .used?):
        uses[lock, default: []].append(Use(operation: index, invoked: operation.invoked, returned: operation.returned ?? .max, token: token))
      default: continue
      }
    }
    guard count > 0 else { return .unknown(reason: "no lock was acquired, so nothing was shown") }
    for lock in acquisitions.keys.sorted() {
      let holds = acquisitions[lock] ?? []
      if !leases, let violation = overlap(holds, lock, history) { return .invalid(violation) }
      if let violation = tokens(holds, lock, history) { return .invalid(violation) }
    }
    for lock in uses.keys.sorted() {
      if let violation = fencing(uses[lock] ?? [], lock, history) { return .invalid(violation) }
    }
    return .valid(CheckStatistics(operations: history.operations.count { $0.result != nil }, parts: acquisitions.count))
  }

  private struct Holder: Hashable {
    let process: Int
    let lock: Int
  }

  private struct Hold {
    let operation: Int
    let invoked: Int
    let from: Int
    var to: Int
    var release: Int?
    let token: Int
  }

  private struct Use {
    let operation: Int
    let invoked: Int
    let returned: Int
    let token: Int
  }

  private static func overlap(_ holds: [Hold], _ lock: Int, _ history: History<LockOp, LockResult>) -> Violation? {
    var latest: Hold?
    for hold in holds.sorted(by: { $0.from < $1.from }) {
      if let earlier = latest, earlier.to > hold.from {
        return say(
          "two holders", "Two clients held lock \(lock) at once: the second had it before the first asked to give it back.", history,
          [earlier.operation, earlier.release, hold.release, hold.operation].compactMap { $0 })
      }
      if latest.map({ $0.to < hold.to }) ?? true { latest = hold }
    }
    return nil
  }

  private static func tokens(_ holds: [Hold], _ lock: Int, _ history: History<LockOp, LockResult>) -> Violation? {
    var ended: Hold?
    var next = 0
    let byEnd = holds.sorted { $0.from < $1.from }
    var owner: [Int: Hold] = [:]
    for hold in holds.sorted(by: { $0.invoked < $1.invoked }) {
      if let other = owner.updateValue(hold, forKey: hold.token) {
        return say("token twice", "Two acquisitions of lock \(lock) got the token \(hold.token).", history, [other.operation, hold.operation])
      }
      while next < byEnd.count, byEnd[next].from < hold.invoked {
        if (ended?.token ?? .min) < byEnd[next].token { ended = byEnd[next] }
        next += 1
      }
      if let earlier = ended, earlier.token >= hold.token {
        return say(
          "token went back",
          "Lock \(lock) gave out token \(earlier.token) and later token \(hold.token): who holds the older one would not be kept out.",
          history, [earlier.operation, hold.operation])
      }
    }
    return nil
  }

  private static func fencing(_ uses: [Use], _ lock: Int, _ history: History<LockOp, LockResult>) -> Violation? {
    var ended: Use?
    var next = 0
    let byEnd = uses.sorted { $0.returned < $1.returned }
    for use in uses.sorted(by: { $0.invoked < $1.invoked }) {
      while next < byEnd.count, byEnd[next].returned < use.invoked {
        if (ended?.token ?? .min) < byEnd[next].token { ended = byEnd[next] }
        next += 1
      }
      if let earlier = ended, earlier.token > use.token {
        return say(
          "old token accepted",
          "What lock \(lock) protects was changed with token \(earlier.token) and later with \(use.token), whose holder had lost it by then.",
          history, [earlier.operation, use.operation])
      }
    }
    return nil
  }

  private static func say(_ kind: String, _ explanation: String, _ history: History<LockOp, LockResult>, _ operations: [Int]) -> Violation {
    Violation.timeline(kind, explanation, history, operations) { "\($0.op) → \($0.result.map { "\($0)" } ?? "?")" }
  }
}
