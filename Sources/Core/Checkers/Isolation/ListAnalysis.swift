/// What a history of lists shows about the order of versions and the dependencies of transactions.
struct ListAnalysis {
  private(set) var table: TransactionTable<ListStep>
  private var lists: [List] = []

  /// What is known of one list.
  private struct List {
    /// The longest list anybody read, and who.
    var longest: [Int] = []
    var reader: Int32 = -1
    /// Of each length, a transaction that read the list so and appended to it.
    var updater: [Int32] = []
    /// Committed appends nobody has read: they come after everything read. A few stand for all.
    var unread: [(transaction: Int32, value: Int)] = []
    static let mostUnread = 4
  }

  /// What one transaction saw of one list before it appended to it itself.
  private struct Seen {
    var external: [Int]?
    var own: [Int] = []
  }

  init(_ history: History<[ListStep], [ListStep]>) { table = TransactionTable(history) }

  private var history: History<[ListStep], [ListStep]> { table.history }

  mutating func run() throws(HistoryError) {
    try table.collectWrites({ if case .append(let key, let value) = $0 { (key, value) } else { nil } }) { "the append of \($1) to x\($0)" }
    collectReads()
    judgeLists()
    for number in history.operations.indices where table.isCommitted(Int32(number)) { judge(Int32(number)) }
    addVersionEdges()
    table.finish()
  }

  private mutating func collectReads() {
    lists = Array(repeating: List(), count: table.keyCount)
    for (index, operation) in history.operations.enumerated() {
      for case .read(let name, let values) in operation.result ?? [] {
        let key = Int(table.number(of: name))
        if key == lists.count { lists.append(List()) }
        if values.count > lists[key].longest.count || lists[key].reader < 0 {
          lists[key].longest = values
          lists[key].reader = Int32(index)
        }
      }
    }
  }

  /// Looks at what the longest reads hold, and takes as committed what they show of open transactions.
  private mutating func judgeLists() {
    for key in lists.indices {
      let list = lists[key]
      lists[key].updater = Array(repeating: -1, count: list.longest.count + 1)
      judgeElements(list.longest, Int32(key), list.reader)
    }
  }

  private mutating func judgeElements(_ values: [Int], _ key: Int32, _ reader: Int32) {
    var seen: Set<Int> = []
    var undone: (value: Int, transaction: Int32)?
    for value in values {
      if !seen.insert(value).inserted {
        table.findings.add(.duplicate, [reader], "T\(reader) read a list that holds \(value) twice, though it was appended once.")
      }
      guard let write = table.see(KeyValue(key: key, value: value)) else {
        table.findings.add(.garbage, [reader], "T\(reader) read \(value) in a list to which nobody ever appended it.")
        continue
      }
      if table.fates[Int(write.transaction)] == .aborted {
        table.findings.add(
          .g1a, [write.transaction, reader],
          "T\(reader) read \(value), which T\(write.transaction) appended before it failed: it read what was undone.")
        undone = undone ?? (value, write.transaction)
      } else if let undone {
        table.findings.add(
          .dirtyUpdate, [undone.transaction, write.transaction, reader],
          "T\(write.transaction) committed \(value) on top of \(undone.value), which T\(undone.transaction) appended before it failed: what was "
            + "undone lives on, as T\(reader) read.")
      }
    }
  }

  /// Looks at one committed transaction: what it read of itself and of others.
  private mutating func judge(_ number: Int32) {
    let operation = history.operations[Int(number)]
    var seen: [Int32: Seen] = [:]
    for step in operation.result ?? operation.op {
      switch step {
      case .append(let name, let value): seen[table.number(of: name), default: Seen()].own.append(value)
      case .read(let name, let values):
        guard operation.result != nil else { continue }
        let key = table.number(of: name)
        var known = seen[key] ?? Seen()
        let isOwn = values.count >= known.own.count && values.suffix(known.own.count).elementsEqual(known.own)
        let external = isOwn ? Array(values.dropLast(known.own.count)) : values
        if !isOwn || known.external.map({ $0 != external }) ?? false {
          table.findings.add(
            .internal, [number], "T\(number) read x\(name) as \(values), which does not agree with what it had read and appended itself before.")
          continue
        }
        if known.external == nil {
          known.external = external
          judgeRead(number, key, name, external, values)
        }
        seen[key] = known
      }
    }
    for (key, known) in seen.sorted(by: { $0.key < $1.key }) where !known.own.isEmpty { judgeUpdate(number, key, known) }
  }

  /// What a transaction read of others: it must be a beginning of the list's order, and end with what was final.
  private mutating func judgeRead(_ number: Int32, _ key: Int32, _ name: Int, _ values: [Int], _ whole: [Int]) {
    let list = lists[Int(key)]
    if list.longest.count < whole.count || !list.longest.starts(with: whole) {
      table.findings.add(
        .incompatibleOrder, [list.reader, number],
        "T\(list.reader) read x\(name) as \(list.longest) and T\(number) read it as \(whole): neither is a beginning of the other, so no order of "
          + "the appends gives both.")
      judgeElements(whole, key, number)
      return
    }
    if let last = values.last, let write = table.writes[KeyValue(key: key, value: last)], write.transaction != number {
      if write.isIntermediate {
        table.findings.add(
          .g1b, [write.transaction, number],
          "T\(number) read x\(name) up to \(last), after which T\(write.transaction) appended more: it saw the middle of a transaction.")
      }
      if table.isCommitted(write.transaction) {
        table.findings.graph.add(.init(write.transaction, number, .wr, key: key, before: last))
      }
    }
    if values.count < list.longest.count {
      let next = list.longest[values.count]
      if let write = table.writes[KeyValue(key: key, value: next)], table.isCommitted(write.transaction) {
        table.findings.graph.add(.init(number, write.transaction, .rw, key: key, before: values.last ?? .min, after: next))
      }
    }
  }

  private mutating func judgeUpdate(_ number: Int32, _ key: Int32, _ known: Seen) {
    if let external = known.external, external.count < lists[Int(key)].updater.count {
      let other = lists[Int(key)].updater[external.count]
      if other >= 0, other != number, lists[Int(key)].longest.starts(with: external) {
        table.findings.add(
          .lostUpdate, [other, number],
          "T\(other) and T\(number) both read the list as \(external) and both appended to it: one of them did not know of the other's append.")
      }
      lists[Int(key)].updater[external.count] = number
    }
    guard let value = known.own.first, lists[Int(key)].unread.count < List.mostUnread, table.isCommitted(number) else { return }
    // Only the transaction's own word says that it committed; what is read of it is in the list's order already.
    if history.operations[Int(number)].result != nil, !isRead(value, key) { lists[Int(key)].unread.append((number, value)) }
  }

  private func isRead(_ value: Int, _ key: Int32) -> Bool { table.writes[KeyValue(key: key, value: value)]?.isRead == true }

  /// What overwrote what, in the order of each list, and what comes after everything that was read.
  private mutating func addVersionEdges() {
    for (key, list) in lists.enumerated() {
      let writers = list.longest.map { value -> Int32? in
        guard let write = table.writes[KeyValue(key: Int32(key), value: value)], table.isCommitted(write.transaction) else { return nil }
        return write.transaction
      }
      for index in writers.indices.dropFirst() {
        guard let earlier = writers[index - 1], let later = writers[index] else { continue }
        table.findings.graph.add(.init(earlier, later, .ww, key: Int32(key), before: list.longest[index - 1], after: list.longest[index]))
      }
      guard let last = list.longest.last, let writer = writers.last ?? nil else { continue }
      for unread in list.unread {
        table.findings.graph.add(.init(writer, unread.transaction, .ww, key: Int32(key), before: last, after: unread.value))
      }
    }
    addUnreadEdges()
  }

  /// Who read all that was ever read of a list did not see what was appended and never read.
  private mutating func addUnreadEdges() {
    for (index, operation) in history.operations.enumerated() {
      guard let steps = operation.result else { continue }
      var own: Set<Int> = []
      for step in steps {
        switch step {
        case .append(let name, _): own.insert(name)
        case .read(let name, let values):
          guard !own.contains(name), let key = table.knownNumber(of: name) else { continue }
          let list = lists[Int(key)]
          guard values.count == list.longest.count, values == list.longest else { continue }
          for unread in list.unread {
            table.findings.graph.add(.init(Int32(index), unread.transaction, .rw, key: key, before: values.last ?? .min, after: unread.value))
          }
        }
      }
    }
  }
}
