import ArgumentParser
import StrataCheckers
import StrataDisk
import SystemPackage

/// `strata check`
struct CheckCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check", abstract: "Judge a recorded history: JSON Lines, Jepsen's EDN, or an etcd log of Jepsen's tests.",
    discussion: """
      Kinds:
      \(CheckKind.allCases.map { "  " + $0.rawValue.padded(to: 22) + $0.summary }.joined(separator: "\n"))

      Isolation levels for --expect: \(IsolationLevel.allCases.map(\.rawValue).joined(separator: ", ")).
      Exit codes: 0 valid, 1 unknown or the file cannot be read as such a history, 2 invalid, 64 wrong usage.
      """)

  @Argument(help: "What to judge it for.") var kind: CheckKind
  @Argument(help: "The file.") var file: String
  @Option(help: "jsonl, edn or etcd; without it the first character tells.") var format: HistoryFile.Format?
  @Option(help: "The isolation level promised to transactions.") var expect = IsolationLevel.serializable
  @Flag(help: "Registers in transactions are sequentially consistent each.") var sequentialKeys = false
  @Flag(help: "Registers in transactions are linearizable each.") var linearizableKeys = false
  @Option(help: "The sum of all accounts of a bank; without it that of the first read.") var total: Int?
  @Flag(help: "Accounts may be below zero.") var debts = false
  @Flag(help: "Locks expire, so only their tokens count.") var leases = false
  @Flag(help: "The queue was emptied at the end, so what did not come out is lost.") var drained = false
  @Option(help: "Seconds a search may take.") var seconds = 60
  @Option(help: "MiB a search may remember.") var memory = 1024
  @Option(help: "Write the picture of a violation there.") var html: String?
  @Flag(help: "Print one JSON object.") var json = false

  /// Files above this are refused: reading takes several times as much memory.
  static let largestFile = 2 << 30

  func validate() throws {
    guard seconds > 0, memory > 0, memory <= 1 << 24 else { throw ValidationError("--seconds and --memory must be positive") }
  }

  func run() throws {
    var options = CheckOptions()
    options.level = expect
    if sequentialKeys { options.order.insert(.sequential) }
    if linearizableKeys { options.order.insert(.linearizable) }
    options.total = total
    options.allowsDebts = debts
    options.leases = leases
    options.isDrained = drained
    options.budget = CheckBudget(time: .seconds(seconds), memory: memory << 20)
    let history: HistoryFile
    let verdict: Verdict
    do {
      let bytes = try POSIXFileSystem().readAll(FilePath(file), limit: Self.largestFile)
      history = try HistoryFile(reading: bytes, as: format)
      verdict = try history.verdict(as: kind, options)
    } catch { Outcome.exit(Outcome.refused, "\(file): \(error)") }
    for warning in history.warnings { StandardError.write("strata: \(file): \(warning)\n") }
    if let html, let violation = verdict.violation {
      do { try POSIXFileSystem().atomicReplace(FilePath(html), with: Array(violation.html.utf8)) } catch {
        Outcome.exit(Outcome.refused, "\(html): \(error)")
      }
    }
    print(json ? Self.describe(verdict).line : Self.text(verdict))
    switch verdict {
    case .valid: return
    case .unknown: throw ExitCode(Outcome.refused)
    case .invalid: throw ExitCode(Outcome.damage)
    }
  }

  private static func text(_ verdict: Verdict) -> String {
    switch verdict {
    case .valid(let statistics):
      let remarks = statistics.remarks.map { "\nremark: \($0)" }.joined()
      return "valid: \(statistics.operations) operations, \(statistics.parts) parts, \(statistics.steps) steps\(remarks)"
    case .unknown(let reason): return "unknown: \(reason)"
    case .invalid(let violation): return "invalid: \(violation)"
    }
  }

  private static func describe(_ verdict: Verdict) -> JSONText {
    var json = JSONText()
    switch verdict {
    case .valid(let statistics):
      json.add("verdict", "valid")
      json.add("operations", statistics.operations)
      json.add("parts", statistics.parts)
      json.add("steps", statistics.steps)
      json.add("remarks", statistics.remarks)
    case .unknown(let reason):
      json.add("verdict", "unknown")
      json.add("reason", reason)
    case .invalid(let violation):
      json.add("verdict", "invalid")
      json.add("violation", violation.kind)
      json.add("explanation", violation.explanation)
      json.add("witness", violation.witness)
      json.add("also_found", violation.alsoFound)
      json.add("ruled_out", violation.ruledOut)
    }
    return json
  }
}

extension CheckKind: ExpressibleByArgument {}
extension HistoryFile.Format: ExpressibleByArgument {}
extension IsolationLevel: ExpressibleByArgument {}

extension String {
  /// With spaces up to this many characters.
  fileprivate func padded(to width: Int) -> String { self + String(repeating: " ", count: max(1, width - count)) }
}
