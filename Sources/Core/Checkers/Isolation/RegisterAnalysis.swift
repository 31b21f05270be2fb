extension RegisterStep {
  /// Each register whose value the step shows, what it wrote among them.
  fileprivate var seen: [(key: Int, value: Int?)] {
    switch self {
    case .write(let key, let value): [(key, value)]
    case .read(let key, let value): [(key, value)]
    case .find(_, let found): found.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }
  }
}

private func text(_ value: Int?) -> String { value.map(String.init) ?? "nil" }

/// What a history of registers shows about the order of versions and the dependencies of transactions.
struct RegisterAnalysis {
  private(set) var table: TransactionTable<RegisterStep>
  private let order: RegisterOrder
  /// The versions: number 0 up to the number of keys are the states before the first write.
  private var versions: [Version] = []
  private var versionOf: [KeyValue: Int32] = [:]
  /// Everything anybody wrote to each register, whatever came of it.
  private var valuesOf: [[Int]] = []
  private var versionEdges: Set<VersionEdge> = []
  private var updaters: [Int32: Int32] = [:]

  private struct Version {
    let key: Int32
    /// Nothing before the first write.
    let value: Int?
    /// Who wrote it, if it was final and committed.
    let writer: Int32
    var readers: [Int32] = []
    /// Who looked for something else and so saw this.
    var seekers: [Int32] = []
  }

  private struct VersionEdge: Hashable {
    let from: Int32
    let to: Int32
  }

  /// A reader of the state before the first write precedes every first writer; so many of them are told.
  private static let mostFirstWriters = 16

  init(_ history: History<[RegisterStep], [RegisterStep]>, _ order: RegisterOrder) {
    table = TransactionTable(history)
    self.order = order
  }

  private var history: History<[RegisterStep], [RegisterStep]> { table.history }

  mutating func run() throws(HistoryError) {
    try table.collectWrites({ if case .write(let key, let value) = $0 { (key, value) } else { nil } }) { "\($1) to x\($0)" }
    collectReads()
    collectVersions()
    for number in history.operations.indices where table.isCommitted(Int32(number)) { judge(Int32(number)) }
    if !order.isEmpty { addTimeOrder() }
    dropCyclicVersions()
    addVersionEdges()
    table.finish()
  }

  /// Numbers the registers that are only read, and takes as committed what they show of open transactions.
  private mutating func collectReads() {
    for operation in history.operations {
      for step in operation.op { if case .read(let name, _) = step { _ = table.number(of: name) } }
      for step in operation.result ?? [] {
        for (name, value) in step.seen {
          let key = table.number(of: name)
          if let value { _ = table.see(KeyValue(key: key, value: value)) }
        }
      }
    }
  }

  private mutating func collectVersions() {
    versions = (0..<Int32(table.keyCount)).map { Version(key: $0, value: nil, writer: -1) }
    valuesOf = Array(repeating: [], count: table.keyCount)
    for (index, operation) in history.operations.enumerated() {
      for case .write(let name, let value) in operation.op {
        let entry = KeyValue(key: table.number(of: name), value: value)
        valuesOf[Int(entry.key)].append(value)
        guard table.fates[index] == .committed, table.writes[entry]?.isIntermediate == false else { continue }
        versionOf[entry] = Int32(versions.count)
        versions.append(Version(key: entry.key, value: value, writer: Int32(index)))
      }
    }
  }

  private func version(_ key: Int32, _ value: Int?) -> Int32? {
    guard let value else { return key }
    return versionOf[KeyValue(key: key, value: value)]
  }

  /// What one transaction holds for each register's value, what it read of others first, and what it wrote last.
  private struct Sight {
    var current: [Int32: Int?] = [:]
    var external: [Int32: Int?] = [:]
    var written: [Int32: Int] = [:]
  }

  private mutating func judge(_ number: Int32) {
    let operation = history.operations[Int(number)]
    var sight = Sight()
    for step in operation.result ?? operation.op {
      switch step {
      case .write(let name, let value):
        let key = table.number(of: name)
        sight.current[key] = .some(value)
        sight.written[key] = value
      case .read(let name, let value):
        if operation.result != nil { judgeRead(number, name, value, &sight) }
      case .find(let condition, let found):
        guard operation.result != nil else { continue }
        for (name, value) in found.sorted(by: { $0.key < $1.key }) {
          if !condition.holds(for: value) {
            table.findings.add(.garbage, [number], "T\(number) looked for \(condition) and found x\(name), which it says holds \(value).")
          }
          judgeRead(number, name, value, &sight)
        }
        judgeMissing(number, condition, found, sight)
      }
    }
    judgeUpdates(number, sight.written, sight.external)
  }

  /// What a transaction looked for and did not find.
  private mutating func judgeMissing(_ number: Int32, _ condition: RegisterCondition, _ found: [Int: Int], _ sight: Sight) {
    for key in 0..<Int32(table.keyCount) where found[table.findings.keyNames[Int(key)]] == nil {
      if let own = sight.written[key] {
        if condition.holds(for: own) {
          let name = table.findings.keyNames[Int(key)]
          table.findings.add(
            .internal, [number], "T\(number) looked for \(condition) and did not find x\(name), to which it had written \(own) itself.")
        }
      } else if !valuesOf[Int(key)].isEmpty, valuesOf[Int(key)].allSatisfy(condition.holds) {
        // Everything ever written there would have been found: the state before the first write was seen.
        versions[Int(key)].seekers.append(number)
      }
    }
  }

  private mutating func judgeRead(_ number: Int32, _ name: Int, _ value: Int?, _ sight: inout Sight) {
    let key = table.number(of: name)
    if let known = sight.current[key] {
      if known != value {
        let did = sight.written[key] == nil ? "read" : "written"
        table.findings.add(.internal, [number], "T\(number) read x\(name) as \(text(value)) after it had \(did) \(text(known)) there itself.")
        // It saw that version as well, whatever it had seen before.
        if sight.written[key] == nil { judgeRead(number, key, name, value) }
      }
    } else {
      sight.external[key] = .some(value)
      judgeRead(number, key, name, value)
    }
    sight.current[key] = .some(value)
  }

  private mutating func judgeUpdates(_ number: Int32, _ written: [Int32: Int], _ external: [Int32: Int?]) {
    for (key, value) in written.sorted(by: { $0.key < $1.key }) {
      guard let seen = external[key], let from = version(key, seen), let to = version(key, value) else { continue }
      versionEdges.insert(VersionEdge(from: from, to: to))
      if let other = updaters.updateValue(number, forKey: from), other != number {
        let name = table.findings.keyNames[Int(key)]
        table.findings.add(
          .lostUpdate, [other, number],
          "T\(other) and T\(number) both read x\(name) as \(text(seen)) and both wrote it: the write of one was lost on the other.")
      }
    }
  }

  private mutating func judgeRead(_ number: Int32, _ key: Int32, _ name: Int, _ value: Int?) {
    if let value {
      guard let write = table.writes[KeyValue(key: key, value: value)] else {
        table.findings.add(.garbage, [number], "T\(number) read \(value) from x\(name), to which nobody ever wrote it.")
        return
      }
      if table.fates[Int(write.transaction)] == .aborted {
        table.findings.add(
          .g1a, [write.transaction, number], "T\(number) read \(value), which T\(write.transaction) wrote before it failed: it read what was undone.")
        return
      }
      if write.transaction != number {
        if write.isIntermediate {
          table.findings.add(
            .g1b, [write.transaction, number],
            "T\(number) read \(value) from x\(name), which T\(write.transaction) wrote and then wrote over: it saw the middle of a transaction.")
        }
        table.findings.graph.add(.init(write.transaction, number, .wr, key: key, before: value))
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
        for (name, value) in step.seen {
          let key = table.number(of: name)
          guard let version = version(key, value) else { continue }
          touched[key] = (touched[key]?.from ?? version, version)
        }
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
      let name = table.findings.keyNames[Int(versions[Int(component[0])].key)]
      table.findings.add(
        .cyclicVersions, Array(writers.prefix(8)),
        "What was read and written of x\(name) puts its versions \(values) in a circle: each would have to come "
          + "before itself.")
      versionEdges = versionEdges.filter { !members.contains($0.from) || !members.contains($0.to) }
    }
  }

  private mutating func addVersionEdges() {
    var hasEarlier = Set(versionEdges.filter { $0.from >= Int32(table.keyCount) }.map(\.to))
    for edge in versionEdges.sorted(by: { ($0.from, $0.to) < ($1.from, $1.to) }) { addEdges(edge.from, edge.to) }
    // What no version is known before comes after the state before the first write, at least.
    var told = Array(repeating: 0, count: table.keyCount)
    for number in table.keyCount..<max(table.keyCount, versions.count) {
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
    if earlier.writer >= 0 { table.findings.graph.add(.init(earlier.writer, later.writer, .ww, key: later.key, before: before, after: after)) }
    for seeker in earlier.seekers {
      table.findings.graph.add(.init(seeker, later.writer, .predicate, key: later.key, before: before, after: after))
    }
    for reader in earlier.readers {
      table.findings.graph.add(.init(reader, later.writer, .rw, key: later.key, before: before, after: after))
    }
  }
}
