import StrataDisk
import StrataRequirements
import StrataSimulation
import Testing

@testable import StrataRESP

/// The power fails before every disk operation of commands on filters; what is found afterwards is what some prefix of the commands left, with every
/// acknowledged one in it, and no page without its filter.
@Suite struct FilterCrashTests {
  enum Note: Hashable, Sendable {
    case began(Int)
    case acknowledged(Int)
  }

  /// Filters that grow, shrink, go, come again under the same key and change their names; -1 stands for the removal of what is gone.
  static let commands: [[String]] = [
    ["BF.RESERVE", "b", "0.01", "2"], ["BF.ADD", "b", "1"], ["BF.MADD", "b", "2", "3", "4"], ["CF.ADD", "c", "1"], ["DEL", "b"], ["BF.ADD", "b", "5"],
    [], ["CF.DEL", "c", "1"], ["CF.INSERT", "c", "ITEMS", "2", "2"], ["RENAME", "b", "d"], ["SET", "c", "v"], ["BF.ADD", "d", "6"], [],
    ["COPY", "d", "b"], ["DEL", "d"], ["BF.ADD", "b", "7"],
  ]

  static let probes: [[String]] =
    ["b", "d"].flatMap { key in [["BF.MEXISTS", key, "1", "2", "3", "4", "5", "6", "7", "8"], ["BF.INFO", key]] } + [
      ["CF.MEXISTS", "c", "1", "2"], ["CF.COUNT", "c", "2"], ["CF.INFO", "c"], ["GET", "c"], ["TYPE", "b"], ["TYPE", "d"],
    ]

  static func run(_ command: [String], _ session: Session) throws {
    if command.isEmpty { try session.reap() } else { session.call(command.map { Array($0.utf8) }) }
  }

  static func answers(_ session: Session) -> [String] { probes.map { session.call($0.map { Array($0.utf8) }).description } }

  /// What the probes answer after so many commands.
  static func expected() throws -> [[String]] {
    let session = try Session(.memory)
    var states = [answers(session)]
    for command in commands {
      try run(command, session)
      states.append(answers(session))
    }
    return states
  }

  struct Broken: Error, CustomStringConvertible {
    var description: String
  }

  @Test(arguments: [Session.Store.lsm, .bitcask]) func everyCrashLeavesAPrefix(store: Session.Store) throws {
    let states = try Self.expected()
    // The states a crash must not mix are told apart by the probes.
    #expect(Set(states).count >= 12)
    var options = CrashEnumeration.Options()
    options.singlesPerPoint = 6
    options.tearsPerPoint = 2
    options.randomsPerPoint = 2
    options.crashesPerRecovery = 2
    options.maximumFailures = 1
    options.maximumImages = 250 * testDepth
    let report = try CrashEnumeration(options).run { (disk, ledger: Ledger<Note>) in
      let session = try Session(store, on: disk, durability: .everyWrite)
      for (index, command) in Self.commands.enumerated() {
        ledger.note(.began(index + 1))
        try Self.run(command, session)
        try session.keyspace.sync()
        ledger.note(.acknowledged(index + 1))
      }
      try session.close()
    } recover: { disk, ledger in
      var (acknowledged, began) = (0, 0)
      for note in ledger.entries {
        switch note {
        case .began(let count): began = count
        case .acknowledged(let count): acknowledged = count
        }
      }
      let session = try Session(store, on: disk, durability: .everyWrite)
      defer { try? session.close() }
      let found = Self.answers(session)
      guard states[acknowledged...began].contains(found) else {
        throw Broken(description: "after \(acknowledged) to \(began) commands: \(found), not \(states[acknowledged...began])")
      }
      try session.reap()
      guard Self.answers(session) == found else { throw Broken(description: "removing what is gone has changed \(found)") }
      let live = Set(try ["b", "c", "d"].compactMap { try session.number($0) })
      let stored = try session.structures()
      guard stored.registered == live, Set(stored.parts.keys).isSubset(of: live) else {
        throw Broken(description: "\(live) live, \(stored) are stored")
      }
    }
    #expect(report.isClean, "\(report)")
  }
}
