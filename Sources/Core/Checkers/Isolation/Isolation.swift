/// One step of a transaction on lists.
public enum ListStep: Hashable, Sendable, CustomStringConvertible {
  /// Adds a value to the end of a list. A value is added to a list once in a whole history.
  case append(key: Int, Int)
  /// Reads a list. In what is asked the values are left empty.
  case read(key: Int, [Int])

  /// As `append x3 7`, `read x3 [1, 2]`.
  public var description: String {
    switch self {
    case .append(let key, let value): "append x\(key) \(value)"
    case .read(let key, let values): "read x\(key) \(values)"
    }
  }
}

/// One step of a transaction on registers.
public enum RegisterStep: Hashable, Sendable, CustomStringConvertible {
  /// Writes a value. A value is written to a register once in a whole history.
  case write(key: Int, Int)
  /// Reads a register; nothing before the first write. In what is asked the value is left out.
  case read(key: Int, Int?)
  /// Looks for the registers whose values make a condition true: `SELECT * WHERE value % 3 = 0`. In what is asked nothing was found.
  case find(RegisterCondition, found: [Int: Int])

  /// As `write x3 7`, `read x3 nil`, `find value = 3: x1 3`.
  public var description: String {
    switch self {
    case .write(let key, let value): "write x\(key) \(value)"
    case .read(let key, let value): "read x\(key) \(value.map(String.init) ?? "nil")"
    case .find(let condition, let found):
      "find \(condition): " + (found.isEmpty ? "none" : found.sorted { $0.key < $1.key }.map { "x\($0.key) \($0.value)" }.joined(separator: " "))
    }
  }
}

/// From what the order of a register's versions may be taken, beside what a transaction shows that reads a version and writes another.
public struct RegisterOrder: OptionSet, Hashable, Sendable {
  /// The options as bits.
  public let rawValue: Int
  /// As bits.
  public init(rawValue: Int) { self.rawValue = rawValue }
  /// Each register is sequentially consistent: what one client sees and writes, it sees and writes in the order of versions.
  public static let sequential = RegisterOrder(rawValue: 1)
  /// Each register is linearizable: what ended before another began has the earlier version.
  public static let linearizable = RegisterOrder(rawValue: 2)
}

/// Judges transactions as Elle does (Kingsbury and Alvaro, 2020): from what they wrote and read follows how they depend on each other, and a
/// circle of dependencies is an anomaly that rules out isolation levels.
///
/// Time and memory are linear in the history where it is clean. A circle known to be there is reported even if no short witness was found
/// within the budget. Failed transactions had no effect; those whose end is unknown count as committed as soon as somebody read what
/// they wrote. A history without a committed transaction is `unknown`.
public enum Isolation {
  /// Judges transactions that append to lists and read them. The lists give the order of versions, so this finds the most.
  ///
  /// - Parameter level: the verdict is `invalid` if the history rules this level out. Anomalies that do not are among the remarks.
  /// - Throws: ``HistoryError/duplicateWrite(of:at:before:)`` if a value is appended to a list twice.
  public static func checkListAppend(
    _ history: History<[ListStep], [ListStep]>, expecting level: IsolationLevel, budget: CheckBudget = CheckBudget()
  ) throws(HistoryError) -> Verdict {
    var analysis = ListAnalysis(history)
    try analysis.run()
    return analysis.table.findings.verdict(expecting: level, deadline: budget.deadline)
  }

  /// Judges transactions that write registers, read them and look for them. The order of versions is known in part: nothing comes before the first
  /// write, and a transaction that reads one version and writes the register makes a later one. What a transaction looked for and did not find it saw
  /// in a version that does not fit; where there is only one such, it is known which, and who wrote a fitting one after it comes later: phantoms show
  /// so (PMP, G2).
  ///
  /// - Parameters:
  ///   - level: the verdict is `invalid` if the history rules this level out. Anomalies that do not are among the remarks.
  ///   - order: what else may be concluded. Wrong conclusions give wrong verdicts.
  /// - Throws: ``HistoryError/duplicateWrite(of:at:before:)`` if a value is written to a register twice.
  public static func checkRegisters(
    _ history: History<[RegisterStep], [RegisterStep]>, expecting level: IsolationLevel, order: RegisterOrder = [],
    budget: CheckBudget = CheckBudget()
  ) throws(HistoryError) -> Verdict {
    var analysis = RegisterAnalysis(history, order)
    try analysis.run()
    return analysis.table.findings.verdict(expecting: level, deadline: budget.deadline)
  }
}

/// What a transaction came to.
enum TransactionFate {
  case committed, aborted
  /// Nobody knows; committed if somebody read what it wrote.
  case open
}

/// A key and a value of it.
struct KeyValue: Hashable {
  let key: Int32
  let value: Int
}

/// A write of a history.
struct TransactionWrite {
  let transaction: Int32
  /// Whether the transaction wrote the same object again afterwards.
  var isIntermediate = false
  /// Whether a list that was read holds it.
  var isRead = false
}

/// What the analysis of a history found, before circles are looked for.
struct IsolationFindings {
  /// What an anomaly that is no circle rests on.
  struct Direct {
    let anomaly: Anomaly
    let transactions: [Int32]
    let explanation: String
  }

  /// Each transaction as text, for witnesses.
  let describe: (Int32) -> String
  var graph: DependencyGraph
  /// The first of each kind, and how often each came up.
  private(set) var direct: [Anomaly: Direct] = [:]
  private(set) var counts: [Anomaly: Int] = [:]
  var committed = 0
  var keyNames: [Int] = []

  init(transactions: Int, describe: @escaping (Int32) -> String) {
    graph = DependencyGraph(count: transactions)
    self.describe = describe
  }

  mutating func add(_ anomaly: Anomaly, _ transactions: [Int32], _ explanation: @autoclosure () -> String) {
    counts[anomaly, default: 0] += 1
    if let known = direct[anomaly], known.transactions.count <= transactions.count { return }
    direct[anomaly] = Direct(anomaly: anomaly, transactions: transactions, explanation: explanation())
  }
}

/// Adds what follows from when transactions began and ended.
enum TimeOrder {
  /// Edges from each transaction to those that began after it had ended, as few as say the same together: at most one for each pair of
  /// transactions that neither overlap nor have a third between them. O(n · the number that overlap).
  static func addEdges<Op, Result>(_ history: History<Op, Result>, _ isIn: (Int32) -> Bool, to graph: inout DependencyGraph) {
    var lastOf: [Int: Int32] = [:]
    var returnAt = [Int32](repeating: -1, count: history.eventCount)
    var invokeAt = returnAt
    for (index, operation) in history.operations.enumerated() where isIn(Int32(index)) {
      invokeAt[operation.invoked] = Int32(index)
      guard operation.result != nil, let returned = operation.returned else { continue }
      returnAt[returned] = Int32(index)
      if let last = lastOf[operation.process] { graph.add(.init(last, Int32(index), .process)) }
      lastOf[operation.process] = Int32(index)
    }
    // What ended last: nothing in it ended before another of it began.
    var frontier: [Int32] = []
    for event in 0..<history.eventCount {
      if invokeAt[event] >= 0 {
        for earlier in frontier { graph.add(.init(earlier, invokeAt[event], .realtime)) }
      } else if returnAt[event] >= 0 {
        let began = history.operations[Int(returnAt[event])].invoked
        frontier.removeAll { (history.operations[Int($0)].returned ?? .max) < began }
        frontier.append(returnAt[event])
      }
    }
  }
}
