private func text(_ value: Int?) -> String { value.map(String.init) ?? "nil" }

/// What a history of registers shows about the order of versions and the dependencies of transactions.
struct RegisterAnalysis {
  private let history: History<[RegisterStep], [RegisterStep]>
  private let order: RegisterOrder
  private(set) var findings: IsolationFindings
  private var keyNumbers: [Int: Int32] = [:]
  private var fates: [TransactionFate]
  private var writes: [KeyValue: TransactionWrite] = [:]
  /// The versions: number 0 up to the number of keys are the states before the first write.
  private var versions: [Version] = []
  private var versionOf: [KeyValue: Int32] = [:]
  private var versionEdges: Set<VersionEdge> = []
  private var updaters: [Int32: Int32] = [:]

  private struct Version {
    let key: Int32
    /// Nothing before the first write.
    let value: Int?
    /// Who wrote it, if it was final and committed.
    let writer: Int32
    var readers: [Int32] = []
  }

  private struct VersionEdge: Hashable {
    let from: Int32
    let to: Int32
  }

  /// A reader of the state before the first write precedes every first writer; so many of them are told.
  private static let mostFirstWriters = 16

  init(_ history: History<[RegisterStep], [RegisterStep]>, _ order: RegisterOrder) {
    self.history = history
    self.order = order
    fates = history.operations.map { $0.hasFailed ? .aborted : $0.result != nil ? .committed : .open }
    findings = IsolationFindings(transactions: history.operations.count) { number in
      let operation = history.operations[Int(number)]
      let steps = (operation.result ?? operation.op).map(\.description).joined(separator: ", ")
      return "T\(number) (process \(operation.process)\(operation.hasFailed ? ", failed" : operation.result == nil ? ", end unknown" : "")): \(steps)"
    }
  }

  mutating func run() throws(HistoryError) {
    try collectWrites()
    collectFates()
    collectVersions()
    for number in history.operations.indices where fates[number] == .committed { judge(Int32(number)) }
    if !order.isEmpty { addTimeOrder() }
    dropCyclicVersions()
    addVersionEdges()
    let committed = fates
    TimeOrder.addEdges(history, { committed[Int($0)] == .committed }, to: &findings.graph)
    findings.graph.seal()
    findings.committed = fates.count { $0 == .committed }
  }

  private mutating func number(of key: Int) -> Int32 {
    if let number = keyNumbers[key] { return number }
    let number = Int32(keyNumbers.count)
    keyNumbers[key] = number
    findings.keyNames.append(key)
    return number
  }

  private mutating func collectWrites() throws(HistoryError) {
    for (index, operation) in history.operations.enumerated() {
      var last: [Int32: KeyValue] = [:]
      for step in operation.op {
        guard case .write(let name, let value) = step else {
          if case .read(let name, _) = step { _ = number(of: name) }
          continue
        }
        let entry = KeyValue(key: number(of: name), value: value)
        if let earlier = writes[entry] {
          throw .duplicateWrite(
            of: "\(value) to x\(name)", at: .event(operation.invoked), before: .event(history.operations[Int(earlier.transaction)].invoked))
        }
        writes[entry] = TransactionWrite(transaction: Int32(index))
        if let before = last.updateValue(entry, forKey: entry.key) { writes[before]?.isIntermediate = true }
      }
    }
  }

  /// An open transaction of which somebody read a write is committed.
  private mutating func collectFates() {
    for operation in history.operations {
      for case .read(let name, let value?) in operation.result ?? [] {
        guard let write = writes[KeyValue(key: number(of: name), value: value)] else { continue }
        if fates[Int(write.transaction)] == .open { fates[Int(write.transaction)] = .committed }
      }
    }
  }

  private mutating func collectVersions() {
    versions = (0..<Int32(keyNumbers.count)).map { Version(key: $0, value: nil, writer: -1) }
    for (index, operation) in history.operations.enumerated() where fates[index] == .committed {
      for case .write(let name, let value) in operation.op {
        let entry = KeyValue(key: number(of: name), value: value)
        if writes[entry]?.isIntermediate != false { continue }
        versionOf[entry] = Int32(versions.count)
        versions.append(Version(key: entry.key, value: value, writer: Int32(index)))
      }
    }
  }

  private func version(_ key: Int32, _ value: Int?) -> Int32? {
    guard let value else { return key }
    return versionOf[KeyValue(key: key, value: value)]
  }

  private mutating func judge(_ number: Int32) {
    let operation = history.operations[Int(number)]
    // What the transaction holds for each register's value; what it read of others first.
    var current: [Int32: Int?] = [:]
    var external: [Int32: Int?] = [:]
    var written: [Int32: Int] = [:]
    for step in operation.result ?? operation.op {
      switch step {
      case .write(let name, let value):
        let key = self.number(of: name)
        current[key] = .some(value)
        written[key] = value
      case .read(let name, let value):
        guard operation.result != nil else { continue }
        let key = self.number(of: name)
        if let known = current[key] {
          if known != value {
            let did = written[key] == nil ? "read" : "written"
            findings.add(
              .internal, [number], "T\(number) read x\(name) as \(text(value)) after it had \(did) \(text(known)) there itself.")
          }
        } else {
          external[key] = .some(value)
          judgeRead(number, key, name, value)
        }
        current[key] = .some(value)
      }
    }
    for (key, value) in written.sorted(by: { $0.key < $1.key }) {
      guard let seen = external[key], let from = version(key, seen), let to = version(key, value) else { continue }
      versionEdges.insert(VersionEdge(from: from, to: to))
      if let other = updaters.updateValue(number, forKey: from), other != number {
        let name = findings.keyNames[Int(key)]
        findings.add(
          .lostUpdate, [other, number],
          "T\(other) and T\(number) both read x\(name) as \(text(seen)) and both wrote it: the write of one was lost on the other.")
      }
    }
  }

  private mutating func judgeRead(_ number: Int32, _ key: Int32, _ name: Int, _ value: Int?) {
    if let value {
      guard let write = writes[KeyValue(key: key, value: value)] else {
        findings.add(.garbage, [number], "T\(number) read \(value) from x\(name), to which nobody ever wrote it.")
        return
      }
      if fates[Int(write.transaction)] == .aborted {
        findings.add(
          .g1a, [write.transaction, number], "T\(number) read \(value), which T\(write.transaction) wrote before it failed: it read what was undone.")
        return
      }
      if write.transaction != number {
        if write.isIntermediate {
          findings.add(
            .g1b, [write.transaction, number],
            "T\(number) read \(value) from x\(name), which T\(write.transaction) wrote and then wrote over: it saw the middle of a transaction.")
        }
        findings.graph.add(.init(write.transaction, number, .wr, key: key, before: value))
      }
    }
    if let version = version(key, value) { versions[Int(version)].readers.append(number) }
  }

  /// What clients or everybody saw and wrote one after the other, where registers are said to allow that conclusion.
  private mutating func addTimeOrder() {
    var steps: [Int32: [(transaction: Int32, from: Int32, to: Int32)]] = [:]
    for (index, operation) in history.operations.enumerated() where operation.result != nil {
      var touched: [Int32: (from: Int32, to: Int32)] = [:]
      for step in operation.result ?? [] {
        let (name, value): (Int, Int?) =
          switch step {
          case .write(let name, let value): (name, value)
          case .read(let name, let value): (name, value)
          }
        let key = number(of: name)
        guard let version = version(key, value) else { continue }
        touched[key] = (touched[key]?.from ?? version, version)
      }
      for (key, versions) in touched { steps[key, default: []].append((Int32(index), versions.from, versions.to)) }
    }
    for key in steps.keys.sorted() { addTimeOrder(steps[key] ?? []) }
  }

  private mutating func addTimeOrder(_ steps: [(transaction: Int32, from: Int32, to: Int32)]) {
    var lastOf: [Int: Int32] = [:]
    // Of all that ended, those versions after which nothing ended that began later.
    var ended: [(returned: Int, version: Int32)] = []
    let byReturn = steps.sorted {
      (history.operations[Int($0.transaction)].returned ?? .max) < (history.operations[Int($1.transaction)].returned ?? .max)
    }
    var next = 0
    for step in steps {
      let operation = history.operations[Int(step.transaction)]
      if order.contains(.sequential), let last = lastOf[operation.process], last != step.from {
        versionEdges.insert(VersionEdge(from: last, to: step.from))
      }
      lastOf[operation.process] = step.to
      guard order.contains(.linearizable) else { continue }
      while next < byReturn.count, let returned = history.operations[Int(byReturn[next].transaction)].returned, returned < operation.invoked {
        let began = history.operations[Int(byReturn[next].transaction)].invoked
        ended.removeAll { $0.returned < began }
        ended.append((returned, byReturn[next].to))
        next += 1
      }
      for earlier in ended where earlier.version != step.from { versionEdges.insert(VersionEdge(from: earlier.version, to: step.from)) }
    }
  }

  /// Versions in a circle are an anomaly, and say nothing about transactions.
  private mutating func dropCyclicVersions() {
    var graph = DependencyGraph(count: versions.count)
    for edge in versionEdges { graph.add(.init(edge.from, edge.to, .ww)) }
    graph.seal()
    for component in graph.components(over: .ww) {
      let members = Set(component)
      let values = component.sorted().map { text(versions[Int($0)].value) }.joined(separator: ", ")
      let writers = component.sorted().map { versions[Int($0)].writer }.filter { $0 >= 0 }
      let name = findings.keyNames[Int(versions[Int(component[0])].key)]
      findings.add(
        .cyclicVersions, Array(writers.prefix(8)),
        "What was read and written of x\(name) puts its versions \(values) in a circle: each would have to come "
          + "before itself.")
      versionEdges = versionEdges.filter { !members.contains($0.from) || !members.contains($0.to) }
    }
  }

  private mutating func addVersionEdges() {
    var hasEarlier = Set(versionEdges.filter { $0.from >= Int32(keyNumbers.count) }.map(\.to))
    for edge in versionEdges.sorted(by: { ($0.from, $0.to) < ($1.from, $1.to) }) { addEdges(edge.from, edge.to) }
    // What no version is known before comes after the state before the first write, at least.
    var told = Array(repeating: 0, count: keyNumbers.count)
    for number in keyNumbers.count..<max(keyNumbers.count, versions.count) {
      let key = Int(versions[number].key)
      guard !versionEdges.contains(VersionEdge(from: Int32(key), to: Int32(number))), hasEarlier.insert(Int32(number)).inserted,
        told[key] < Self.mostFirstWriters
      else { continue }
      told[key] += 1
      addEdges(Int32(key), Int32(number))
    }
  }

  private mutating func addEdges(_ from: Int32, _ to: Int32) {
    let (earlier, later) = (versions[Int(from)], versions[Int(to)])
    guard later.writer >= 0, let after = later.value else { return }
    let before = earlier.value ?? .min
    if earlier.writer >= 0 { findings.graph.add(.init(earlier.writer, later.writer, .ww, key: later.key, before: before, after: after)) }
    for reader in earlier.readers {
      findings.graph.add(.init(reader, later.writer, .rw, key: later.key, before: before, after: after))
    }
  }
}
