import StrataJobs
import Synchronization

/// Judges whether a history is linearizable: whether each operation can be given one moment between its invocation and its return so that the
/// results are those of one operation after the other (Herlihy and Wing, 1990).
///
/// Registers whose values are written once are judged in O(n log n). Everything else is searched, one part of the history at a time, which is
/// exponential at worst; so the check has a budget, and without an answer in time the verdict is `unknown`. Pure but for the threads it uses
/// while it runs; may be called from any thread, and blocks it.
public enum Linearizability {
  /// How many bytes of partial linearizations are kept at most.
  static let partialLinearizationBytes = 64 << 20
  /// Below this many operations threads cost more than they bring.
  static let parallelFrom = 4096

  /// Judges `history` against `model`.
  ///
  /// An operation whose end is unknown may take effect at any moment after its invocation or never; one that failed is left out. A history
  /// without a successful operation is `unknown`: nothing was shown.
  public static func check<M: SequentialModel>(
    _ history: History<M.Op, M.Result>, against model: M, budget: CheckBudget = CheckBudget()
  ) -> Verdict {
    LinearizabilityCheck(model, history.operations, budget).verdict()
  }

  /// As the general form, faster by the types being known.
  public static func check(
    _ history: History<RegisterModel.Op, RegisterModel.Result>, against model: RegisterModel, budget: CheckBudget = CheckBudget()
  ) -> Verdict {
    LinearizabilityCheck(model, history.operations, budget).verdict()
  }

  /// As the general form, faster by the types being known.
  public static func check(
    _ history: History<KeyValueModel.Op, KeyValueModel.Result>, against model: KeyValueModel, budget: CheckBudget = CheckBudget()
  ) -> Verdict {
    LinearizabilityCheck(model, history.operations, budget).verdict()
  }

  /// An order of some operations of one part that is right as far as it goes.
  public struct PartialLinearization: Hashable, Sendable {
    /// The operations, as numbers in the history, in the order in which they took effect.
    public let operations: [Int]
  }

  /// For each part of the history the longest orders the search found: together they hold every operation that any of them could hold, and
  /// where a part is linearizable one of them holds all that returned. At most 64 MiB are kept per part.
  public static func partialLinearizations<M: SequentialModel>(
    _ history: History<M.Op, M.Result>, against model: M, budget: CheckBudget = CheckBudget()
  ) -> [[PartialLinearization]] {
    let check = LinearizabilityCheck(model, history.operations, budget)
    return check.parts.indices.map { part in
      Set(check.orders(part, check.parts[part].members)).sorted { $0.count > $1.count }.map { order in
        PartialLinearization(operations: order.map { Int(check.parts[part].members[Int($0)].operation) })
      }
    }
  }
}

/// One check: the history in parts, and what may be spent.
struct LinearizabilityCheck<M: SequentialModel>: Sendable {
  typealias Operation = History<M.Op, M.Result>.Operation
  typealias Member = LinearizabilityPart.Member

  let model: M
  let operations: [Operation]
  private(set) var keys: [M.Key] = []
  private(set) var parts: [LinearizabilityPart] = []
  private var successes = 0
  private var judged = 0
  private let budget: CheckBudget
  private let deadline: UInt64
  private let workers: Int

  init(_ model: M, _ operations: [Operation], _ budget: CheckBudget) {
    self.model = model
    self.operations = operations
    self.budget = budget
    deadline = budget.deadline
    var partOf: [M.Key: Int] = [:]
    for (index, operation) in operations.enumerated() {
      switch operation.outcome {
      case .failed: continue
      // What nobody saw the end of and what changes nothing shows nothing.
      case .unknown: if model.observes(operation.op, nil) { continue }
      case .ok: successes += 1
      }
      let key = model.key(of: operation.op)
      let part: Int
      if let known = partOf[key] {
        part = known
      } else {
        part = parts.count
        partOf[key] = part
        parts.append(LinearizabilityPart())
        keys.append(key)
      }
      parts[part].members.append(Member(operation: Int32(truncatingIfNeeded: index), isOpen: operation.result == nil))
      judged += 1
    }
    let wanted = budget.threads ?? Processors.online
    workers = judged < Linearizability.parallelFrom ? 1 : max(1, min(wanted, parts.count))
  }

  func verdict() -> Verdict {
    guard operations.count <= Int32.max else { return .unknown(reason: "more than 2^31 operations; check the history in pieces") }
    guard successes > 0 else { return .unknown(reason: "no operation succeeded, so nothing was shown") }
    let found = workers > 1 ? judgeInParallel() : judgeInOrder()
    var statistics = CheckStatistics(operations: judged, parts: parts.count)
    var unknown: String?
    for (part, finding) in found.enumerated() {
      guard let finding else { continue }
      statistics.steps += finding.steps
      switch finding.answer {
      case .contradiction: return .invalid(violation(part, finding.members))
      case .outOfBudget(let what):
        unknown = unknown ?? "the \(what) was used up on the part \(keys[part]) with \(parts[part].members.count) operations"
      case .linearizable, .stopped: continue
      }
    }
    if let unknown { return .unknown(reason: unknown) }
    return .valid(statistics)
  }

  struct Finding {
    let answer: LinearizabilitySearch.Answer
    let steps: Int
    /// In a contradiction, members that contradict each other without the rest of the part.
    let members: [Member]
  }

  private func judgeInOrder() -> [Finding?] {
    var found: [Finding?] = []
    for part in parts {
      let finding = judge(part.members, memory: budget.memory, isNeedless: { false })
      found.append(finding)
      if finding.answer == .contradiction { break }
    }
    return found
  }

  /// Several parts at once. The answer is that of one after the other: only parts behind a contradiction are given up.
  private func judgeInParallel() -> [Finding?] {
    let next = Atomic(0)
    let contradiction = Atomic(Int.max)
    let found = Monitor([Finding?](repeating: nil, count: parts.count))
    withoutActuallyEscaping(
      {
        while true {
          let part = next.wrappingAdd(1, ordering: .relaxed).oldValue
          guard part < parts.count, part < contradiction.load(ordering: .relaxed) else { return }
          let finding = judge(parts[part].members, memory: budget.memory / workers) { contradiction.load(ordering: .relaxed) < part }
          if finding.answer == .contradiction { contradiction.min(part, ordering: .relaxed) }
          found.withLock { $0[part] = finding }
        }
      } as @Sendable () -> Void
    ) { body in
      let helpers = (1..<workers).map { _ in Worker(name: "strata-check", body) }
      body()
      for helper in helpers { helper.join() }
    }
    return found.withLock { $0 }
  }

  private func interval(_ member: Member) -> LinearizabilitySearch.Interval {
    let operation = operations[Int(member.operation)]
    return LinearizabilitySearch.Interval(
      invoked: operation.invoked, returned: member.isOpen ? nil : operation.returned,
      observes: model.observes(operation.op, member.isOpen ? nil : operation.result))
  }

  private func judge(_ members: [Member], memory: Int, isNeedless: () -> Bool) -> Finding {
    let intervals = members.map(interval)
    if let fast = judgeAsRegister(members, intervals) { return fast }
    let key = model.key(of: operations[Int(members[0].operation)].op)
    let states = StateSpace(model, model.initial(key), members, of: operations)
    var search = LinearizabilitySearch(intervals)
    let answer = search.run(memoryLimit: memory, keepsOrders: false, goesOn: { goesOn($0, isNeedless) }) { states.step($0, $1) }
    return Finding(answer: answer, steps: search.steps, members: members)
  }

  private func goesOn(_ steps: Int, _ isNeedless: () -> Bool) -> LinearizabilitySearch.Answer? {
    if isNeedless() { return .stopped }
    if steps >= budget.steps { return .outOfBudget("number of steps") }
    if budget.cancellation?.isCancelled == true { return .outOfBudget("patience of the caller, who cancelled,") }
    return MonotonicClock.now() >= deadline ? .outOfBudget("time") : nil
  }

  private func judgeAsRegister(_ members: [Member], _ intervals: [LinearizabilitySearch.Interval]) -> Finding? {
    var accesses: [RegisterAccess] = []
    accesses.reserveCapacity(members.count)
    for member in members {
      let operation = operations[Int(member.operation)]
      guard let access = model.registerAccess(operation.op, member.isOpen ? nil : operation.result) else { return nil }
      accesses.append(access)
    }
    switch Zones.judge(intervals, accesses) {
    case .notApplicable: return nil
    case .linearizable: return Finding(answer: .linearizable, steps: members.count, members: [])
    case .contradiction(let culprits):
      return Finding(answer: .contradiction, steps: members.count, members: Set(culprits).sorted().map { members[$0] })
    }
  }

  /// Whether these members alone contradict each other; no where the budget does not suffice to tell.
  func contradicts(_ members: [Member]) -> Bool {
    !members.isEmpty && judge(members, memory: budget.memory, isNeedless: { false }).answer == .contradiction
  }

  /// The longest orders of these members.
  func orders(_ part: Int, _ members: [Member]) -> [LinearizabilitySearch.Order] {
    let states = StateSpace(model, model.initial(keys[part]), members, of: operations)
    var search = LinearizabilitySearch(members.map(interval))
    _ = search.run(memoryLimit: budget.memory, keepsOrders: true, goesOn: { goesOn($0, { false }) }) { states.step($0, $1) }
    return search.longest.compactMap { $0 }
  }

  /// The state after these members in this order.
  func state(_ part: Int, after order: LinearizabilitySearch.Order, of members: [Member]) -> M.State {
    var state = model.initial(keys[part])
    for number in order {
      let member = members[Int(number)]
      let operation = operations[Int(member.operation)]
      state = model.step(state, operation.op, member.isOpen ? nil : operation.result) ?? state
    }
    return state
  }
}
