import ArgumentParser

#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif

/// `strata raft`
struct RaftCommands: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "raft", abstract: "Look at and change the members of a replicated server.",
    discussion: """
      The verbs that change members find the leader by themselves, from whichever member is named, and return when the change is in effect. \
      'bootstrap', 'log-dump' and 'force-new-cluster' work on the directory of a member that does not run.
      """,
    subcommands: [
      Status.self, Add.self, AddLearner.self, Promote.self, Demote.self, Remove.self, Replace.self, Transfer.self, Bootstrap.self,
      LogDump.self, ForceNewCluster.self,
    ])

  struct Server: ParsableArguments {
    @Option(help: "Any member's address for clients.") var server = "127.0.0.1:6379"
    @Option(help: "Password of the default user; better in STRATA_PASSWORD.") var password: String?
    @Option(help: "Seconds to wait for the change to be in effect.") var timeout = 30

    func connect(_ address: String? = nil) throws(RESPClient.Failure) -> RESPClient {
      let client = try RESPClient(address ?? server)
      if let password {
        if case .error(let why) = try client.call(["AUTH", password]) { throw RESPClient.Failure(description: "\(address ?? server): \(why)") }
      }
      return client
    }
  }

  /// What RAFT STATUS says, line by line.
  static func status(_ client: RESPClient) throws(RESPClient.Failure) -> [(name: String, value: String)] {
    switch try client.call(["RAFT", "STATUS"]) {
    case .text(let text):
      return text.split(whereSeparator: \.isNewline).compactMap { line in
        let pair = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        return pair.count == 2 ? (String(pair[0]), String(pair[1])) : nil
      }
    case .error(let why): throw RESPClient.Failure(description: why)
    default: throw RESPClient.Failure(description: "the server's answer makes no sense")
    }
  }

  /// Sends a command to whoever leads, following what members say of the leader, until it is taken, refused or the time is over.
  static func atLeader(_ server: Server, _ command: [String], isDone: ([(name: String, value: String)]) -> Bool) throws(RESPClient.Failure) {
    var address: String?
    var isTaken = false
    var last = "there is no leader"
    for _ in 0..<(server.timeout * 10) {
      do throws(RESPClient.Failure) {
        let client = try server.connect(address)
        if !isTaken {
          switch try client.call(command) {
          case .error(let why) where why.hasPrefix("NOTLEADER"):
            last = why
            address = why.split(separator: " ").last.map(String.init).flatMap { $0.contains(":") ? $0 : nil }
            if address == nil { pause() }
            continue
          case .error(let why) where why.hasPrefix("UNKNOWN") || why.hasPrefix("CLUSTERDOWN"): last = why
          case .error(let why): throw RESPClient.Failure(description: "refused: \(why)")
          default: isTaken = true
          }
        }
        if isTaken, isDone(try status(client)) { return }
      } catch {
        if error.description.hasPrefix("refused") || address == nil && !isTaken { throw error }
        last = error.description
        address = nil
      }
      pause()
    }
    throw RESPClient.Failure(
      description: isTaken ? "proposed, but not in effect after \(server.timeout) s; see strata raft status" : "not done: \(last)")
  }

  private static func pause() { usleep(100_000) }

  /// Carries out a change and waits until a member is in the state wanted.
  static func change(_ server: Server, _ command: [String], _ isDone: ([(name: String, value: String)]) -> Bool) {
    do { try atLeader(server, command, isDone: isDone) } catch { Outcome.exit(Outcome.refused, "\(error)") }
    print("ok")
  }

  /// Lets a node receive the log, without a vote, until it has kept up, and only then carries out the change that gives it a vote: a node that
  /// is not there, or far behind, would count among those of whom a majority is needed.
  static func changeWhenCaughtUp(
    _ server: Server, _ node: UInt64, at address: String, _ command: [String], _ isDone: ([(name: String, value: String)]) -> Bool
  ) {
    do throws(RESPClient.Failure) {
      if kind(of: node, in: try status(try server.connect())) != "voter" {
        try atLeader(server, ["RAFT", "ADDLEARNER", "\(node)", address]) { kind(of: node, in: $0) == "learner" && isCaughtUp(node, $0) }
      }
    } catch {
      let follows = !error.description.hasPrefix("proposed")
      Outcome.exit(Outcome.refused, follows ? "\(error)" : "node \(node) gets no vote before it has the log; is it started, at \(address)? \(error)")
    }
    change(server, command, isDone)
  }

  /// Whether the leader, whose status this is, hears a member and it is hardly behind.
  private static func isCaughtUp(_ node: UInt64, _ status: [(name: String, value: String)]) -> Bool {
    for line in status where line.name.hasPrefix("slave") {
      let fields = line.value.split(separator: ",")
      // Of a new member the leader has no bad news either: what shows that it is there is that it holds something.
      guard fields.contains("id=\(node)"), fields.contains("state=online"), !fields.contains("offset=0") else { continue }
      let lag = fields.first { $0.hasPrefix("lag=") }.flatMap { Int($0.dropFirst(4)) }
      return lag.map { $0 <= 1000 } ?? false
    }
    return false
  }

  static func kind(of id: UInt64, in status: [(name: String, value: String)]) -> String? {
    // While two sets of voters must agree the change is not in effect.
    guard status.first(where: { $0.name == "raft_members" })?.value.contains("&&") == false else { return "joint" }
    return status.first { $0.name == "member\(id)" }?.value.split(separator: ",").first.map { String($0.dropFirst(5)) }
  }

  /// `strata raft status`
  struct Status: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Print how a member stands: role, leader, term, commit, applied, members.")
    @OptionGroup var server: Server
    @Flag(help: "Print JSON.") var json = false

    func run() {
      let lines: [(name: String, value: String)]
      do { lines = try RaftCommands.status(try server.connect()) } catch { Outcome.exit(Outcome.refused, "\(error)") }
      guard json else { return lines.forEach { print("\($0.name): \($0.value)") } }
      var text = JSONText()
      for line in lines { if let number = Int(line.value) { text.add(line.name, number) } else { text.add(line.name, line.value) } }
      print(text.line)
    }
  }

  /// `strata raft add`
  struct Add: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make a node a voting member, once it has the log, or a snapshot, from the leader. Start it first.")
    @Argument(help: "Its number, which no node ever had.") var node: UInt64
    @Argument(help: "Where it listens for the other members: host:port.") var address: String
    @OptionGroup var server: Server

    func run() {
      RaftCommands.changeWhenCaughtUp(server, node, at: address, ["RAFT", "ADD", "\(node)", address]) { kind(of: node, in: $0) == "voter" }
    }
  }

  /// `strata raft add-learner`
  struct AddLearner: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Let a node receive the log without a vote.")
    @Argument(help: "Its number, which no node ever had.") var node: UInt64
    @Argument(help: "Where it listens for the other members: host:port.") var address: String
    @OptionGroup var server: Server

    func run() { RaftCommands.change(server, ["RAFT", "ADDLEARNER", "\(node)", address]) { kind(of: node, in: $0) == "learner" } }
  }

  /// `strata raft promote`
  struct Promote: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Give a learner a vote.")
    @Argument(help: "Its number.") var node: UInt64
    @OptionGroup var server: Server

    func run() { RaftCommands.change(server, ["RAFT", "PROMOTE", "\(node)"]) { kind(of: node, in: $0) == "voter" } }
  }

  /// `strata raft demote`
  struct Demote: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Take a member's vote; it goes on receiving the log.")
    @Argument(help: "Its number.") var node: UInt64
    @OptionGroup var server: Server

    func run() { RaftCommands.change(server, ["RAFT", "DEMOTE", "\(node)"]) { kind(of: node, in: $0) == "learner" } }
  }

  /// `strata raft remove`
  struct Remove: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Remove a member, running or not. Its number is never used again.")
    @Argument(help: "Its number.") var node: UInt64
    @OptionGroup var server: Server

    func run() { RaftCommands.change(server, ["RAFT", "REMOVE", "\(node)"]) { kind(of: node, in: $0) == nil } }
  }

  /// `strata raft replace`
  struct Replace: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Put a node in the place of a member, in one step, once it has the log.")
    @Argument(help: "The member that goes.") var old: UInt64
    @Argument(help: "The number of the node that comes.") var new: UInt64
    @Argument(help: "Where it listens for the other members: host:port.") var address: String
    @OptionGroup var server: Server

    func run() {
      RaftCommands.changeWhenCaughtUp(server, new, at: address, ["RAFT", "REPLACE", "\(old)", "\(new)", address]) {
        kind(of: new, in: $0) == "voter" && kind(of: old, in: $0) == nil
      }
    }
  }

  /// `strata raft transfer`
  struct Transfer: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Hand leadership to a member.")
    @Argument(help: "Its number.") var node: UInt64
    @OptionGroup var server: Server

    func run() {
      RaftCommands.change(server, ["RAFT", "TRANSFER", "\(node)"]) { status in
        status.first { $0.name == "raft_leader" }?.value == String(node)
      }
    }
  }
}
