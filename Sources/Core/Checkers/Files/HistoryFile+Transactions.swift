extension HistoryFile {
  /// One step of a transaction, `["append", 3, 7]`.
  private func step(_ value: HistoryValue, _ operation: Recorded) throws(HistoryError) -> (f: String, key: Int, value: HistoryValue) {
    guard let items = value.items, items.count == 3, let f = items[0].string else {
      throw odd(operation, "a step of a transaction is a function, a key and a value, not \(value)")
    }
    return (f, try integer(items[1], operation, "a key"), items[2])
  }

  private func steps<Step>(
    _ value: HistoryValue, _ operation: Recorded, _ make: (String, Int, HistoryValue) throws(HistoryError) -> Step?
  ) throws(HistoryError) -> [Step] {
    guard let items = value.items else { throw odd(operation, "a transaction is a list of steps") }
    var steps: [Step] = []
    steps.reserveCapacity(items.count)
    for item in items {
      let (f, key, value) = try step(item, operation)
      guard let made = try make(f, key, value) else { throw odd(operation, "the step \(f) is none of this kind of transaction") }
      steps.append(made)
    }
    return steps
  }

  func listTransactions() throws(HistoryError) -> History<[ListStep], [ListStep]> {
    func make(_ value: HistoryValue, _ operation: Recorded) throws(HistoryError) -> [ListStep] {
      try steps(value, operation) { (f, key, value) throws(HistoryError) in
        switch f {
        case "append": return .append(key: key, try integer(value, operation, "an appended value"))
        case "r", "read":
          var values: [Int] = []
          for item in value.items ?? [] { values.append(try integer(item, operation, "a list's value")) }
          return .read(key: key, values)
        default: return nil
        }
      }
    }
    return try history.map { (operation) throws(HistoryError) in
      try make(operation.op.value, operation)
    } result: {
      (operation, value) throws(HistoryError) in
      try make(value, operation)
    }
  }

  func registerTransactions() throws(HistoryError) -> History<[RegisterStep], [RegisterStep]> {
    func make(_ value: HistoryValue, _ operation: Recorded) throws(HistoryError) -> [RegisterStep] {
      guard let items = value.items else { throw odd(operation, "a transaction is a list of steps") }
      var made: [RegisterStep] = []
      made.reserveCapacity(items.count)
      for item in items {
        if let parts = item.items, parts.count == 3, parts[0].string == "find" {
          made.append(.find(try condition(parts[1], operation), found: try found(parts[2], operation)))
          continue
        }
        let (f, key, value) = try step(item, operation)
        switch f {
        case "w", "write": made.append(.write(key: key, try integer(value, operation, "a written value")))
        case "r", "read": made.append(.read(key: key, value == .null ? nil : try integer(value, operation, "a register's value")))
        default: throw odd(operation, "the step \(f) is none of this kind of transaction")
        }
      }
      return made
    }
    return try history.map { (operation) throws(HistoryError) in
      try make(operation.op.value, operation)
    } result: {
      (operation, value) throws(HistoryError) in
      try make(value, operation)
    }
  }

  /// `"all"`, `["=", 3]`, `["%", 3, 0]` or `["in", 1, 9]`.
  private func condition(_ value: HistoryValue, _ operation: Recorded) throws(HistoryError) -> RegisterCondition {
    if value.string == "all" { return .everything }
    let parts = value.items ?? []
    var numbers: [Int] = []
    for part in parts.dropFirst() { numbers.append(try integer(part, operation, "a bound of a condition")) }
    switch (parts.first?.string, numbers.count) {
    case ("=", 1): return .equal(numbers[0])
    case ("%", 2): return .divided(by: numbers[0], leaves: numbers[1])
    case ("in", 2) where numbers[0] <= numbers[1]: return .within(numbers[0]...numbers[1])
    default: throw odd(operation, "a condition is all, [= value], [% divisor remainder] or [in low high], not \(value)")
    }
  }

  /// What was found: a map from registers to values; nothing in what is asked.
  private func found(_ value: HistoryValue, _ operation: Recorded) throws(HistoryError) -> [Int: Int] {
    if value == .null { return [:] }
    guard case .map(let entries) = value else { throw odd(operation, "what was found is a map from registers to values, not \(value)") }
    var found: [Int: Int] = [:]
    for entry in entries { found[try integer(entry.key, operation, "a register")] = try integer(entry.value, operation, "a register's value") }
    return found
  }

  func bank(_ options: CheckOptions) throws(HistoryError) -> Verdict {
    let bank = try history.map { (operation) throws(HistoryError) -> BankOp? in
      let value = operation.op.value
      switch operation.op.f {
      case "read": return .read
      case "transfer":
        return .transfer(
          from: try integer(value["from"], operation, "the account paying"), to: try integer(value["to"], operation, "the account paid"),
          amount: try integer(value["amount"], operation, "the amount"))
      default: throw odd(operation, "no operation on a bank; expected read or transfer")
      }
    } result: { (operation, value) throws(HistoryError) -> BankResult in
      guard operation.op.f == "read" else { return .transferred }
      guard case .map(let entries) = value else { throw odd(operation, "a read gives a map from accounts to balances, not \(value)") }
      var balances: [Int: Int] = [:]
      for entry in entries {
        balances[try integer(entry.key, operation, "an account")] = try integer(entry.value, operation, "a balance")
      }
      return .balances(balances)
    }
    var total = options.total
    if total == nil {
      for operation in bank.operations where total == nil {
        guard case .balances(let balances)? = operation.result else { continue }
        total = balances.values.reduce(0) { $0.addingReportingOverflow($1).partialValue }
      }
    }
    return Invariants.bank(bank, total: total ?? 0, allowsDebts: options.allowsDebts)
  }

  func forks() throws(HistoryError) -> History<ForkOp, Set<Int>> {
    try history.map { (operation) throws(HistoryError) in
      let steps = try steps(operation.op.value, operation) { (f, key, _) throws(HistoryError) in (isWrite: f == "w" || f == "write", key: key) }
      if let write = steps.first, steps.count == 1, write.isWrite { return .write(key: write.key) }
      if steps.contains(where: \.isWrite) { throw odd(operation, "either one write or reads alone") }
      return .read(steps.map(\.key))
    } result: { (operation, value) throws(HistoryError) in
      Set(
        try steps(value, operation) { (f, key, value) throws(HistoryError) -> Int?? in .some(f.hasPrefix("r") && value != .null ? key : nil) }
          .compactMap { $0 })
    }
  }

  func log() throws(HistoryError) -> History<LogOp, LogResult> {
    try history.map { (operation) throws(HistoryError) in
      let value = operation.op.value
      switch operation.op.f {
      case "send":
        let (partition, sent) = try pair(value, operation, "a partition and a value")
        return .send(partition: try integer(partition, operation, "a partition"), try integer(sent, operation, "a sent value"))
      case "poll": return .poll
      case "assign", "subscribe":
        var partitions: [Int] = []
        for item in value.items ?? [] { partitions.append(try integer(item, operation, "a partition")) }
        return .assign(partitions)
      default: throw odd(operation, "no operation on a log; expected send, poll or assign")
      }
    } result: { (operation, value) throws(HistoryError) in
      switch operation.op.f {
      case "send": return .sent(offset: try integer(value.items?.last ?? value, operation, "an offset"))
      case "poll":
        guard case .map(let entries) = value else { throw odd(operation, "a poll gives a map from partitions to records, not \(value)") }
        var records: [LogRecord] = []
        for entry in entries {
          let partition = try integer(entry.key, operation, "a partition")
          for item in entry.value.items ?? [] {
            let (offset, polled) = try pair(item, operation, "an offset and a value")
            records.append(
              LogRecord(
                partition: partition, offset: try integer(offset, operation, "an offset"), value: try integer(polled, operation, "a polled value")))
          }
        }
        return .polled(records)
      default: return .assigned
      }
    }
  }

  /// Deliveries in the order in which each process, a node, reported them: one message or a list of such.
  private func deliveries(_ f: String) -> [(node: String, messages: [HistoryValue])] {
    var nodes: [Int: [HistoryValue]] = [:]
    for operation in history.operations where operation.op.f == f {
      guard let value = operation.result else { continue }
      nodes[operation.process, default: []] += value.items ?? [value]
    }
    return nodes.sorted { $0.key < $1.key }.map { ("process \($0.key)", $0.value) }
  }

  func totalOrder() throws(HistoryError) -> Verdict {
    var broadcast: Set<HistoryValue> = []
    var acknowledged: Set<HistoryValue> = []
    for operation in history.operations {
      switch operation.op.f {
      case "broadcast":
        broadcast.insert(operation.op.value)
        if operation.result != nil { acknowledged.insert(operation.op.value) }
      case "deliver": continue
      default: throw odd(operation, "no operation of a broadcast; expected broadcast or deliver")
      }
    }
    return TotalOrder.check(
      deliveries("deliver"), broadcast: broadcast.isEmpty ? nil : broadcast, acknowledged: acknowledged)
  }

  func replicas() throws(HistoryError) -> [Convergence.Replica<HistoryValue, HistoryValue>] {
    var delivered: [Int: Set<HistoryValue>] = [:]
    var replicas: [Convergence.Replica<HistoryValue, HistoryValue>] = []
    for operation in history.operations {
      guard let value = operation.result else { continue }
      switch operation.op.f {
      case "deliver": delivered[operation.process, default: []].formUnion(value.items ?? [value])
      case "observe":
        replicas.append(
          .init(name: "process \(operation.process), event \(operation.invoked)", delivered: delivered[operation.process] ?? [], observed: value))
      default: throw odd(operation, "no operation of a replica; expected deliver or observe")
      }
    }
    return replicas
  }

  func durability() throws(HistoryError) -> Verdict {
    var batches: [Durability.Batch<HistoryValue, HistoryValue>] = []
    var verdict: Verdict?
    for operation in history.operations where !operation.hasFailed {
      switch operation.op.f {
      case "write", "write-buffered":
        guard case .map(let entries) = operation.op.value else { throw odd(operation, "a batch is a map from keys to values") }
        let acknowledgement: Durability.Acknowledgement = operation.result == nil ? .none : operation.op.f == "write" ? .durable : .accepted
        batches.append(.init(entries.map { ($0.key, $0.value == .null ? nil : $0.value) }, acknowledgement))
      case "recover":
        guard let value = operation.result else { continue }
        guard case .map(let entries) = value else { throw odd(operation, "what was recovered is a map from keys to values, not \(value)") }
        let recovered = Dictionary(entries.map { ($0.key, $0.value) }, uniquingKeysWith: { $1 })
        verdict = Durability.check(batches, recovered: recovered)
        if verdict?.violation != nil { return verdict ?? .unknown(reason: "") }
        // What was found is what the next life begins with.
        batches = [.init(entries.map { ($0.key, $0.value) }, .durable)]
      default: throw odd(operation, "no operation of a store; expected write, write-buffered or recover")
      }
    }
    return verdict ?? .unknown(reason: "nothing was ever recovered, so nothing was shown")
  }
}
