import Foundation

/// The flags every benchmark takes.
public struct BenchmarkOptions: Sendable {
  /// Rounds of each comparison; five or more for figures worth telling.
  public var rounds = 5
  /// Where the data lies; its file system is what is measured.
  public var directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent(".build/data")
  /// Prints one JSON object instead of tables.
  public var printsJSON = false
  /// Only comparisons whose title contains this.
  public var only: String?
  /// Multiplies the sizes of the loads; 1 is what the targets are stated for.
  public var scale = 1.0
  /// Seed of keys, values and choices.
  public var seed: UInt64 = 1

  static let usage = "flags: --rounds N (5), --directory PATH, --json, --only TEXT, --scale FACTOR (1), --seed N (1)"

  /// The defaults.
  public init() {}

  /// Reads a command line without the program's name.
  /// - Throws: ``BenchmarkError/usage(_:)`` for a flag that does not exist or has no usable value.
  public init(arguments: [String]) throws {
    var rest = arguments[...]
    while let flag = rest.popFirst() {
      if flag == "--json" {
        printsJSON = true
        continue
      }
      guard let value = rest.popFirst() else { throw BenchmarkError.usage("\(flag) needs a value or is unknown") }
      switch flag {
      case "--rounds": rounds = try Self.parsed(flag, value) { Int($0).flatMap { $0 > 0 ? $0 : nil } }
      case "--directory": directory = URL(fileURLWithPath: value)
      case "--only": only = value
      case "--scale": scale = try Self.parsed(flag, value) { Double($0).flatMap { $0 > 0 && $0.isFinite ? $0 : nil } }
      case "--seed": seed = try Self.parsed(flag, value) { UInt64($0) }
      default: throw BenchmarkError.usage("unknown flag \(flag)")
      }
    }
  }

  /// `count` times the scale, at least 1.
  public func scaled(_ count: Int) -> Int { max(1, Int(Double(count) * scale)) }

  private static func parsed<Value>(_ flag: String, _ text: String, _ parse: (String) -> Value?) throws -> Value {
    guard let value = parse(text) else { throw BenchmarkError.usage("\(flag) cannot be \(text)") }
    return value
  }
}

/// The body of a benchmark program: reads the flags, measures the comparisons, prints what came out.
///
/// The exit code is 0 when everything was measured, goals missed or not; 1 when something could not be; 64 for a wrong flag.
public func runBenchmark(_ name: String, _ comparisons: (BenchmarkOptions) throws -> [Comparison]) async {
  do {
    let options = try BenchmarkOptions(arguments: Array(CommandLine.arguments.dropFirst()))
    try FileManager.default.createDirectory(at: options.directory, withIntermediateDirectories: true)
    let machine = await MachineDescription(directory: options.directory)
    if !options.printsJSON {
      print("# \(name), \(options.rounds) rounds interleaved, seed \(options.seed), scale \(options.scale)")
      for fact in machine.facts { print("\(fact.name): \(fact.value)") }
    }
    var outcomes: [Outcome] = []
    for comparison in try comparisons(options) where options.only.map({ comparison.title.contains($0) }) ?? true {
      let outcome = try await comparison.run(rounds: options.rounds, in: options.directory) { progress in
        FileHandle.standardError.write(Data("\(comparison.title): \(progress)\n".utf8))
      }
      outcomes.append(outcome)
      if !options.printsJSON { print(outcome.text) }
    }
    if options.printsJSON { try printJSON(name, options, machine, outcomes) } else { print(summary(outcomes)) }
  } catch {
    FileHandle.standardError.write(Data("\(name): \(error)\n".utf8))
    if case BenchmarkError.usage = error { exit(64) }
    exit(1)
  }
}

private func summary(_ outcomes: [Outcome]) -> String {
  let verdicts = outcomes.flatMap { outcome in outcome.comparison.goals.map { $0.judge(outcome)?.isMet ?? false } }
  let missed = outcomes.flatMap { outcome in
    outcome.comparison.goals.filter { !($0.judge(outcome)?.isMet ?? false) }.map { "missed: \(outcome.comparison.title): \($0.text)" }
  }
  return "\n" + (["\(verdicts.count { $0 }) of \(verdicts.count) goals met"] + missed).joined(separator: "\n")
}

private func printJSON(_ name: String, _ options: BenchmarkOptions, _ machine: MachineDescription, _ outcomes: [Outcome]) throws {
  let object: [String: Any] = [
    "benchmark": name, "rounds": options.rounds, "seed": options.seed, "scale": options.scale,
    "machine": Dictionary(machine.facts.map { ($0.name, $0.value) }, uniquingKeysWith: { first, _ in first }),
    "comparisons": outcomes.map(\.json),
  ]
  let data = try JSONSerialization.data(withJSONObject: object, options: [.sortedKeys])
  print(String(decoding: data, as: UTF8.self))
}
