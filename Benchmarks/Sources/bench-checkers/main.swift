import BenchmarkKit
import Glibc
import StrataCheckers
import StrataNodes

// The judges of histories, alone: Porcupine and Elle are not to be had as packages of the distribution. Histories are made before the clock runs.

/// The most memory this process ever had, in MiB.
@Sendable func peakMiB() -> Double {
  var usage = rusage()
  getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
  return Double(usage.ru_maxrss) / 1024
}

func timed(_ operations: Int, _ body: () throws -> Verdict) rethrows -> Figures {
  let begin = nanoseconds()
  let verdict = try body()
  let seconds = Double(nanoseconds() - begin) * 1e-9
  precondition(verdict.isValid, "the history is right: \(verdict)")
  return Figures(operations: Double(operations), seconds: seconds, extras: ["peak_mib": peakMiB(), "seconds": seconds])
}

/// `clients` clients on one register that is atomic: each operation takes effect at a random moment while it is open.
@Sendable func registerHistory(_ operations: Int, clients: Int, comparing: Bool) -> History<RegisterModel.Op, RegisterModel.Result> {
  var random = Random(seed: 7)
  var history = History<RegisterModel.Op, RegisterModel.Result>()
  var register: Int?
  var open: [(op: RegisterModel.Op, result: RegisterModel.Result?)?] = Array(repeating: nil, count: clients)
  var begun = 0
  var closed = 0
  while closed < operations {
    let client = random.below(clients)
    do {
      guard let current = open[client] else {
        if begun == operations { continue }
        let op: RegisterModel.Op =
          switch random.below(comparing ? 3 : 2) {
          case 0: .read(key: 0)
          case 1: .write(key: 0, comparing ? random.below(5) : begun)
          default: .compareAndSet(key: 0, expected: random.below(5), new: random.below(5))
          }
        begun += 1
        try history.invoke(op, by: client, at: UInt64(history.eventCount))
        open[client] = (op, nil)
        continue
      }
      guard let result = current.result else {
        switch current.op {
        case .read: open[client]?.result = .value(register)
        case .write(_, let value):
          register = value
          open[client]?.result = .written
        case .compareAndSet(_, let expected, let new):
          open[client]?.result = .compared(register == expected)
          if register == expected { register = new }
        }
        continue
      }
      try history.ok(result, by: client, at: UInt64(history.eventCount))
      open[client] = nil
      closed += 1
    } catch { preconditionFailure("\(error)") }
  }
  return history
}

/// Serial transactions of two steps by `clients` clients whose times overlap, over lists that are given up after 128 appends.
@Sendable func listHistory(_ transactions: Int, clients: Int) -> History<[ListStep], [ListStep]> {
  var random = Random(seed: 9)
  var history = History<[ListStep], [ListStep]>()
  var lists: [Int: [Int]] = [:]
  var names = Array(0..<16)
  var open: [(asked: [ListStep], done: [ListStep])?] = Array(repeating: nil, count: clients)
  var begun = 0
  var closed = 0
  var next = 16
  while closed < transactions {
    let client = random.below(clients)
    do {
      guard let current = open[client] else {
        if begun == transactions { continue }
        begun += 1
        let asked = (0..<2).map { step -> ListStep in
          let slot = random.below(names.count)
          if (lists[names[slot]]?.count ?? 0) >= 128 {
            names[slot] = next
            next += 1
          }
          return random.chance(1, in: 2) ? .read(key: names[slot], []) : .append(key: names[slot], begun * 2 + step)
        }
        try history.invoke(asked, by: client, at: UInt64(history.eventCount))
        open[client] = (asked, [])
        continue
      }
      if current.done.isEmpty {
        open[client]?.done = current.asked.map { step in
          switch step {
          case .read(let key, _): return .read(key: key, lists[key] ?? [])
          case .append(let key, let value):
            lists[key, default: []].append(value)
            return step
          }
        }
        continue
      }
      try history.ok(current.done, by: client, at: UInt64(history.eventCount))
      open[client] = nil
      closed += 1
    } catch { preconditionFailure("\(error)") }
  }
  return history
}

func alone(_ title: String, _ parameters: [(String, String)], goals: [Goal], _ measure: @escaping @Sendable () throws -> Figures) -> Comparison {
  Comparison(title, unit: "operations", parameters: parameters, subject: Contender("strata") { _ in try measure() }, peers: [], goals: goals)
}

await runBenchmark("bench-checkers") { options in
  let million = options.scaled(1_000_000)
  let searched = options.scaled(100_000)
  return [
    alone("a register of unique writes", [("operations", "\(million)"), ("clients", "10")], goals: [.seconds(atMost: 3)]) {
      let history = registerHistory(million, clients: 10, comparing: false)
      return timed(million) { Linearizability.check(history, against: RegisterModel()) }
    },
    alone("a register with compare-and-set, searched", [("operations", "\(searched)"), ("clients", "10")], goals: []) {
      let history = registerHistory(searched, clients: 10, comparing: true)
      return timed(searched) { Linearizability.check(history, against: RegisterModel()) }
    },
    alone(
      "list-append, strict serializability", [("transactions", "\(million)"), ("clients", "10")],
      goals: [.throughput(atLeast: 100_000), .extra("peak_mib", atMost: 2048)]
    ) {
      let history = listHistory(million, clients: 10)
      return try timed(million) { try Isolation.checkListAppend(history, expecting: .strictSerializable) }
    },
  ]
}
