extension HistoryFile {
  typealias Recorded = RecordedHistory.Operation

  /// An operation that is none of the kind asked for.
  func odd(_ operation: Recorded, _ reason: String) -> HistoryError {
    .malformed("\(String(operation.op.description.prefix(80))): \(reason)", at: place(of: operation.invoked))
  }

  func integer(_ value: HistoryValue?, _ operation: Recorded, _ what: String) throws(HistoryError) -> Int {
    guard let integer = value?.integer else { throw odd(operation, "\(what) is a whole number, not \(value ?? .null)") }
    return integer
  }

  func pair(_ value: HistoryValue, _ operation: Recorded, _ what: String) throws(HistoryError) -> (HistoryValue, HistoryValue) {
    guard let items = value.items, items.count == 2 else { throw odd(operation, "expected \(what)") }
    return (items[0], items[1])
  }

  /// A value that may stand behind a key: `3` or `[key, 3]`.
  private func keyed(_ value: HistoryValue, _ operation: Recorded) throws(HistoryError) -> (key: Int, value: HistoryValue) {
    guard let items = value.items else { return (0, value) }
    guard items.count == 2 else { throw odd(operation, "expected a value or a key and a value") }
    return (try integer(items[0], operation, "a key"), items[1])
  }

  private func optionalInteger(_ value: HistoryValue, _ operation: Recorded) throws(HistoryError) -> Int? {
    value == .null ? nil : try integer(value, operation, "a register's value")
  }

  func registers() throws(HistoryError) -> History<RegisterModel.Op, RegisterModel.Result> {
    try history.map { (operation) throws(HistoryError) in
      let value = operation.op.value
      switch operation.op.f {
      case "read", "r": return .read(key: try keyed(value, operation).key)
      case "write", "w":
        let (key, value) = try keyed(value, operation)
        return .write(key: key, try integer(value, operation, "a written value"))
      case "cas":
        let (first, second) = try pair(value, operation, "what is compared and what is set")
        let isKeyed = second.items != nil
        let (expected, new) = isKeyed ? try pair(second, operation, "what is compared and what is set") : (first, second)
        return .compareAndSet(
          key: isKeyed ? try integer(first, operation, "a key") : 0, expected: try optionalInteger(expected, operation),
          new: try integer(new, operation, "the value set"))
      default: throw odd(operation, "no operation on registers; expected read, write or cas")
      }
    } result: { (operation, value) throws(HistoryError) in
      switch operation.op.f {
      case "read", "r": return .value(try optionalInteger(try keyed(value, operation).value, operation))
      case "cas":
        // An etcd log says what the comparison gave as a third item.
        if let items = value.items, items.count == 3, case .bool(let held) = items[2] { return .compared(held) }
        return .compared(value != .bool(false))
      default: return .written
      }
    }
  }

  func keyValues() throws(HistoryError) -> History<KeyValueModel.Op, KeyValueModel.Result> {
    func text(_ value: HistoryValue) -> String { value.string ?? (value == .null ? "" : value.description) }
    return try history.map { (operation) throws(HistoryError) in
      let value = operation.op.value
      if operation.op.f == "delete" { return .delete(text(value.items?.first ?? value)) }
      if operation.op.f == "get" { return .get(text(value.items?.first ?? value)) }
      let (key, text2) = try pair(value, operation, "a key and a text")
      switch operation.op.f {
      case "put": return .put(text(key), text(text2))
      case "append": return .append(text(key), text(text2))
      default: throw odd(operation, "no operation on a map; expected get, put, append or delete")
      }
    } result: { operation, value in
      operation.op.f == "get" ? .value(text(value.items?.last ?? value)) : .done
    }
  }

  func sets() throws(HistoryError) -> History<SetModel.Op, SetModel.Result> {
    try history.map { (operation) throws(HistoryError) in
      switch operation.op.f {
      case "add": return .add(try integer(operation.op.value, operation, "an element"))
      case "remove": return .remove(try integer(operation.op.value, operation, "an element"))
      case "contains": return .contains(try integer(operation.op.value, operation, "an element"))
      case "read": return .read
      default: throw odd(operation, "no operation on a set; expected add, remove, contains or read")
      }
    } result: { (operation, value) throws(HistoryError) in
      guard operation.op.f == "read" else { return .found(value == .bool(true)) }
      guard let items = value.items else { throw odd(operation, "a read gives a list of elements, not \(value)") }
      var elements: Set<Int> = []
      for item in items { elements.insert(try integer(item, operation, "an element")) }
      return .elements(elements)
    }
  }

  func queues() throws(HistoryError) -> History<QueueModel.Op, QueueModel.Result> {
    try history.map { (operation) throws(HistoryError) in
      switch operation.op.f {
      case "enqueue": return .enqueue(try integer(operation.op.value, operation, "a queued value"))
      case "dequeue": return .dequeue
      default: throw odd(operation, "no operation on a queue; expected enqueue or dequeue")
      }
    } result: { (operation, value) throws(HistoryError) in
      operation.op.f == "enqueue" ? .enqueued : .dequeued(value == .null ? nil : try integer(value, operation, "a queued value"))
    }
  }

  func counters() throws(HistoryError) -> History<CounterModel.Op, CounterModel.Result> {
    try history.map { (operation) throws(HistoryError) in
      switch operation.op.f {
      case "add": return .add(try integer(operation.op.value, operation, "an amount"))
      case "read": return .read
      default: throw odd(operation, "no operation on a counter; expected add or read")
      }
    } result: { (operation, value) throws(HistoryError) in
      operation.op.f == "add" ? .added : .value(try integer(value, operation, "what was read"))
    }
  }

  func locks() throws(HistoryError) -> History<LockModel.Op, LockModel.Result> {
    try history.map { (operation) throws(HistoryError) in
      let lock = operation.op.value == .null ? 0 : try integer(operation.op.value, operation, "a lock")
      switch operation.op.f {
      case "acquire": return .acquire(lock: lock, client: operation.process)
      case "release": return .release(lock: lock, client: operation.process)
      default: throw odd(operation, "no operation on locks; expected acquire or release")
      }
    } result: { (operation, value) throws(HistoryError) in
      if operation.op.f == "release" { return .released(value != .bool(false)) }
      return value == .bool(false) ? .refused : .acquired(token: try integer(value, operation, "a token"))
    }
  }

  func fencedLocks() throws(HistoryError) -> History<LockOp, LockResult> {
    try history.map { (operation) throws(HistoryError) in
      let value = operation.op.value
      switch operation.op.f {
      case "acquire": return .acquire(lock: value == .null ? 0 : try integer(value, operation, "a lock"))
      case "release": return .release(lock: value == .null ? 0 : try integer(value, operation, "a lock"))
      case "use":
        let (lock, token) = try pair(value, operation, "a lock and a token")
        return .use(lock: try integer(lock, operation, "a lock"), token: try integer(token, operation, "a token"))
      default: throw odd(operation, "no operation on locks; expected acquire, release or use")
      }
    } result: { (operation, value) throws(HistoryError) in
      switch operation.op.f {
      case "acquire": return .acquired(token: try integer(value, operation, "a token"))
      case "release": return .released
      default: return .used
      }
    }
  }

  func versions() throws(HistoryError) -> History<VersionedOp, UInt64> {
    try history.map { (operation) throws(HistoryError) in
      let key = try integer(operation.op.value, operation, "an object")
      switch operation.op.f {
      case "read": return .read(key: key)
      case "write": return .write(key: key)
      default: throw odd(operation, "no operation on versioned objects; expected read or write")
      }
    } result: { (operation, value) throws(HistoryError) in
      guard let version = UInt64(exactly: try integer(value, operation, "a version")) else { throw odd(operation, "a version is not negative") }
      return version
    }
  }
}
