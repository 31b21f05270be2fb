import StrataCheckers
import StrataNodes

/// A transaction of a planted history.
struct Planted<Step: Sendable>: Sendable {
  enum End { case ok, fail, info }
  var process: Int
  var from: Int
  var to: Int
  var steps: [Step]
  var end = End.ok

  /// A transaction of its own process that overlaps all others.
  static func all(_ steps: Step..., end: End = .ok) -> Planted { Planted(process: -1, from: 0, to: 1000, steps: steps, end: end) }

  /// A transaction at a time.
  static func at(_ from: Int, _ to: Int, process: Int = -1, _ steps: Step...) -> Planted {
    Planted(process: process, from: from, to: to, steps: steps)
  }

  /// The history in which these happened; without a process each has its own.
  static func history(_ planted: [Planted], blank: (Step) -> Step) throws -> History<[Step], [Step]> {
    var history = History<[Step], [Step]>()
    var events: [(time: Int, isEnd: Bool, index: Int)] = []
    for (index, transaction) in planted.enumerated() {
      events.append((transaction.from, false, index))
      events.append((transaction.to, true, index))
    }
    events.sort { $0.time != $1.time ? $0.time < $1.time : $0.index < $1.index }
    for event in events {
      let transaction = planted[event.index]
      let process = transaction.process < 0 ? 100 + event.index : transaction.process
      if !event.isEnd {
        try history.invoke(transaction.steps.map(blank), by: process, at: UInt64(event.time))
      } else {
        switch transaction.end {
        case .ok: try history.ok(transaction.steps, by: process, at: UInt64(event.time))
        case .fail: try history.fail(by: process, at: UInt64(event.time))
        case .info: try history.lose(by: process, at: UInt64(event.time))
        }
      }
    }
    return history
  }
}

typealias ListHistory = History<[ListStep], [ListStep]>
typealias RegisterHistory = History<[RegisterStep], [RegisterStep]>

func lists(_ planted: [Planted<ListStep>]) throws -> ListHistory {
  try Planted.history(planted) { if case .read(let key, _) = $0 { .read(key: key, []) } else { $0 } }
}

func registers(_ planted: [Planted<RegisterStep>]) throws -> RegisterHistory {
  try Planted.history(planted) {
    switch $0 {
    case .read(let key, _): .read(key: key, nil)
    case .find(let condition, _): .find(condition, found: [:])
    case .write: $0
    }
  }
}

/// Every kind of anomaly in a verdict.
func anomalies(_ verdict: Verdict) -> Set<String> { Set(verdict.violation.map { [$0.kind] + $0.alsoFound } ?? []) }

/// A database of lists in one thread: transactions run step by step in a random order.
struct ListDatabase {
  enum Mode { case serial, snapshot, readCommitted, readUncommitted }

  private struct Open {
    var steps: [ListStep]
    var done: [ListStep] = []
    var snapshot: [Int: [Int]] = [:]
    var own: [Int: [Int]] = [:]
    var start = 0
    var hasBegun = false
    var isRefused = false
  }

  static func run(_ mode: Mode, transactions: Int, keys: Int, processes: Int, readsAllLast: Bool, random: inout Random) throws -> ListHistory {
    var history = ListHistory()
    var lists: [Int: [Int]] = [:]
    var versions: [Int: Int] = [:]
    var clock = 0
    var nextValue = 0
    var begun = 0
    // Who has appended to a list and not ended: others may not, where what is read must be committed.
    var locks: [Int: Int] = [:]
    var open: [Int: Open] = [:]
    while begun < transactions || !open.isEmpty {
      let process = random.below(processes)
      guard var current = open[process] else {
        guard begun < transactions else { continue }
        begun += 1
        let steps = (0...random.below(3)).map { _ -> ListStep in
          let key = random.below(keys)
          if random.chance(1, in: 2) { return .read(key: key, []) }
          nextValue += 1
          return .append(key: key, nextValue)
        }
        try history.invoke(steps, by: process, at: UInt64(history.eventCount))
        open[process] = Open(steps: steps)
        continue
      }
      if !current.hasBegun {
        current.hasBegun = true
        current.snapshot = lists
        current.start = clock
      }
      func read(_ key: Int) -> [Int] { ((mode == .snapshot ? current.snapshot : lists)[key] ?? []) + (current.own[key] ?? []) }
      repeat {
        guard current.done.count < current.steps.count else { break }
        switch current.steps[current.done.count] {
        case .read(let key, _): current.done.append(.read(key: key, read(key)))
        case .append(let key, let value):
          if mode == .readCommitted, locks[key] ?? process != process { current.isRefused = true } else { locks[key] = process }
          current.done.append(.append(key: key, value))
          if mode == .readUncommitted { lists[key, default: []].append(value) } else { current.own[key, default: []].append(value) }
        }
      } while mode == .serial
      if current.done.count < current.steps.count || (mode != .serial && random.chance(1, in: 2)) {
        open[process] = current
        continue
      }
      open[process] = nil
      locks = locks.filter { $0.value != process }
      let conflicts = current.isRefused || mode == .snapshot && current.own.keys.contains { versions[$0, default: 0] > current.start }
      if conflicts || (mode != .readUncommitted && random.chance(1, in: 12)) {
        try history.fail(by: process, at: UInt64(history.eventCount))
        continue
      }
      clock += 1
      for (key, values) in current.own {
        lists[key, default: []] += values
        versions[key] = clock
      }
      if random.chance(1, in: 15) { try history.lose(by: process) } else { try history.ok(current.done, by: process) }
    }
    if readsAllLast {
      try history.invoke((0..<keys).map { .read(key: $0, []) }, by: 99)
      try history.ok((0..<keys).map { .read(key: $0, lists[$0] ?? []) }, by: 99)
    }
    return history
  }
}

/// Whole transactions as operations: linearizable exactly if strictly serializable.
struct ListTransactionModel: SequentialModel {
  typealias Op = [ListStep]
  typealias Result = [ListStep]

  func key(of op: [ListStep]) -> Int { 0 }
  func initial(_ key: Int) -> [Int: [Int]] { [:] }
  func step(_ state: [Int: [Int]], _ op: [ListStep], _ result: [ListStep]?) -> [Int: [Int]]? {
    var state = state
    for step in result ?? op {
      switch step {
      case .append(let key, let value): state[key, default: []].append(value)
      case .read(let key, let values): if result != nil, state[key] ?? [] != values { return nil }
      }
    }
    return state
  }
  func observes(_ op: [ListStep], _ result: [ListStep]?) -> Bool {
    op.allSatisfy { if case .read = $0 { true } else { false } }
  }
}
