import BenchmarkKit
import Foundation

/// A server under test: how it is started in a directory and on which port it listens.
struct ServerKind: Sendable {
  var name: String
  /// The program and its arguments for a directory, a port (0 for one of its own choice) and a file it writes the port to.
  var command: @Sendable (_ directory: URL, _ portFile: URL, _ freePort: Int) -> (program: URL, arguments: [String])

  static func redis(fsync: String) -> ServerKind {
    ServerKind(name: "redis \(fsync)") { directory, _, port in
      (
        Programs.redisServer,
        [
          "--port", "\(port)", "--bind", "127.0.0.1", "--dir", directory.path, "--save", "", "--appendonly", "yes", "--appendfsync", fsync,
          "--auto-aof-rewrite-percentage", "0", "--daemonize", "no", "--loglevel", "warning",
        ]
      )
    }
  }

  /// On the default engine, or that of `STRATA_ENGINE`, which the server reads itself.
  static func strata(_ name: String, durability: [String]) -> ServerKind {
    ServerKind(name: name) { directory, portFile, _ in
      (
        Programs.strata,
        [
          "serve", "--dir", directory.appendingPathComponent("store").path, "--port", "0", "--port-file", portFile.path, "--log-level", "warning",
        ] + durability
      )
    }
  }
}

/// Programs the benchmark starts.
enum Programs {
  private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()

  /// `STRATA_BINARY`, or the release build of this checkout.
  static var strata: URL {
    if let path = ProcessInfo.processInfo.environment["STRATA_BINARY"] { return URL(fileURLWithPath: path) }
    return root.appendingPathComponent(".build/release/strata")
  }

  static var redisServer: URL { root.appendingPathComponent(".build-peers/redis-server") }
  static let redisBenchmark = URL(fileURLWithPath: "/usr/bin/redis-benchmark")
  static let redisCLI = URL(fileURLWithPath: "/usr/bin/redis-cli")
}

/// A started server; stopped by ``stop()``.
final class RunningServer {
  private let process = Process()
  let port: Int

  init(_ kind: ServerKind, in directory: URL) throws {
    let portFile = directory.appendingPathComponent("port")
    // The directory is used in turns: what a former contender wrote there is not this one's port.
    try? FileManager.default.removeItem(at: portFile)
    let free = try freePort()
    let (program, arguments) = kind.command(directory, portFile, free)
    process.executableURL = program
    process.arguments = arguments
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    var found: Int?
    for _ in 0..<1000 where found == nil {
      guard process.isRunning else { throw ServerError(text: "\(kind.name) ended at its start with code \(process.terminationStatus)") }
      let candidate = (try? String(contentsOf: portFile, encoding: .utf8)).flatMap { Int($0.trimmingCharacters(in: .whitespacesAndNewlines)) } ?? free
      if (try? output(of: Programs.redisCLI, ["-p", "\(candidate)", "ping"], isChatty: true))?.hasPrefix("PONG") == true { found = candidate }
      if found == nil { usleep(10_000) }
    }
    guard let found else {
      process.terminate()
      throw ServerError(text: "\(kind.name) does not answer")
    }
    port = found
  }

  /// Resident memory in bytes.
  var residentBytes: Double {
    let text = (try? String(contentsOfFile: "/proc/\(process.processIdentifier)/status", encoding: .utf8)) ?? ""
    let line = text.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
    return Double(line?.split(whereSeparator: \.isWhitespace).dropFirst().first ?? "0").map { $0 * 1024 } ?? 0
  }

  func stop() {
    process.terminate()
    // A child of a thread that blocks signals may have inherited that: it is asked once and then ended.
    for _ in 0..<300 where process.isRunning { usleep(10_000) }
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    process.waitUntilExit()
  }
}

/// A server that did not come up or a client that failed.
struct ServerError: Error, CustomStringConvertible {
  var text: String
  var description: String { text }
}

/// A port nobody listens on at this moment.
func freePort() throws -> Int {
  let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
  defer { close(socket) }
  var address = sockaddr_in()
  address.sin_family = sa_family_t(AF_INET)
  address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
  var length = socklen_t(MemoryLayout<sockaddr_in>.size)
  let bound = withUnsafeMutablePointer(to: &address) { pointer in
    pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(socket, $0, length) == 0 && getsockname(socket, $0, &length) == 0 }
  }
  guard bound else { throw ServerError(text: "no free port on the loopback address") }
  return Int(UInt16(bigEndian: address.sin_port))
}
