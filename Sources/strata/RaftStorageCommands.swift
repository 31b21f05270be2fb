import ArgumentParser
import StrataNodes
import StrataRaft
import SystemPackage

extension RaftCommands {
  /// The directory of a member that does not run.
  struct Stopped: ParsableArguments {
    @Argument(help: "The member's directory, as given to strata serve --dir.") var directory: String
    @Option(help: "The cluster's number.") var clusterId: UInt64 = 1

    func open() -> (storage: RaftStorage, groups: [UInt64: StoredGroup], isDamaged: Bool) {
      let path = WALCommands.existing(directory).appending("raft")
      _ = WALCommands.existing(path.string)
      do { return try RaftStorage.open(path, cluster: clusterId, toleratesDamage: true) } catch { RaftCommands.fail(error) }
    }
  }

  /// Ends the process as a storage's error asks for.
  static func fail(_ error: RaftStorageError) -> Never {
    switch error {
    case .inconsistent, .unreadableRecord, .damagedSnapshot: Outcome.exit(Outcome.damage, "\(error)")
    default: Outcome.exit(Outcome.refused, "\(error)")
    }
  }

  /// `strata raft log-dump`
  struct LogDump: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "log-dump", abstract: "Print what a member that does not run has in its log: hard state, snapshot, members, entries.")
    @OptionGroup var stopped: Stopped
    @Flag(help: "One JSON object per line.") var json = false

    func run() throws {
      let (storage, groups, isDamaged) = stopped.open()
      for (group, state) in groups.sorted(by: { $0.key < $1.key }) { json ? printJSON(group, state) : printText(group, state) }
      do { try storage.close() } catch { RaftCommands.fail(error) }
      if isDamaged {
        StandardError.write("strata: the log is damaged; what is behind the damage is not shown\n")
        throw ExitCode(Outcome.damage)
      }
    }

    private func printText(_ group: UInt64, _ state: StoredGroup) {
      let hard = state.hardState
      print("group \(group): term \(hard.term), vote \(hard.vote.rawValue), commit \(hard.commit)\(hard.repairFloor > 0 ? ", repairing" : "")")
      if let snapshot = state.snapshot { print("  snapshot \(snapshot), members \(state.confState)") }
      for entry in state.entries {
        let change = entry.kind == .confChange ? ConfChange(decoding: entry.payload).map { " \($0.steps) \($0.transition)" } ?? " impossible" : ""
        print("  \(entry.term)/\(entry.index) \(entry.kind) \(entry.payload.count) bytes\(change)")
      }
    }

    private func printJSON(_ group: UInt64, _ state: StoredGroup) {
      var head = JSONText()
      head.add("group", group)
      head.add("term", state.hardState.term)
      head.add("vote", state.hardState.vote.rawValue)
      head.add("commit", state.hardState.commit)
      head.add("snapshot_term", state.snapshot?.term ?? 0)
      head.add("snapshot_index", state.snapshot?.index ?? 0)
      head.add("members", "\(state.confState)")
      print(head.line)
      for entry in state.entries {
        var line = JSONText()
        line.add("group", group)
        line.add("term", entry.term)
        line.add("index", entry.index)
        line.add("kind", "\(entry.kind)")
        line.add("bytes", entry.payload.count)
        print(line.line)
      }
    }
  }

  /// `strata raft bootstrap`
  struct Bootstrap: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Prepare the directory of a founder, before its first start with --bootstrapped.",
      discussion: """
        A founder that finds its directory empty believes that the group is new. One that is started with --bootstrapped does not: it refuses an \
        empty directory, which then is a lost disk or a wrong path.
        """)
    @Argument(help: "The member's directory, as given to strata serve --dir.") var directory: String
    @Option(help: "The cluster's number.") var clusterId: UInt64 = 1

    func run() {
      do throws(RaftStorageError) {
        let (storage, groups, isDamaged) = try RaftStorage.open(FilePath(directory).appending("raft"), cluster: clusterId, toleratesDamage: true)
        if isDamaged { Outcome.exit(Outcome.damage, "\(directory): a damaged log lies there already") }
        guard groups.isEmpty else { Outcome.exit(Outcome.refused, "\(directory): a member's log lies there already") }
        try storage.found(0, among: groups)
        try storage.close()
      } catch { RaftCommands.fail(error) }
      print("ok")
    }
  }

  /// `strata raft force-new-cluster`
  struct ForceNewCluster: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "force-new-cluster", abstract: "Make a member that does not run the only one, when a majority is lost for ever.",
      discussion: """
        All that this member's log holds counts as committed; what only the lost members held is gone. Choose the member with the longest log \
        (strata raft log-dump). No other member of the old cluster may run again with its old directory.
        """)
    @OptionGroup var stopped: Stopped
    @Option(help: "The member's number.") var node: UInt64
    @Option(help: "The founders, as given to strata serve --cluster.") var cluster: String
    @Flag(help: "Really do it.") var yes = false

    func run() {
      let founders = cluster.split(separator: ",").compactMap { UInt64($0.prefix { $0 != "=" }) }.map { NodeID($0) }
      guard !founders.isEmpty else { Outcome.exit(Outcome.usage, "--cluster names nobody; give the founders as 1=host:port,...") }
      guard yes else { Outcome.exit(Outcome.refused, "this cannot be undone and may lose answered writes; give --yes if that is meant") }
      let (storage, groups, isDamaged) = stopped.open()
      if isDamaged { Outcome.exit(Outcome.damage, "the log is damaged; choose another member") }
      guard !groups.isEmpty else { Outcome.exit(Outcome.refused, "\(stopped.directory): nothing was ever stored here") }
      do throws(RaftStorageError) {
        for (group, state) in groups.sorted(by: { $0.key < $1.key }) {
          let forced = try storage.makeAlone(NodeID(node), in: group, from: state, founders: founders.sorted())
          print("group \(group): \(forced.before) is now voters=(\(node)); everything up to \(forced.last) counts as committed")
        }
        try storage.close()
      } catch { RaftCommands.fail(error) }
    }
  }
}
