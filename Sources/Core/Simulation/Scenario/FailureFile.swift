import StrataBytes
import StrataNodes

/// A run that failed, as a file that replays it: Docs/Formats/Simulation.md.
public struct FailureFile: Hashable, Sendable {
  /// The scenario's name.
  public var scenario: String
  /// Which revision of the program made it; a run of another may differ.
  public var revision: String
  /// What decided the run.
  public var plan: RunPlan
  /// The invariant that broke.
  public var kind: String
  /// How, with the numbers.
  public var explanation: String
  /// The digest of the run with a trace, as text.
  public var digest: String

  /// The file of a failed run; nothing if it did not fail. The report must be of a run with a trace, for the sake of the digest.
  public init?(_ report: RunReport, revision: String) {
    guard let failure = report.failure else { return nil }
    scenario = report.scenario
    self.revision = revision
    plan = report.plan
    kind = failure.kind
    explanation = failure.explanation
    digest = report.digest.description
  }

  /// The file's text: JSON Lines, the last of which counts and checks the others.
  public var text: String {
    var lines: [JSON] = [
      .object([
        .init("magic", .string("STRATA-SIM")), .init("version", .integer(1)), .init("revision", .string(revision)),
        .init("scenario", .string(scenario)),
      ]),
      .object([.init("plan", plan.json)]),
    ]
    lines += plan.faults.map(\.json)
    lines += plan.skipped.sorted().map {
      .object([.init("skip", .array([.integer(Int64($0.client)), .integer(Int64($0.number))]))])
    }
    lines.append(
      .object([.init("failure", .string(kind)), .init("explanation", .string(explanation)), .init("digest", .string(digest))]))
    let body = lines.map { $0.description + "\n" }.joined()
    let last = JSON.object([.init("records", .integer(Int64(lines.count))), .init("crc32c", .integer(Int64(crc32c(Array(body.utf8).span.bytes))))])
    return body + last.description + "\n"
  }

  /// Reads a file. A missing last line means that it was cut off: it is still read, and `isComplete` comes back false.
  ///
  /// - Throws: ``ScenarioError`` with the line that makes no sense.
  public static func parse(_ text: [UInt8]) throws(ScenarioError) -> (file: FailureFile, isComplete: Bool) {
    guard text.count <= 64 << 20 else { throw ScenarioError("a failure file has at most 64 MiB; this one has \(text.count) bytes") }
    var lines: [JSON] = []
    var isComplete = false
    var start = 0
    while start < text.count {
      let end = text[start...].firstIndex(of: 0x0A) ?? text.count
      let line: JSON
      do throws(JSONError) { line = try JSON(parsing: text[start..<end]) } catch {
        throw ScenarioError("line \(lines.count + 1), \(error)")
      }
      if let records = line["records"]?.integer {
        guard Int(records) == lines.count, line["crc32c"]?.integer == Int64(crc32c(Array(text[..<start]).span.bytes)) else {
          throw ScenarioError("line \(lines.count + 1): the file was changed: its checksum or its number of lines does not fit")
        }
        isComplete = true
        break
      }
      lines.append(line)
      start = end + 1
    }
    guard let head = lines.first, head["magic"]?.string == "STRATA-SIM" else { throw ScenarioError("line 1: not a failure file") }
    guard let version = head["version"]?.integer, version == 1 else {
      throw ScenarioError("line 1: version \(head["version"]?.description ?? "-"); this program reads version 1")
    }
    guard let scenario = head["scenario"]?.string, lines.count > 1, let planLine = lines[1]["plan"] else {
      throw ScenarioError("line 2: the plan should be there")
    }
    var file = FailureFile(scenario: scenario, revision: head["revision"]?.string ?? "", plan: try RunPlan(planLine))
    for (index, line) in lines.enumerated().dropFirst(2) {
      if line["fault"] != nil {
        do throws(ScenarioError) { file.plan.faults.append(try Fault(line)) } catch { throw ScenarioError("line \(index + 1): \(error)") }
      } else if let skip = line["skip"]?.array, skip.count == 2, let client = skip[0].integer, let number = skip[1].integer {
        file.plan.skipped.insert(.init(client: Int(client), number: Int(number)))
      } else if let kind = line["failure"]?.string {
        file.kind = kind
        file.explanation = line["explanation"]?.string ?? ""
        file.digest = line["digest"]?.string ?? ""
      } else {
        throw ScenarioError("line \(index + 1): neither a fault, a skipped request nor a failure")
      }
    }
    try file.plan.validate()
    return (file, isComplete)
  }

  private init(scenario: String, revision: String, plan: RunPlan) {
    self.scenario = scenario
    self.revision = revision
    self.plan = plan
    kind = ""
    explanation = ""
    digest = ""
  }
}
