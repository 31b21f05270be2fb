import Logging
import StrataHost
import StrataNodes

@testable import StrataRESP

#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif

/// Replicated servers of one process with real directories, connected by a network whose links the test cuts.
final class Group {
  let network = InProcessNetwork()
  let founders: [NodeID: String]
  private(set) var servers: [NodeID: RESPServer] = [:]
  private let root: String
  private let change: (inout ReplicationOptions) -> Void

  init(_ count: UInt64 = 3, starts: Bool = true, _ change: @escaping (inout ReplicationOptions) -> Void = { _ in }) throws {
    var template = Array("/tmp/strata-group-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else { throw Client.Closed() }
    root = String(cString: made)
    founders = Dictionary(uniqueKeysWithValues: (1...count).map { (NodeID($0), "member:\($0)") })
    self.change = change
    if starts { for id in founders.keys.sorted() { try start(id) } }
  }

  deinit {
    for server in servers.values { try? server.stop() }
    removeTree(root)
  }

  func start(_ id: NodeID, _ extra: (inout ReplicationOptions) -> Void = { _ in }) throws {
    var server = ServerOptions()
    server.port = 0
    server.diskThreads = 2
    var options = ReplicationOptions(node: id, founders: founders, directory: "\(root)/n\(id.rawValue)")
    // A test of many servers on a loaded machine is no place for short timeouts.
    options.tick = .milliseconds(25)
    options.timeout = .seconds(20)
    change(&options)
    extra(&options)
    let network = network
    servers[id] = try RESPServer.start(
      options: server, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, replication: options
    ) { _, _, _ in MemberConnections(transport: network.transport(of: id), executor: nil, setPeer: { _, _ in }, close: {}) }
  }

  func stop(_ id: NodeID) throws { try servers.removeValue(forKey: id)?.stop() }

  func loseDisk(_ id: NodeID) throws {
    try stop(id)
    removeTree("\(root)/n\(id.rawValue)")
  }

  func connect(_ id: NodeID) throws -> Client {
    guard let server = servers[id] else { throw Client.Closed() }
    return try Client(port: server.port)
  }

  /// What a member says of the group, by name.
  func status(_ id: NodeID) throws -> [String: String] {
    guard case .bulk(let bytes) = try connect(id).call("RAFT", "STATUS") else { return [:] }
    let lines = String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isNewline)
    return Dictionary(
      lines.compactMap { line in
        let pair = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        return pair.count == 2 ? (String(pair[0]), String(pair[1])) : nil
      }, uniquingKeysWith: { first, _ in first })
  }

  /// Who leads, once a member that runs says that it does.
  func leader() throws -> NodeID {
    try eventually {
      try self.servers.keys.sorted().first { try self.status($0)["role"] == "master" }
    }
  }

  /// Asks again until there is an answer; the caller's time limit ends it.
  func eventually<Result>(_ body: () throws -> Result?) throws -> Result {
    let start = Clocks.nanoseconds()
    while Clocks.nanoseconds() &- start < 60_000_000_000 {
      if let result = try body() { return result }
      sched_yield()
    }
    throw Client.Closed()
  }
}
