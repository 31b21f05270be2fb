import ArgumentParser
import StrataConsistentHashing
import StrataDisk
import SystemPackage

/// `strata ring`
struct RingCommands: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ring", abstract: "Make placements of keys on nodes, look at them, and plan what moves when the nodes change.",
    discussion: """
      A node is NAME, or NAME,weight=2,zone=east,rack=7. A placement is a file that is replaced whole.
      """,
    subcommands: [Create.self, Show.self, Locate.self, Keys.self, Plan.self, Change.self, Verify.self])

  /// Ends the process as a placement's error asks for.
  static func fail(_ error: PlacementError) -> Never {
    switch error {
    case .corrupt: Outcome.exit(Outcome.damage, "\(error)")
    case .invalidParameter: Outcome.exit(Outcome.usage, "\(error)")
    default: Outcome.exit(Outcome.refused, "\(error)")
    }
  }

  static func load(_ file: String) -> RingState {
    do throws(PlacementError) { return try RingState.load(from: FilePath(file), on: POSIXFileSystem()) } catch { fail(error) }
  }

  static func save(_ state: RingState, _ file: String) {
    do throws(PlacementError) { try state.save(to: FilePath(file), on: POSIXFileSystem()) } catch { fail(error) }
  }

  /// A node as the command line gives it.
  static func member(_ text: String) -> Member {
    let parts = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    do throws(PlacementError) {
      var member = Member(try MemberID(parts[0]))
      for part in parts.dropFirst() {
        let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        switch (pair[0], pair.count) {
        case ("weight", 2):
          guard let weight = Double(pair[1]) else { Outcome.exit(Outcome.usage, "weight '\(pair[1])' of node \(parts[0]) is not a number") }
          member.weight = weight
        case ("zone", 2): member.zone = pair[1]
        case ("rack", 2): member.rack = pair[1]
        default: Outcome.exit(Outcome.usage, "'\(part)' says nothing about node \(parts[0]); write NAME,weight=2,zone=east,rack=7")
        }
      }
      return member
    } catch { fail(error) }
  }

  /// The keys of the arguments, else those on the lines of standard input.
  static func forEachKey(_ keys: [String], _ body: (String) -> Void) {
    if keys.isEmpty {
      while let line = readLine() { body(line) }
    } else {
      keys.forEach(body)
    }
  }

  static func owners(_ placement: any Placement, _ key: String, _ count: Int) -> [MemberID] {
    do throws(PlacementError) { return try placement.replicas(key, count: count) } catch { fail(error) }
  }

  /// The kinds `create` knows.
  enum Kind: String, ExpressibleByArgument, CaseIterable {
    case ring, balanced, envoy, ketama, libketama, slots, maglev, rendezvous, jump
  }

  /// `strata ring create`
  struct Create: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Make a placement and write it to a file.")
    @Argument(help: "The file; must not exist.") var file: String
    @Option(name: .long, help: "A node; once for each.") var node: [String] = []
    @Option(help: "ring, balanced, envoy, ketama (as libmemcached), libketama, slots, maglev, rendezvous or jump.") var kind: Kind = .ring
    @Option(help: "Virtual nodes of weight 1, tokens of a balanced ring, slots, or entries of a Maglev table.") var size: Int?
    @Option(help: "Copies of every key, of rings.") var replicas = 1

    func run() throws {
      let members = node.map(RingCommands.member)
      let state: RingState
      do throws(PlacementError) { state = try make(members) } catch { RingCommands.fail(error) }
      do {
        if try POSIXFileSystem().exists(FilePath(file)) { Outcome.exit(Outcome.refused, "\(file): already exists; `strata ring change` changes it") }
      } catch { Outcome.exit(Outcome.refused, "\(error)") }
      RingCommands.save(state, file)
    }

    private func make(_ members: [Member]) throws(PlacementError) -> RingState {
      func ring(_ allocation: Allocation) throws(PlacementError) -> RingState {
        .ring(
          try HashRing(
            members: members, vnodes: size ?? HashRing.defaultVnodes, allocation: allocation, replicationFactor: replicas), next: nil)
      }
      switch kind {
      case .ring: return try ring(.hashed)
      case .envoy: return try ring(.envoy)
      case .balanced:
        return .ring(try HashRing(members: members, allocation: .balanced(tokensPerNode: size ?? 16), replicationFactor: replicas), next: nil)
      case .ketama: return .ring(try HashRing.ketama(members: members, dialect: .libmemcached, replicationFactor: replicas), next: nil)
      case .libketama: return .ring(try HashRing.ketama(members: members, dialect: .libketama, replicationFactor: replicas), next: nil)
      case .slots: return .slots(try SlotMap(members: members, slots: size ?? SlotMap.defaultSlots))
      case .maglev: return .maglev(try MaglevTable(members: members, size: size ?? MaglevTable.defaultSize))
      case .rendezvous: return .rendezvous(try Rendezvous(members: members))
      case .jump: return .jump(try JumpHash(members: members))
      }
    }
  }

  /// `strata ring show`
  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show a placement as a picture and a table.")
    @Argument(help: "The placement's file.") var file: String
    @Flag(help: "Print one JSON object.") var json = false

    func run() throws {
      let state = RingCommands.load(file)
      let picture = RingPicture(state)
      print(json ? picture.json.line : picture.text)
    }
  }

  /// `strata ring locate`
  struct Locate: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print the nodes of keys, the primary first.", discussion: "Without keys, those on the lines of standard input.")
    @Argument(help: "The placement's file.") var file: String
    @Argument(help: "Keys.") var keys: [String] = []
    @Option(help: "How many nodes; of rings, their replication factor.") var replicas: Int?
    @Flag(help: "One JSON object per key.") var json = false

    func run() throws {
      let state = RingCommands.load(file)
      let placement = state.placement
      let count = replicas ?? state.replicationFactor
      RingCommands.forEachKey(keys) { key in
        let owners = RingCommands.owners(placement, key, count).map(\.name)
        guard json else { return print("\(key)\t\(owners.joined(separator: "\t"))") }
        var object = JSONText()
        object.add("key", key)
        object.add("position", placement.position(of: key))
        object.add("nodes", owners)
        print(object.line)
      }
    }
  }

  /// `strata ring keys`
  struct Keys: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print those of the keys that a node holds.", discussion: "Without keys, those on the lines of standard input.")
    @Argument(help: "The placement's file.") var file: String
    @Argument(help: "Keys.") var keys: [String] = []
    @Option(help: "The node.") var node: String
    @Option(help: "Copies counted; of rings, their replication factor.") var replicas: Int?
    @Flag(help: "One JSON object per key.") var json = false

    func run() throws {
      let state = RingCommands.load(file)
      let placement = state.placement
      let count = replicas ?? state.replicationFactor
      guard let id = placement.members.first(where: { $0.id.name.utf8.elementsEqual(node.utf8) })?.id else {
        Outcome.exit(Outcome.refused, "\(node) is not a member of \(file)")
      }
      RingCommands.forEachKey(keys) { key in
        guard let place = RingCommands.owners(placement, key, count).firstIndex(of: id) else { return }
        guard json else { return print(key) }
        var object = JSONText()
        object.add("key", key)
        object.add("place", place)
        print(object.line)
      }
    }
  }

  /// `strata ring verify`
  struct Verify: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Read a placement whole: 0 clean, 1 of a newer version, 2 damage.")
    @Argument(help: "The placement's file.") var file: String
    @Flag(help: "Print one JSON object.") var json = false

    func run() throws {
      let placement = RingCommands.load(file).placement
      var object = JSONText()
      object.add("epoch", placement.epoch)
      object.add("members", placement.members.count)
      print(json ? object.line : "clean: epoch \(placement.epoch), \(placement.members.count) members")
    }
  }
}

extension RingState {
  /// How many copies a key is meant to have.
  var replicationFactor: Int { if case .ring(let ring, _) = self { ring.replicationFactor } else { 1 } }
}
