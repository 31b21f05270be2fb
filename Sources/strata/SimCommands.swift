import ArgumentParser
import NIOCore
import StrataBytes
import StrataDisk
import StrataJobs
import StrataRESP
import StrataScenarios
import StrataSimulation
import Synchronization
import SystemPackage

/// `strata sim`
struct SimCommands: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sim", abstract: "Run protocols and engines under every fault a seed can draw; find, shrink and replay failures.",
    subcommands: [List.self, Run.self, Hunt.self, Shrink.self, Replay.self, Explore.self, Crash.self, Zoo.self])

  static func scenario(_ name: String) -> AnyScenario {
    guard let scenario = Catalogue.scenario(name) else {
      Outcome.exit(Outcome.refused, "no scenario is named \(name); `strata sim list` names them")
    }
    return scenario
  }

  static func run(_ scenario: AnyScenario, _ plan: RunPlan, trace: Trace? = nil) -> RunReport {
    do { return try scenario.run(plan, trace: trace) } catch { Outcome.exit(Outcome.refused, "\(error)") }
  }

  /// Writes a file whole, or says why not.
  static func write(_ text: String, to path: String) {
    let bytes = Array(text.utf8)
    let target = FilePath(path)
    let files = POSIXFileSystem()
    do {
      let directory = target.removingLastComponent()
      if !directory.isEmpty { try files.makeDirectories(directory) }
      try files.atomicReplace(target, with: bytes)
    } catch { Outcome.exit(Outcome.refused, "\(error)") }
  }

  static func read(_ path: String) -> [UInt8] {
    do { return try POSIXFileSystem().readAll(FilePath(path), limit: 64 << 20) } catch { Outcome.exit(Outcome.refused, "\(error)") }
  }

  /// Keeps a failure for later and says the line that replays it.
  static func keep(_ scenario: AnyScenario, _ plan: RunPlan, in directory: String) -> String {
    let report = run(scenario, plan, trace: Trace())
    guard let file = FailureFile(report, revision: RESPServer.version) else { return "" }
    let path = "\(directory)/\(report.digest).json"
    write(file.text, to: path)
    return path
  }

  static func hours(_ nanoseconds: UInt64) -> String {
    let tenths = nanoseconds / 360_000_000_000
    return "\(tenths / 10).\(tenths % 10)"
  }

  /// `strata sim list`
  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Name every scenario.")

    func run() {
      let width = Catalogue.all.map(\.name.count).max() ?? 0
      for scenario in Catalogue.all {
        print(scenario.name + String(repeating: " ", count: width - scenario.name.count + 2) + scenario.summary)
      }
    }
  }

  /// `strata sim run`
  struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Run one seed of a scenario.")

    @Argument(help: "The scenario: `strata sim list` names them.") var scenario: String
    @Option(help: "The seed everything follows from.") var seed: UInt64 = 1
    @OptionGroup var traces: TraceOptions
    @Option(help: "Where a failure is kept.") var failures = "failures"
    @Flag(help: "Print one JSON object.") var json = false

    func run() throws {
      let scenario = SimCommands.scenario(scenario)
      let plan = scenario.plan(seed: seed)
      let started = MonotonicClock.now()
      let report = SimCommands.run(scenario, plan, trace: traces.kept)
      let elapsed = MonotonicClock.now() - started
      traces.write(report)
      try SimCommands.tell(report, elapsed, json: json, kept: report.failure == nil ? nil : SimCommands.keep(scenario, plan, in: failures))
    }
  }

  /// Prints what a run came to and ends with 2 if it failed.
  static func tell(_ report: RunReport, _ elapsed: UInt64, json: Bool, kept: String?) throws {
    if json {
      var object = JSONText()
      object.add("scenario", report.scenario)
      object.add("seed", report.plan.seed)
      object.add("digest", report.digest.description)
      object.add("simulated_ns", report.simulatedTime)
      object.add("elapsed_ns", elapsed)
      object.add("events", report.events)
      object.add("requests", report.requests)
      object.add("served", report.served)
      if let failure = report.failure {
        object.add("failure", failure.kind)
        object.add("explanation", failure.explanation)
      }
      print(object.line)
    } else {
      print(
        "\(report.scenario) seed \(report.plan.seed): \(report.plan.nodes) nodes, \(report.plan.faults.count) faults, \(report.served) of "
          + "\(report.requests) requests served, \(report.events) events in \(SimCommands.seconds(report.simulatedTime)) of virtual time, "
          + "\(SimCommands.pace(report.simulatedTime, elapsed)), digest \(report.digest)")
      if let failure = report.failure { print("FAILED: \(failure)") }
      if let kept { print("strata sim replay \(kept)") }
    }
    if report.failure != nil { throw ExitCode(Outcome.damage) }
  }

  /// How much virtual time a minute of one core would have bought: `27.3 simulated hours a minute`.
  static func pace(_ simulated: UInt64, _ elapsed: UInt64) -> String {
    let tenths = UInt64(Double(simulated) / Double(max(1, elapsed)) * 10 / 60)
    return "\(tenths / 10).\(tenths % 10) simulated hours a minute of one core"
  }

  static func seconds(_ nanoseconds: UInt64) -> String { "\(nanoseconds / 1_000_000_000).\(nanoseconds / 100_000_000 % 10) s" }

  /// `strata sim hunt`
  struct Hunt: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Run many seeds of one scenario, or of all that must hold, and keep each failure, shrunk.")

    @Argument(help: "The scenario, or `all` for every one that must hold.") var scenario: String = "all"
    @Option(help: "Stop after this many seeds of each scenario.") var seeds: UInt64?
    @Option(help: "Stop after this many minutes.") var minutes: Double?
    @Option(help: "Runs at one time; as many as there are cores by default.") var jobs: Int?
    @Option(help: "The first seed.") var first: UInt64 = 1
    @Option(help: "Where failures are kept.") var failures = "failures"

    func validate() throws {
      if let jobs, !(1...256).contains(jobs) { throw ValidationError("--jobs lies between 1 and 256") }
      if let minutes, !(minutes > 0 && minutes <= 100_000) { throw ValidationError("--minutes is above 0 and at most 100000") }
    }

    func run() throws {
      let scenarios = scenario == "all" ? Catalogue.sound : [SimCommands.scenario(scenario)]
      let deadline = minutes.map { MonotonicClock.now() + UInt64($0 * 60e9) }
      let seeds = seeds ?? (minutes == nil ? 1000 : .max)
      let hunt = SeedHunt(scenarios: scenarios, first: first, seeds: seeds, deadline: deadline)
      let started = MonotonicClock.now()
      let jobs = jobs ?? System.coreCount
      let workers = (0..<jobs).map { index in Worker(name: "hunt \(index)") { hunt.run() } }
      for worker in workers { worker.join() }
      let result = hunt.result
      let elapsed = Double(MonotonicClock.now() - started) / 1e9
      print(
        "\(result.runs) runs, \(result.failures.count) failures, \(hours(result.simulated)) simulated hours in "
          + "\(Int(elapsed)) s of wall time on \(jobs) threads: "
          + "\(SimCommands.pace(result.simulated, UInt64(elapsed * 1e9 * Double(jobs)))), "
          + "\(result.events) events, \(result.served) requests served")
      for (name, count) in result.situations.sorted(by: { $0.key < $1.key }) {
        print("  \(count > 0 ? "reached" : "NEVER REACHED")  \(name)  \(count)")
      }
      for failure in result.failures.prefix(10) {
        let scenario = SimCommands.scenario(failure.scenario)
        var shrinker = Shrinker(scenario, failure.plan, kind: failure.kind, time: .seconds(30))
        shrinker.run()
        let kept = SimCommands.keep(scenario, shrinker.plan, in: failures)
        print("FAILED: \(failure.scenario) seed \(failure.plan.seed): \(failure.kind)\nstrata sim replay \(kept)")
      }
      if !result.failures.isEmpty { throw ExitCode(Outcome.damage) }
      if minutes != nil, result.situations.values.contains(0) { throw ExitCode(Outcome.refused) }
    }
  }

  /// `strata sim shrink`
  struct Shrink: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Make a kept failure smaller and keep that beside it.")

    @Argument(help: "The failure file.", completion: .file()) var file: String
    @Option(help: "How many seconds to try.") var seconds = 60
    @Option(help: "Where the smaller failure is kept.") var failures = "failures"

    func run() throws {
      let (file, scenario) = SimCommands.failure(file)
      var shrinker = Shrinker(scenario, file.plan, kind: file.kind, time: .seconds(seconds))
      let before = SimCommands.run(scenario, file.plan)
      guard before.failure?.kind == file.kind else {
        Outcome.exit(Outcome.refused, "the run does not fail with \(file.kind) any more; was it made by another revision (\(file.revision))?")
      }
      shrinker.run()
      let after = SimCommands.run(scenario, shrinker.plan)
      print(
        "\(before.events) events, \(file.plan.faults.count) faults, \(before.requests) requests → \(after.events) events, "
          + "\(shrinker.plan.faults.count) faults, \(after.requests) requests, after \(shrinker.attempts) attempts")
      print("strata sim replay \(SimCommands.keep(scenario, shrinker.plan, in: failures))")
    }
  }

  /// `strata sim explore`
  struct Explore: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Visit every state that some order of deliveries, timers, syncs and crashes leads to, up to a depth.")

    @Argument(help: "A scenario that has a small scope.") var scenario: String
    @Option(help: "How many steps deep.") var depth = 12
    @Option(help: "How many different states at most.") var states = 300_000

    func validate() throws {
      if !(1...1000).contains(depth) { throw ValidationError("--depth lies between 1 and 1000") }
      if !(1...100_000_000).contains(states) { throw ValidationError("--states lies between 1 and 100000000") }
    }

    func run() throws {
      guard let explore = SimCommands.scenario(scenario).exploration else {
        let names = Catalogue.all.filter { $0.exploration != nil }.map(\.name).joined(separator: ", ")
        Outcome.exit(Outcome.refused, "\(scenario) has no small scope; these have: \(names)")
      }
      let found = explore(depth, states)
      print("\(found.worlds) states, depth \(found.depth)\(found.isComplete ? ", complete" : "")")
      for (name, count) in found.situations.sorted(by: { $0.key < $1.key }) { print("  \(name): \(count) states") }
      if let violation = found.violation {
        print("FAILED: \(violation.explanation)")
        for (number, step) in violation.path.enumerated() { print("  \(number + 1). \(step)") }
        throw ExitCode(Outcome.damage)
      }
    }
  }

  /// `strata sim crash`
  struct Crash: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Cut the power before every disk operation of an engine's workload, in every way the disk allows, and again during recovery.")

    @Argument(help: "A storage engine's scenario.") var scenario: String
    @Option(help: "Operations of the workload.") var operations = 40
    @Option(help: "Disk images examined at most.") var images = 2000
    @Option(help: "The seed of the workload.") var seed: UInt64 = 1

    func validate() throws {
      if !(1...1_000_000).contains(operations) { throw ValidationError("--operations lies between 1 and 1000000") }
      if !(1...1_000_000_000).contains(images) { throw ValidationError("--images lies between 1 and 1000000000") }
    }

    func run() throws {
      guard let crashes = SimCommands.scenario(scenario).crashes else {
        let names = Catalogue.all.filter { $0.crashes != nil }.map(\.name).joined(separator: ", ")
        Outcome.exit(Outcome.refused, "\(scenario) is no storage engine; these are: \(names)")
      }
      var options = EngineCrashOptions()
      options.operations = operations
      options.images = images
      options.seed = seed
      let started = MonotonicClock.now()
      let report = try crashes(options)
      let seconds = Double(MonotonicClock.now() - started) / 1e9
      print(report.description)
      print("\(Int(Double(report.images + report.recoveryImages) / max(0.001, seconds))) recoveries a second")
      if !report.isClean { throw ExitCode(Outcome.damage) }
    }
  }

  /// `strata sim zoo`
  struct Zoo: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Run everything that is broken on purpose until it is caught, and print how long that took.")

    @Option(help: "How many seconds of one core a defect may take to be caught.") var seconds = 60

    func run() throws {
      var survivors = 0
      print("| planted defect | caught as | seeds | seconds |\n|---|---|--:|--:|")
      for scenario in Catalogue.broken {
        let started = MonotonicClock.now()
        var seed: UInt64 = 0
        var kind: String?
        repeat {
          seed += 1
          kind = SimCommands.run(scenario, scenario.plan(seed: seed)).failure?.kind
        } while kind == nil && MonotonicClock.now() - started < UInt64(seconds) * 1_000_000_000
        let hundredths = (MonotonicClock.now() - started) / 10_000_000
        let fraction = hundredths % 100
        if kind == nil { survivors += 1 }
        print(
          "| `\(scenario.name)`: \(scenario.summary.replacing("broken: ", with: "")) | \(kind ?? "NOT CAUGHT") | \(seed) | "
            + "\(hundredths / 100).\(fraction < 10 ? "0" : "")\(fraction) |")
      }
      if survivors > 0 { Outcome.exit(Outcome.damage, "\(survivors) of \(Catalogue.broken.count) defects were not caught") }
      print("\n\(Catalogue.broken.count) defects, all caught.")
    }
  }

  static func failure(_ path: String) -> (FailureFile, AnyScenario) {
    do {
      let (file, isComplete) = try FailureFile.parse(read(path))
      if !isComplete { StandardError.write("strata: \(path) was cut off; what is there is run\n") }
      return (file, scenario(file.scenario))
    } catch { Outcome.exit(Outcome.refused, "\(path): \(error)") }
  }

  /// `strata sim replay`
  struct Replay: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Run a kept failure again, event by event as it was.")

    @Argument(help: "The failure file.", completion: .file()) var file: String
    @Option(help: "Leave out of what is written whatever came later than so many milliseconds of virtual time.") var until: Double?
    @OptionGroup var traces: TraceOptions
    @Flag(help: "Print one JSON object.") var json = false

    func validate() throws {
      if let until, !(until >= 0 && until <= 1e12) { throw ValidationError("--until lies between 0 and 10^12 milliseconds") }
    }

    func run() throws {
      let (file, scenario) = SimCommands.failure(file)
      let started = MonotonicClock.now()
      let report = SimCommands.run(scenario, file.plan, trace: Trace())
      let elapsed = MonotonicClock.now() - started
      if report.digest.description != file.digest {
        StandardError.write("strata: the run differs from the one that was kept (revision \(file.revision), this is \(RESPServer.version))\n")
      }
      let shown = traces.html == nil ? report : SimCommands.run(scenario, file.plan, trace: Trace(keepsStates: true))
      traces.write(until.map { shown.shown(until: UInt64($0 * 1e6)) } ?? shown)
      try SimCommands.tell(report, elapsed, json: json, kept: nil)
    }
  }
}

/// Many runs shared out to several threads.
private final class SeedHunt: Sendable {
  struct Failure {
    let scenario: String
    let plan: RunPlan
    let kind: String
  }

  struct Result {
    var runs = 0
    var simulated: UInt64 = 0
    var events: UInt64 = 0
    var served = 0
    var failures: [Failure] = []
    var situations: [String: Int] = [:]
  }

  private let scenarios: [AnyScenario]
  private let first: UInt64
  private let seeds: UInt64
  private let deadline: UInt64?
  private let taken = Atomic<UInt64>(0)
  private let results = Mutex(Result())

  init(scenarios: [AnyScenario], first: UInt64, seeds: UInt64, deadline: UInt64?) {
    self.scenarios = scenarios
    self.first = first
    self.seeds = seeds
    self.deadline = deadline
  }

  var result: Result { results.withLock { $0 } }

  func run() {
    while true {
      let number = taken.add(1, ordering: .relaxed).oldValue
      let (seed, index) = number.quotientAndRemainder(dividingBy: UInt64(scenarios.count))
      if seed >= seeds { return }
      if let deadline, MonotonicClock.now() > deadline { return }
      let scenario = scenarios[Int(index)]
      guard let report = try? scenario.run(scenario.plan(seed: first &+ seed)) else { continue }
      results.withLock { result in
        result.runs += 1
        result.simulated += report.simulatedTime
        result.events += report.events
        result.served += report.served
        // A situation may be out of reach in one scenario of a protocol and the point of another.
        for (name, count) in report.situations { result.situations[name, default: 0] += count }
        if let failure = report.failure { result.failures.append(.init(scenario: scenario.name, plan: report.plan, kind: failure.kind)) }
      }
    }
  }
}
