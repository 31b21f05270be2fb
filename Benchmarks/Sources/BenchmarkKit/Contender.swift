import Foundation

/// One round of one contender.
public struct Round: Sendable {
  /// From 0.
  public let number: Int
  /// A directory of the contender's own on the file system under test: empty, or as its last round left it where the contender keeps its data.
  public let directory: URL
}

/// A subject or a peer: a name and how to measure it.
public struct Contender: Sendable {
  /// The name in tables.
  public let name: String
  /// Whether a round finds the data of the round before; a load that is not measured is then done once.
  public let keepsData: Bool
  let measure: @Sendable (Round) async throws -> Figures

  /// A contender measured in this process.
  public init(_ name: String, keepsData: Bool = false, measure: @escaping @Sendable (Round) async throws -> Figures) {
    self.name = name
    self.keepsData = keepsData
    self.measure = measure
  }

  /// A program that prints one JSON line with `operations` and `seconds`, perhaps `p50_ns`, `p99_ns`, `p999_ns`, `max_ns` and other numbers.
  ///
  /// `--dir` and the round's directory are appended to its arguments.
  public static func program(_ name: String, _ path: URL, _ arguments: [String], keepsData: Bool = false) -> Contender {
    Contender(name, keepsData: keepsData) { round in
      let line = try await run(path, arguments + ["--dir", round.directory.path])
      guard let measurement = Figures(jsonLine: line) else { throw BenchmarkError.unreadable(program: path.lastPathComponent, output: line) }
      return measurement
    }
  }

  /// A program of Benchmarks/Peers by its name; `make bench` and its like have built it.
  public static func peer(_ program: String, _ arguments: [String], as name: String? = nil, keepsData: Bool = false) -> Contender {
    let path = Peers.directory.appendingPathComponent(program)
    return .program(name ?? program, path, arguments + (keepsData ? ["--reuse", "yes"] : []), keepsData: keepsData)
  }
}

/// Where the peers' programs are.
public enum Peers {
  /// `STRATA_PEERS`, or Benchmarks/Peers/.build of this checkout.
  public static var directory: URL {
    if let path = ProcessInfo.processInfo.environment["STRATA_PEERS"] { return URL(fileURLWithPath: path) }
    return URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Peers/.build")
  }
}

/// What keeps a benchmark from being measured.
public enum BenchmarkError: Error, CustomStringConvertible {
  /// A flag that does not exist or has no usable value.
  case usage(String)
  /// A peer's program is not there.
  case missing(program: String)
  /// A program ended with a failure.
  case failed(program: String, code: Int32, output: String)
  /// A program printed something else than one JSON line of figures.
  case unreadable(program: String, output: String)

  public var description: String {
    switch self {
    case .usage(let text): "\(text)\n\(BenchmarkOptions.usage)"
    case .missing(let program): "no program \(program); `make -C Benchmarks/Peers` builds the peers"
    case .failed(let program, let code, let output): "\(program) ended with code \(code): \(output)"
    case .unreadable(let program, let output): "\(program) printed no line of figures: \(output)"
    }
  }
}

extension Figures {
  /// Reads the last line of a peer's output; `nil` where it has no operations and seconds.
  init?(jsonLine: String) {
    guard let line = jsonLine.split(separator: "\n").last, let object = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
    else { return nil }
    var figures = object.compactMapValues { ($0 as? NSNumber)?.doubleValue }
    guard let operations = figures.removeValue(forKey: "operations"), let seconds = figures.removeValue(forKey: "seconds") else { return nil }
    var latency: Latency?
    if let p50 = figures.removeValue(forKey: "p50_ns"), let p99 = figures.removeValue(forKey: "p99_ns") {
      let max = figures.removeValue(forKey: "max_ns") ?? p99
      latency = Latency(p50: p50, p99: p99, p999: figures.removeValue(forKey: "p999_ns") ?? max, max: max)
    }
    figures.removeValue(forKey: "checksum")
    self.init(operations: operations, seconds: seconds, latency: latency, extras: figures)
  }
}

/// Runs a program to its end on a thread that may wait and returns what it printed.
func run(_ path: URL, _ arguments: [String]) async throws -> String {
  guard FileManager.default.isExecutableFile(atPath: path.path) else { throw BenchmarkError.missing(program: path.path) }
  return try await withCheckedThrowingContinuation { continuation in
    DispatchQueue.global().async {
      continuation.resume(with: Result { try output(of: path, arguments) })
    }
  }
}

/// Runs a program to its end and returns what it printed. Blocks.
///
/// - Parameter isChatty: what it says on its standard error is no news, and is dropped.
/// - Throws: ``BenchmarkError/failed(program:code:output:)`` where it ends with another code than 0.
public func output(of path: URL, _ arguments: [String], isChatty: Bool = false) throws -> String {
  let process = Process()
  process.executableURL = path
  process.arguments = arguments
  let output = Pipe()
  process.standardOutput = output
  process.standardError = isChatty ? FileHandle.nullDevice : FileHandle.standardError
  try process.run()
  let text = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
  process.waitUntilExit()
  guard process.terminationStatus == 0 else {
    throw BenchmarkError.failed(program: path.lastPathComponent, code: process.terminationStatus, output: text)
  }
  return text
}
