/// What clients of a partitioned log do.
public enum LogOp: Hashable, Sendable {
  /// Sends one value to a partition. Every value is sent once.
  case send(partition: Int, Int)
  /// Asks for more of the partitions the client is assigned.
  case poll
  /// Begins to read these partitions, from wherever it is told; what was polled before does not count any more.
  case assign([Int])
}

/// What they hear.
public enum LogResult: Hashable, Sendable {
  /// The value is at this offset.
  case sent(offset: Int)
  /// Values with their offsets, in the order of delivery.
  case polled([LogRecord])
  /// The assignment holds.
  case assigned
}

/// A value at its place.
public struct LogRecord: Hashable, Sendable {
  /// The partition.
  public let partition: Int
  /// Its place there.
  public let offset: Int
  /// The value.
  public let value: Int

  /// A record.
  public init(partition: Int, offset: Int, value: Int) {
    self.partition = partition
    self.offset = offset
    self.value = value
  }
}

/// Judges a partitioned log as Jepsen's Kafka tests do: nothing acknowledged is lost, nothing is there twice or in two places, nothing that was
/// refused is read, and every reader goes forward without leaving out.
///
/// Offsets may have gaps (transactions leave some), so an offset counts as left out only if a value is known to be there.
public enum LogDelivery {
  /// Judges a history. Unknown where nothing was sent and polled. O(n log n).
  public static func check(_ history: History<LogOp, LogResult>) -> Verdict {
    var check = LogCheck(history)
    return check.verdict()
  }
}

private struct LogCheck {
  private struct Place: Hashable {
    let partition: Int
    let offset: Int
  }

  private let history: History<LogOp, LogResult>
  /// Of each value, the operation that sent it.
  private var senders: [Int: Int] = [:]
  /// What is where, and the operation that says so.
  private var values: [Place: (value: Int, operation: Int)] = [:]
  private var places: [Int: (place: Place, operation: Int)] = [:]
  /// Of each partition, the known offsets in order, and the first poll that got farthest.
  private var offsets: [Int: [Int]] = [:]
  private var farthest: [Int: (offset: Int, operation: Int)] = [:]
  private var polled: Set<Int> = []

  init(_ history: History<LogOp, LogResult>) { self.history = history }

  mutating func verdict() -> Verdict {
    for (index, operation) in history.operations.enumerated() { if case .send(_, let value) = operation.op { senders[value] = index } }
    for index in history.operations.indices { if let violation = learn(index) { return .invalid(violation) } }
    guard !polled.isEmpty else { return .unknown(reason: "nothing was polled, so nothing was shown") }
    for place in values.keys { offsets[place.partition, default: []].append(place.offset) }
    for partition in offsets.keys { offsets[partition]?.sort() }
    if let violation = judgeReaders() ?? judgeSenders() ?? judgeLosses() { return .invalid(violation) }
    return .valid(CheckStatistics(operations: history.operations.count { $0.result != nil }, parts: offsets.count))
  }

  /// Takes what an operation says about where values are.
  private mutating func learn(_ index: Int) -> Violation? {
    let operation = history.operations[index]
    switch (operation.op, operation.result) {
    case (.send(let partition, let value), .sent(let offset)?): return place(value, Place(partition: partition, offset: offset), index)
    case (_, .polled(let records)?):
      for record in records {
        if let violation = judge(record, index) { return violation }
        polled.insert(record.value)
        if farthest[record.partition].map({ $0.offset < record.offset }) ?? true { farthest[record.partition] = (record.offset, index) }
        if let violation = place(record.value, Place(partition: record.partition, offset: record.offset), index) { return violation }
      }
      return nil
    default: return nil
    }
  }

  private func judge(_ record: LogRecord, _ index: Int) -> Violation? {
    guard let sender = senders[record.value], case .send(let partition, _) = history.operations[sender].op else {
      return say("phantom value", "The value \(record.value) was polled, and nobody sent it.", [index])
    }
    if history.operations[sender].hasFailed {
      return say("aborted read", "The value \(record.value) was polled, though sending it had failed for certain.", [sender, index])
    }
    if partition != record.partition {
      return say(
        "wrong partition", "The value \(record.value) was sent to partition \(partition) and polled from \(record.partition).", [sender, index])
    }
    return nil
  }

  private mutating func place(_ value: Int, _ place: Place, _ index: Int) -> Violation? {
    if let other = values[place], other.value != value {
      return say(
        "two values at one offset",
        "Offset \(place.offset) of partition \(place.partition) holds \(other.value) for one client and \(value) for another.",
        [other.operation, index])
    }
    if let other = places[value], other.place != place {
      return say(
        "duplicate", "The value \(value) was sent once and is at offsets \(other.place.offset) and \(place.offset) of partition \(place.partition).",
        [other.operation, index])
    }
    values[place] = (value, index)
    places[value] = (place, index)
    return nil
  }

  /// Each client's polls go forward, in one poll and from one to the next, and leave out nothing that is known to be there.
  private func judgeReaders() -> Violation? {
    struct Reader: Hashable {
      let process: Int
      let partition: Int
    }
    var last: [Reader: (offset: Int, operation: Int)] = [:]
    for (index, operation) in history.operations.enumerated() {
      if case .assign = operation.op, !operation.hasFailed { last = last.filter { $0.key.process != operation.process } }
      guard case .polled(let records)? = operation.result else { continue }
      for record in records {
        let reader = Reader(process: operation.process, partition: record.partition)
        defer { last[reader] = (record.offset, index) }
        guard let before = last[reader] else { continue }
        if record.offset <= before.offset {
          let isInside = before.operation == index
          return say(
            isInside ? "reordered" : "non-monotonic poll",
            "A client got offset \(before.offset) of partition \(record.partition) and then offset \(record.offset)"
              + (isInside ? " in one poll." : " in a later poll, without having been assigned anew."), [before.operation, index])
        }
        if let left = known(record.partition, after: before.offset), left < record.offset {
          let omitted = values[Place(partition: record.partition, offset: left)]
          return say(
            "skipped",
            "A client got offset \(before.offset) of partition \(record.partition) and next offset \(record.offset); "
              + "\(omitted.map { "\($0.value)" } ?? "a value") at offset \(left) was left out.",
            [omitted?.operation, before.operation, index].compactMap { $0 })
        }
      }
    }
    return nil
  }

  /// The first known offset after one.
  private func known(_ partition: Int, after offset: Int) -> Int? {
    guard let known = offsets[partition] else { return nil }
    var low = 0
    var high = known.count
    while low < high {
      let middle = (low + high) / 2
      if known[middle] <= offset { low = middle + 1 } else { high = middle }
    }
    return low < known.count ? known[low] : nil
  }

  /// What one client sent later is at a later place.
  private func judgeSenders() -> Violation? {
    struct Sender: Hashable {
      let process: Int
      let partition: Int
    }
    var last: [Sender: (offset: Int, operation: Int)] = [:]
    for (index, operation) in history.operations.enumerated() {
      guard case .send(let partition, _) = operation.op, case .sent(let offset)? = operation.result else { continue }
      let sender = Sender(process: operation.process, partition: partition)
      if let before = last.updateValue((offset, index), forKey: sender), before.offset >= offset {
        return say(
          "non-monotonic send",
          "A client sent to partition \(partition) twice, one after the other, and the later value is at offset \(offset), before "
            + "the earlier one at \(before.offset).", [before.operation, index])
      }
    }
    return nil
  }

  /// What was acknowledged at a place that readers have gone past was seen by one of them.
  private func judgeLosses() -> Violation? {
    for (place, holder) in values.sorted(by: { ($0.key.partition, $0.key.offset) < ($1.key.partition, $1.key.offset) }) {
      guard !polled.contains(holder.value), let reader = farthest[place.partition], reader.offset > place.offset else { continue }
      return say(
        "lost write",
        "The value \(holder.value) was acknowledged at offset \(place.offset) of partition \(place.partition). Readers got as far as offset "
          + "\(reader.offset), and none has ever seen it.", [holder.operation, reader.operation])
    }
    return nil
  }

  private func say(_ kind: String, _ explanation: String, _ operations: [Int]) -> Violation {
    Violation.timeline(kind, explanation, history, operations) { operation in
      switch operation.result {
      case .polled(let records)?: "poll → " + records.map { "\($0.partition)/\($0.offset): \($0.value)" }.joined(separator: ", ")
      case .sent(let offset)?: "\(operation.op) → offset \(offset)"
      default: "\(operation.op) → ?"
      }
    }
  }
}
