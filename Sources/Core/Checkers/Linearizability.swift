import StrataJobs

/// Judges whether a history is linearizable: whether each operation can be given one moment between its invocation and its return so that the
/// results are those of one operation after the other (Herlihy and Wing, 1990).
///
/// The search is Wing and Gong's with Lowe's memory of visited configurations (Testing for linearizability, 2017), one part of the
/// history at a time. It is exponential at worst, so it has a budget; without an answer in time the verdict is `unknown`.
public enum Linearizability {
  /// Judges `history` against `model`.
  ///
  /// An operation whose end is unknown may take effect at any moment after its invocation or never; one that failed is left out. A history
  /// without a successful operation is `unknown`: nothing was shown.
  public static func check<M: SequentialModel>(
    _ history: History<M.Op, M.Result>, against model: M, budget: CheckBudget = CheckBudget()
  ) -> Verdict {
    var keys: [M.Key] = []
    var parts: [M.Key: [LinearizabilitySearch<M>.Operation]] = [:]
    var successes = 0
    for operation in history.operations {
      let result: M.Result?
      switch operation.outcome {
      case .failed: continue
      case .unknown:
        // What nobody saw the end of and what changes nothing shows nothing.
        if model.observes(operation.op) { continue }
        result = nil
      case .ok(let value):
        result = value
        successes += 1
      }
      let key = model.key(of: operation.op)
      if parts[key] == nil { keys.append(key) }
      parts[key, default: []].append(
        .init(
          process: operation.process, op: operation.op, result: result, invoked: operation.invoked,
          returned: result == nil ? nil : operation.returned))
    }
    guard successes > 0 else { return .unknown(reason: "no operation succeeded, so nothing was shown") }
    let deadline = MonotonicClock.now() &+ UInt64(clamping: budget.time.nanoseconds)
    var statistics = CheckStatistics(operations: 0, parts: keys.count)
    var unknown: String?
    for key in keys {
      let operations = parts[key] ?? []
      var search = LinearizabilitySearch(model: model, initial: model.initial(key), operations: operations)
      let answer = search.run(deadline: deadline, memory: budget.memory)
      statistics.operations += operations.count
      statistics.steps += search.steps
      switch answer {
      case .linearizable: continue
      case .outOfBudget(let what): unknown = "the \(what) was used up on the part \(key) with \(operations.count) operations"
      case .contradiction: return .invalid(violation(model, key, operations, deadline, budget.memory))
      }
    }
    if let unknown { return .unknown(reason: unknown) }
    return .valid(statistics)
  }

  /// Makes the part as small as it stays contradictory and tells what it shows.
  private static func violation<M: SequentialModel>(
    _ model: M, _ key: M.Key, _ all: [LinearizabilitySearch<M>.Operation], _ deadline: UInt64, _ memory: Int
  ) -> Violation {
    func contradicts(_ operations: [LinearizabilitySearch<M>.Operation]) -> Bool {
      var search = LinearizabilitySearch(model: model, initial: model.initial(key), operations: operations)
      return search.run(deadline: deadline, memory: memory) == .contradiction
    }
    // First the shortest beginning that contradicts itself: what returns later counts as unknown, what is invoked later is left out.
    func beginning(_ end: Int) -> [LinearizabilitySearch<M>.Operation] {
      all.compactMap { operation in
        guard operation.invoked <= end else { return nil }
        var operation = operation
        if let returned = operation.returned, returned > end {
          if model.observes(operation.op) { return nil }
          operation.returned = nil
          operation.result = nil
        }
        return operation
      }
    }
    let ends = all.compactMap(\.returned).sorted()
    var low = 0
    var high = ends.count - 1
    while low < high {
      let middle = (low + high) / 2
      if contradicts(beginning(ends[middle])) { high = middle } else { low = middle + 1 }
    }
    var witness = ends.isEmpty ? all : beginning(ends[low])
    // Then every observation it does without. Leaving out what changes the state could make a right history wrong, so that stays.
    for index in witness.indices.reversed() where model.observes(witness[index].op) {
      var shorter = witness
      shorter.remove(at: index)
      if contradicts(shorter) { witness = shorter }
    }
    let last = witness.max { ($0.returned ?? -1) < ($1.returned ?? -1) }
    let lines = witness.sorted { $0.invoked < $1.invoked }.map { $0.description }
    let explanation =
      "No order of these \(witness.count) operations on \(key) that keeps every operation between its invocation and its return gives "
      + "the results that were seen. Everything before \(last.map { "\($0.op)" } ?? "the last operation") returned can be ordered; "
      + "with its result \(last?.result.map { "\($0)" } ?? "-") nothing can."
    return Violation(
      kind: "linearizability", explanation: explanation, witness: lines,
      html: HistoryPicture.page(
        title: "Not linearizable: \(key)", explanation: explanation,
        bars: witness.map {
          .init(
            process: $0.process, from: $0.invoked, to: $0.returned, text: "\($0.op)\($0.result.map { " → \($0)" } ?? " → ?")",
            isCulprit: $0.returned == last?.returned && $0.returned != nil)
        }))
  }
}

/// The search over one part.
struct LinearizabilitySearch<M: SequentialModel> {
  struct Operation: CustomStringConvertible {
    let process: Int
    let op: M.Op
    var result: M.Result?
    let invoked: Int
    var returned: Int?

    var description: String {
      "process \(process): \(op) → \(result.map { "\($0)" } ?? "?")  [\(invoked), \(returned.map(String.init) ?? "…")]"
    }
  }

  enum Answer: Equatable {
    case linearizable, contradiction
    case outOfBudget(String)
  }

  /// A visited configuration: which operations are done, and the state they led to.
  private struct Configuration: Hashable {
    let done: [UInt64]
    let doneHash: UInt64
    let state: M.State

    static func == (a: Configuration, b: Configuration) -> Bool { a.doneHash == b.doneHash && a.done == b.done && a.state == b.state }

    func hash(into hasher: inout Hasher) {
      hasher.combine(doneHash)
      hasher.combine(state)
    }
  }

  private let model: M
  private let initial: M.State
  private let operations: [Operation]
  /// The ends of operations in the order of the history: entry `e` stands for the invocation (`isCall`) or return of `operation[e]`.
  private var operationOf: [Int] = []
  private var isCall: [Bool] = []
  private var previous: [Int] = []
  private var next: [Int] = []
  private var returnEntry: [Int]
  private(set) var steps = 0

  init(model: M, initial: M.State, operations: [Operation]) {
    self.model = model
    self.initial = initial
    self.operations = operations
    returnEntry = Array(repeating: 0, count: operations.count)
    var ends: [(place: Int, isCall: Bool, operation: Int)] = []
    for (index, operation) in operations.enumerated() {
      ends.append((operation.invoked, true, index))
      // What never returned may take effect as late as after everything else.
      ends.append((operation.returned ?? .max, false, index))
    }
    // A return and an invocation at one place overlap, since intervals include their ends: the invocation comes first.
    ends.sort { $0.place != $1.place ? $0.place < $1.place : ($0.isCall ? 0 : 1, $0.operation) < ($1.isCall ? 0 : 1, $1.operation) }
    // Entry 0 is the head of the list.
    operationOf = [-1] + ends.map(\.operation)
    isCall = [false] + ends.map(\.isCall)
    let count = operationOf.count
    previous = (0..<count).map { $0 - 1 }
    next = (0..<count).map { $0 + 1 < count ? $0 + 1 : -1 }
    for entry in 1..<max(1, count) where !isCall[entry] { returnEntry[operationOf[entry]] = entry }
  }

  private mutating func takeOut(_ entry: Int) {
    next[previous[entry]] = next[entry]
    if next[entry] >= 0 { previous[next[entry]] = previous[entry] }
  }

  private mutating func putBack(_ entry: Int) {
    next[previous[entry]] = entry
    if next[entry] >= 0 { previous[next[entry]] = entry }
  }

  mutating func run(deadline: UInt64, memory: Int) -> Answer {
    let words = (operations.count + 63) / 64
    var done = [UInt64](repeating: 0, count: words)
    var doneHash: UInt64 = 0
    var state = initial
    var path: [(entry: Int, state: M.State)] = []
    var visited: Set<Configuration> = []
    let configurationSize = words * 8 + MemoryLayout<Configuration>.stride + 48
    var certain = operations.count { $0.returned != nil }
    var entry = next[0]
    while certain > 0 {
      steps &+= 1
      if steps & 0xFFF == 0, MonotonicClock.now() > deadline { return .outOfBudget("time") }
      if entry >= 0, isCall[entry] {
        let index = operationOf[entry]
        if let after = model.step(state, operations[index].op, operations[index].result) {
          let bit = UInt64(1) << UInt64(index & 63)
          let hash = doneHash ^ Self.mark(index)
          done[index >> 6] |= bit
          if visited.insert(Configuration(done: done, doneHash: hash, state: after)).inserted {
            if visited.count * configurationSize > memory { return .outOfBudget("memory") }
            path.append((entry, state))
            state = after
            doneHash = hash
            if operations[index].returned != nil { certain -= 1 }
            takeOut(entry)
            takeOut(returnEntry[index])
            entry = next[0]
            continue
          }
          done[index >> 6] &= ~bit
        }
        entry = next[entry]
        continue
      }
      // A return whose operation has not been placed: nothing more can come before it, so the last choice was wrong.
      guard let (last, before) = path.popLast() else { return .contradiction }
      let index = operationOf[last]
      state = before
      done[index >> 6] &= ~(UInt64(1) << UInt64(index & 63))
      doneHash ^= Self.mark(index)
      if operations[index].returned != nil { certain += 1 }
      putBack(returnEntry[index])
      putBack(last)
      entry = next[last]
    }
    return .linearizable
  }

  /// A word for each operation, so that the hash of a set of operations is the exclusive or of its members'.
  private static func mark(_ index: Int) -> UInt64 {
    var x = UInt64(bitPattern: Int64(index)) &+ 0x9E37_79B9_7F4A_7C15
    x = (x ^ (x >> 30)) &* 0xBF58_476D_1CE4_E5B9
    x = (x ^ (x >> 27)) &* 0x94D0_49BB_1331_11EB
    return x ^ (x >> 31)
  }
}
