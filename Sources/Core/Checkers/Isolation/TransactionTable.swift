/// What every analysis of transactions knows: how each ended, who wrote what, and the numbers keys go by.
struct TransactionTable<Step: Hashable & Sendable & CustomStringConvertible> {
  let history: History<[Step], [Step]>
  var findings: IsolationFindings
  private(set) var fates: [TransactionFate]
  private(set) var writes: [KeyValue: TransactionWrite] = [:]
  private var keyNumbers: [Int: Int32] = [:]

  init(_ history: History<[Step], [Step]>) {
    self.history = history
    fates = history.operations.map { $0.hasFailed ? .aborted : $0.result != nil ? .committed : .open }
    findings = IsolationFindings(transactions: history.operations.count) { number in
      let operation = history.operations[Int(number)]
      let steps = (operation.result ?? operation.op).map(\.description).joined(separator: ", ")
      return "T\(number) (process \(operation.process)\(operation.hasFailed ? ", failed" : operation.result == nil ? ", end unknown" : "")): \(steps)"
    }
  }

  var keyCount: Int { keyNumbers.count }

  /// The number of a key, a new one where it has none.
  mutating func number(of key: Int) -> Int32 {
    if let number = keyNumbers[key] { return number }
    let number = Int32(keyNumbers.count)
    keyNumbers[key] = number
    findings.keyNames.append(key)
    return number
  }

  /// The number of a key that has one.
  func knownNumber(of key: Int) -> Int32? { keyNumbers[key] }

  /// Notes who wrote what.
  ///
  /// - Throws: ``HistoryError/duplicateWrite(of:at:before:)`` if one value is written to a key twice.
  mutating func collectWrites(
    _ write: (Step) -> (key: Int, value: Int)?, naming name: (_ key: Int, _ value: Int) -> String
  ) throws(HistoryError) {
    writes.reserveCapacity(history.operations.count * 2)
    for (index, operation) in history.operations.enumerated() {
      var last: [Int32: KeyValue] = [:]
      for step in operation.op {
        guard let (key, value) = write(step) else { continue }
        let entry = KeyValue(key: number(of: key), value: value)
        if let earlier = writes[entry] {
          throw .duplicateWrite(
            of: name(key, value), at: .event(operation.invoked), before: .event(history.operations[Int(earlier.transaction)].invoked))
        }
        writes[entry] = TransactionWrite(transaction: Int32(index))
        if let before = last.updateValue(entry, forKey: entry.key) { writes[before]?.isIntermediate = true }
      }
    }
  }

  /// Somebody read a value: who wrote it has committed, unless it is known to have failed.
  mutating func see(_ entry: KeyValue) -> TransactionWrite? {
    guard let write = writes[entry] else { return nil }
    writes[entry]?.isRead = true
    if fates[Int(write.transaction)] == .open { fates[Int(write.transaction)] = .committed }
    return write
  }

  func isCommitted(_ transaction: Int32) -> Bool { fates[Int(transaction)] == .committed }

  /// Adds what follows from when transactions began and ended, and closes the graph.
  mutating func finish() {
    let fates = fates
    TimeOrder.addEdges(history, { fates[Int($0)] == .committed }, to: &findings.graph)
    findings.graph.seal()
    findings.committed = fates.count { $0 == .committed }
  }
}
