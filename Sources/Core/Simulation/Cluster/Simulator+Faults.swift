import StrataJobs
import StrataNodes

extension Simulator {
  // MARK: Processes

  /// Starts a node from what its log holds, with an incarnation and a clock of its own.
  @inlinable
  func start(_ index: Int) {
    guard nodes[index].condition == .down, failure == nil else { return }
    nodes[index].incarnation += 1
    nodes[index].condition = .running
    nodes[index].timers.removeAll(keepingCapacity: true)
    // A monotonic clock starts anywhere after a boot: nothing may carry over from the one before.
    let boot = UInt64(nodes[index].random.below(3_600_000_000_000))
    nodes[index].clock = DriftingClock(showing: boot, at: now, drift: nodes[index].clock.drift)
    record(.start, node: index, cause: eventCount, text: "")
    probe.node = index
    do {
      nodes[index].node = try N.recover(
        id: ids[index], peers: ids, durable: nodes[index].log.recovered, knobs: nodes[index].knobs, at: nodes[index].clock.reading(at: now),
        random: &nodes[index].random, &core.pointee.effects)
    } catch {
      core.pointee.effects.removeAll()
      return fail("recovery refused", error.description, at: ids[index])
    }
    finishCall(of: index)
  }

  /// Power is lost at a node: it forgets everything but its log, of which what was not yet durable survives up to a random place. Clients it
  /// had accepted lose their connections.
  public func crash(_ id: NodeID) {
    guard let index = index(of: id), nodes[index].condition != .down else { return }
    nodes[index].condition = .down
    nodes[index].node = nil
    for case .delivery(let from, _, _, _) in nodes[index].backlog {
      core.pointee.links[from * ids.count + index].inFlight -= 1
      core.pointee.networkCounts.inFlight -= 1
      core.pointee.networkCounts.refused += 1
    }
    nodes[index].backlog.removeAll()
    // Whoever spoke to it over connections finds them broken.
    for from in ids.indices where core.pointee.connections[from * ids.count + index].incarnation != 0 {
      breakDown(from * ids.count + index, as: \.refused)
    }
    nodes[index].inputTime = 0
    nodes[index].busyUntil = 0
    nodes[index].diskStalledUntil = 0
    nodes[index].log.crash(&nodes[index].diskRandom)
    record(.crash, node: index, cause: eventCount, text: "")
    for session in core.pointee.openSessions.filter({ $0.value == index }).keys.sorted() {
      push(.loss(session, known: false), at: now &+ network.minimumLatency)
    }
  }

  /// Starts a node that is down.
  public func restart(_ id: NodeID) {
    guard let index = index(of: id) else { return }
    start(index)
  }

  /// Gives the node other settings, which it comes up with from its next start on: a new version of a program, or of its configuration.
  public func setKnobs(_ id: NodeID, _ knobs: N.Knobs) {
    guard let index = index(of: id) else { return }
    nodes[index].knobs = knobs
  }

  /// The settings a node comes up with next.
  public func knobs(of id: NodeID) -> N.Knobs? { index(of: id).map { nodes[$0].knobs } }

  /// Power is lost everywhere at once.
  public func crashAll() { for id in ids { crash(id) } }

  /// The node stands still, as in a long collection of garbage or a suspended virtual machine, while its clock goes on: inputs wait.
  public func pause(_ id: NodeID) {
    guard let index = index(of: id), nodes[index].condition == .running else { return }
    nodes[index].condition = .paused
    record(.pause, node: index, cause: eventCount, text: "")
  }

  /// The node goes on: what waited comes now, in any order.
  public func resume(_ id: NodeID) {
    guard let index = index(of: id), nodes[index].condition == .paused else { return }
    nodes[index].condition = .running
    record(.resume, node: index, cause: eventCount, text: "")
    let backlog = nodes[index].backlog
    nodes[index].backlog.removeAll()
    for event in backlog { push(event, at: now) }
  }

  /// From now on every input takes the node this many nanoseconds; 0 makes it quick again.
  public func slow(_ id: NodeID, inputTime: UInt64) {
    guard let index = index(of: id), nodes[index].inputTime != inputTime else { return }
    nodes[index].inputTime = inputTime
    record(.fault, node: index, cause: eventCount, text: "each input takes \(inputTime) ns")
  }

  // MARK: Disks

  /// The node's next sync fails. Its log takes nothing more until the node has crashed and come up again.
  public func failNextSync(_ id: NodeID) {
    guard let index = index(of: id), nodes[index].condition != .down else { return }
    nodes[index].log.failsNextSync = true
    record(.fault, node: index, cause: eventCount, text: "the next sync fails")
  }

  /// A sync that was to fail does not, and a node whose log has failed is taken down.
  func endDiskFaults(of id: NodeID) {
    guard let index = index(of: id) else { return }
    nodes[index].log.failsNextSync = false
    nodes[index].diskStalledUntil = 0
    if nodes[index].log.isPoisoned { crash(id) }
  }

  /// The node's disk answers nothing for so long.
  public func stallDisk(_ id: NodeID, for duration: UInt64) {
    guard let index = index(of: id) else { return }
    nodes[index].diskStalledUntil = now &+ duration
    record(.fault, node: index, cause: eventCount, text: "the disk stalls for \(duration) ns")
  }

  /// The log of a node that is down loses durable records, which the node notices when it comes up. Nothing happens to one that runs.
  public func rotLog(_ id: NodeID) {
    guard let index = index(of: id), nodes[index].condition == .down else { return }
    nodes[index].log.rot(&nodes[index].diskRandom)
    record(.fault, node: index, cause: eventCount, text: "the log lost durable records")
  }

  /// The disk of a node that is down is replaced by an empty one, which the node notices when it comes up.
  public func wipe(_ id: NodeID) {
    guard let index = index(of: id), nodes[index].condition == .down else { return }
    nodes[index].log.wipe()
    record(.fault, node: index, cause: eventCount, text: "the disk was replaced")
  }

  // MARK: Clocks

  /// The node's clock runs this many millionths fast from now on; slow where negative.
  public func setDrift(_ id: NodeID, partsPerMillion: Int) {
    guard let index = index(of: id) else { return }
    nodes[index].clock.setDrift(Int64(partsPerMillion), at: now)
    record(.fault, node: index, cause: eventCount, text: "the clock drifts by \(partsPerMillion) ppm")
  }

  /// The node's clock jumps ahead, as after a sleep of the machine. Timers already set keep their true time.
  public func jumpClock(_ id: NodeID, by nanoseconds: UInt64) {
    guard let index = index(of: id) else { return }
    nodes[index].clock.jump(nanoseconds)
    record(.fault, node: index, cause: eventCount, text: "the clock jumps \(nanoseconds) ns ahead")
  }

  // MARK: Network

  /// Cuts one direction between two nodes once more; it carries nothing until it is joined as often as it was cut.
  public func cut(from: NodeID, to: NodeID) { changeCuts(from, to, by: 1) }

  /// Takes one cut of a direction back.
  public func join(from: NodeID, to: NodeID) { changeCuts(from, to, by: -1) }

  private func changeCuts(_ from: NodeID, _ to: NodeID, by change: Int) {
    guard let from = index(of: from), let to = index(of: to) else { return }
    let link = from * ids.count + to
    core.pointee.links[link].cuts = max(0, core.pointee.links[link].cuts + change)
    record(change > 0 ? .linkCut : .linkJoined, node: from, peer: to, cause: eventCount, text: "")
  }

  /// Divides the cluster: nodes of different groups hear nothing of each other, on top of what is cut already. A node in no group is alone.
  public func partition(_ groups: [NodeID]...) { partition(groups) }

  /// Divides the cluster: nodes of different groups hear nothing of each other, on top of what is cut already. A node in no group is alone.
  public func partition(_ groups: [[NodeID]]) {
    for from in ids {
      for to in ids where from != to && !groups.contains(where: { $0.contains(from) && $0.contains(to) }) { cut(from: from, to: to) }
    }
  }

  /// Takes a partition back.
  public func unite(_ groups: [[NodeID]]) {
    for from in ids {
      for to in ids where from != to && !groups.contains(where: { $0.contains(from) && $0.contains(to) }) { join(from: from, to: to) }
    }
  }

  /// Takes back every cut and clog of one direction.
  public func mend(from: NodeID, to: NodeID) {
    guard let from = index(of: from), let to = index(of: to) else { return }
    let link = from * ids.count + to
    if core.pointee.links[link].cuts > 0 { record(.linkJoined, node: from, peer: to, cause: eventCount, text: "") }
    core.pointee.links[link].cuts = 0
    core.pointee.links[link].cloggedUntil = 0
  }

  /// Cuts a node off from all others.
  public func isolate(_ id: NodeID) { partition([ids.filter { $0 != id }]) }

  /// Holds back everything on one direction until `duration` nanoseconds have passed; nothing is lost.
  public func clog(from: NodeID, to: NodeID, for duration: UInt64) {
    guard let from = index(of: from), let to = index(of: to) else { return }
    let link = from * ids.count + to
    core.pointee.links[link].cloggedUntil = max(core.pointee.links[link].cloggedUntil, now &+ duration)
    record(.fault, node: from, peer: to, cause: eventCount, text: "the link is clogged for \(duration) ns")
  }

  /// Clogs everything to and from some nodes, one after the other, and lets them go again one after the other in another order: what FoundationDB's
  /// simulation calls swizzle-clog. All are free again when `duration` nanoseconds have passed.
  public func swizzleClog(_ nodes: [NodeID], for duration: UInt64) {
    record(.fault, node: -1, cause: eventCount, text: "\(nodes) are clogged one after the other within \(duration) ns")
    let half = Int(clamping: max(2, duration) / 2)
    // A stream of its own: without the fault everything else is drawn as before.
    var random = core.pointee.clients.fork("swizzle", Int(truncatingIfNeeded: eventCount))
    for case let index? in nodes.map(index(of:)) {
      let begin = random.below(half)
      let end = half + random.below(half)
      push(.clog(index, until: now &+ UInt64(end)), at: now &+ UInt64(begin))
    }
  }

  @usableFromInline
  func clogAll(_ index: Int, until time: UInt64) {
    guard time > now else { return }
    for other in ids where other != ids[index] {
      clog(from: ids[index], to: other, for: time - now)
      clog(from: other, to: ids[index], for: time - now)
    }
  }

  /// Gives one direction between two nodes conditions of its own, until ``network`` is set again.
  public func setNetwork(_ conditions: NetworkConditions, from: NodeID, to: NodeID) {
    guard let from = index(of: from), let to = index(of: to) else { return }
    if core.pointee.linkConditions.isEmpty {
      core.pointee.linkConditions = Array(repeating: core.pointee.network, count: ids.count * ids.count)
    }
    core.pointee.linkConditions[from * ids.count + to] = conditions
  }

  /// Loses every message for which `filter` holds, from now on: those of one kind, or between some nodes. Nothing loses none.
  public func loseMessages(where filter: ((_ from: NodeID, _ to: NodeID, _ message: N.Message) -> Bool)?) { core.pointee.filter = filter }

  /// Takes back every cut and every clog.
  public func heal() {
    for from in ids {
      for to in ids { mend(from: from, to: to) }
    }
  }

  // MARK: Running by hand

  /// Runs until `condition` holds, which is asked after every event.
  ///
  /// - Throws: ``SimulationFailure`` if an invariant breaks or `duration` of virtual time passes first.
  public func run(
    until condition: (Simulator<N>) -> Bool, within duration: Duration, _ what: @autoclosure () -> String = "the condition"
  ) throws(SimulationFailure) {
    core.pointee.keepsAnswers = true
    let limit = now &+ UInt64(clamping: duration.nanoseconds)
    while !condition(self) {
      if let failure { throw failure }
      guard let time = core.pointee.queue.nextTime, time <= limit else {
        throw SimulationFailure(
          kind: "too late", explanation: "\(what()) did not hold within \(duration) of virtual time", node: nil, time: now, event: eventCount)
      }
      let (next, event) = core.pointee.queue.pop()
      core.pointee.time = next
      core.pointee.eventNumber += 1
      _ = carryOut(event)
    }
    if let failure { throw failure }
  }

  /// Runs for so long.
  ///
  /// - Throws: ``SimulationFailure`` if an invariant breaks.
  @inlinable
  public func run(for duration: Duration) throws(SimulationFailure) {
    core.pointee.keepsAnswers = true
    let limit = now &+ UInt64(clamping: duration.nanoseconds)
    while next(until: limit) != nil {}
    if let failure { throw failure }
  }

  /// The answer a session got while the simulator was run by hand (``run(until:within:_:)``, ``run(for:)``).
  public func answer(to session: SessionID) -> N.Response? { core.pointee.answers[session] }
}
