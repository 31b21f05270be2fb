import ArgumentParser
import StrataConsistentHashing
import StrataDisk
import SystemPackage

/// What `plan` and `change` change.
struct RingChanges: ParsableArguments {
  @Option(name: .long, help: "A node to add; once for each.") var add: [String] = []
  @Option(name: .long, help: "A node to remove; once for each.") var remove: [String] = []
  @Option(name: .long, help: "NAME=WEIGHT; once for each.") var reweight: [String] = []

  /// The placement after removals, new weights and additions, in this order.
  func applied(to state: RingState) throws(PlacementError) -> RingState {
    let removed = try ids(remove)
    var weights: [(MemberID, Double)] = []
    for text in reweight {
      guard let sign = text.lastIndex(of: "="), let weight = Double(text[text.index(after: sign)...]) else {
        Outcome.exit(Outcome.usage, "'\(text)' is not NAME=WEIGHT")
      }
      weights.append((try MemberID(String(text[..<sign])), weight))
    }
    let added = add.map(RingCommands.member)
    switch state {
    case .ring(var ring, let next):
      guard next == nil else { Outcome.exit(Outcome.refused, "a change of this ring is under way") }
      for id in removed { ring = try ring.removing(id) }
      for (id, weight) in weights { ring = try ring.reweighting(id, weight) }
      for member in added { ring = try ring.adding(member) }
      return .ring(ring, next: nil)
    case .slots(var map):
      for id in removed { map = try map.removing(id) }
      for (id, weight) in weights { map = try map.reweighting(id, weight) }
      for member in added { map = try map.adding(member) }
      return .slots(map)
    case .maglev(var table):
      refuseWeights()
      for id in removed { table = try table.removing(id) }
      for member in added { table = try table.adding(member) }
      return .maglev(table)
    case .rendezvous(var rendezvous):
      refuseWeights()
      for id in removed { rendezvous = try rendezvous.removing(id) }
      for member in added { rendezvous = try rendezvous.adding(member) }
      return .rendezvous(rendezvous)
    case .jump(var jump):
      refuseWeights()
      for id in removed {
        guard jump.members.last?.id == id else { Outcome.exit(Outcome.refused, "\(id) is not the last bucket; jump hashing removes only that") }
        jump = try jump.removingLast()
      }
      for member in added { jump = try jump.adding(member) }
      return .jump(jump)
    }
  }

  private func ids(_ names: [String]) throws(PlacementError) -> [MemberID] {
    var ids: [MemberID] = []
    for name in names { ids.append(try MemberID(name)) }
    return ids
  }

  private func refuseWeights() {
    if !reweight.isEmpty { Outcome.exit(Outcome.refused, "this placement has no reweighting; remove the node and add it again") }
  }
}

extension RingCommands {
  /// `strata ring plan`
  struct Plan: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Print what a change would have to copy. Changes nothing.")
    @Argument(help: "The placement's file.") var file: String
    @OptionGroup var changes: RingChanges
    @Option(help: "Copies of every key; of rings, their replication factor.") var replicas: Int?
    @Option(help: "Write the plan to this file too.") var output: String?
    @Flag(help: "Print one JSON object.") var json = false

    func run() throws {
      let state = RingCommands.load(file)
      do throws(PlacementError) {
        let changed = try changes.applied(to: state)
        let plan = try Self.plan(state, changed, replicas ?? state.replicationFactor)
        if let output {
          do throws(DiskError) { try POSIXFileSystem().atomicReplace(FilePath(output), with: plan.encode()) } catch { throw .disk(error) }
        }
        Swift.print(json ? Self.json(plan).line : Self.text(plan))
      } catch { RingCommands.fail(error) }
    }

    private static func plan(_ old: RingState, _ new: RingState, _ replicas: Int) throws(PlacementError) -> TransferPlan {
      switch (old, new) {
      case (.ring(let old, _), .ring(let new, _)): try TransferPlan.between(old, new, replicas: replicas)
      case (.slots(let old), .slots(let new)): try TransferPlan.between(old, new, replicas: replicas)
      case (.maglev(let old), .maglev(let new)): try TransferPlan.between(old, new, replicas: replicas)
      case (.jump(let old), .jump(let new)): try TransferPlan.between(old, new, replicas: replicas)
      case (.rendezvous(let old), .rendezvous(let new)): try TransferPlan.between(old, new, replicas: replicas)
      default: throw .incompatible(old: "one kind of placement", new: "another")
      }
    }

    private static func text(_ plan: TransferPlan) -> String {
      let share = fixed(plan.bytesShare * 100, digits: 2)
      var lines = ["epoch \(plan.oldEpoch) to \(plan.newEpoch), \(plan.moves.count) moves, \(share) % of the data with \(plan.replicas) copies"]
      for move in plan.moves {
        let sources = move.sources.map(\.name).joined(separator: "|")
        lines.append("\(move.range)\t\(sources) -> \(move.destination)\treplaces \(move.replaces)\t\(move.reason)")
      }
      return lines.joined(separator: "\n")
    }

    private static func json(_ plan: TransferPlan) -> JSONText {
      var json = JSONText()
      json.add("old_epoch", plan.oldEpoch)
      json.add("new_epoch", plan.newEpoch)
      json.add("replicas", plan.replicas)
      json.add("share", plan.bytesShare)
      json.add(
        "moves",
        plan.moves.map { move in
          var json = JSONText()
          json.add("start", move.range.start)
          json.add("end", move.range.end)
          json.add("sources", move.sources.map(\.name))
          json.add("destination", move.destination.name)
          json.add("replaces", move.replaces.name)
          json.add("reason", "\(move.reason)")
          return json
        })
      return json
    }
  }

  /// `strata ring change`
  struct Change: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Change the nodes in a placement's file. Copies no data: see plan.")
    @Argument(help: "The placement's file.") var file: String
    @OptionGroup var changes: RingChanges
    @Flag(help: "Print one JSON object.") var json = false

    func run() throws {
      do throws(PlacementError) {
        let changed = try changes.applied(to: RingCommands.load(file))
        RingCommands.save(changed, file)
        Swift.print(json ? "{\"epoch\": \(changed.placement.epoch)}" : "epoch \(changed.placement.epoch)")
      } catch { RingCommands.fail(error) }
    }
  }
}
