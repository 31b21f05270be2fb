import StrataNodes

/// One run of a scenario: its clients, its faults, a safety phase in which everything in the plan may go wrong, and a liveness phase in which
/// a core of nodes is healed for good and must serve every client again.
final class ScenarioRun<S: Scenario> {
  private struct Client {
    var random: Random
    var number = 0
    var open: (session: SessionID, request: S.N.Request, number: Int)?
    var servedSinceHorizon = false
    var isFinished = false
  }

  private let plan: RunPlan
  private let simulator: Simulator<S.N>
  private var scenario: S
  private var clients: [Client]
  /// Client and number of each session that is open.
  private var owners: [SessionID: Int] = [:]
  private var downs: [NodeID: Int] = [:]
  private var pauses: [NodeID: Int] = [:]
  /// What the scenario's adversary added to the plan's faults.
  private var provoked: [Fault] = []
  private var adversary: Random
  private var isHealing = false
  private var requests = 0
  private var served = 0

  init(_ plan: RunPlan, trace: Trace?) {
    self.plan = plan
    var knobs = S.knobs
    let random = Random(seed: plan.seed)
    if plan.randomKnobs {
      var stream = random.fork("knobs")
      knobs.randomize(&stream)
    }
    simulator = Simulator(
      nodes: plan.nodes, seed: plan.seed, knobs: knobs, wire: plan.network.corruption > .never ? S.wire : nil, trace: trace, buggify: plan.buggify)
    simulator.core.pointee.describe = S.describe
    simulator.core.pointee.describeMessage = S.describe(message:)
    simulator.network = plan.network
    simulator.disk = plan.disk
    scenario = S(plan: plan)
    adversary = random.fork("adversary")
    clients = (0..<plan.clients).map { Client(random: random.fork("client", $0)) }
  }

  func report() -> RunReport {
    simulator.core.pointee.afterInput = { [unowned self] id in
      scenario.inspect(id, in: simulator)
      if plan.adversary, !isHealing { provoke(after: id) }
    }
    for (index, fault) in plan.faults.enumerated() where fault.start < plan.horizon {
      simulator.setAlarm(Alarm.faultStart | UInt64(index), after: fault.start)
    }
    for client in clients.indices { pause(client) }
    while let happening = simulator.next(until: plan.horizon) { handle(happening) }
    if simulator.failure == nil { becomeWell() }
    if simulator.failure == nil, let (kind, explanation) = scenario.verdict(of: simulator) { simulator.fail(kind, explanation) }
    return RunReport(
      scenario: S.name, plan: plan, failure: simulator.failure, digest: simulator.digest, simulatedTime: simulator.now,
      events: simulator.eventCount, requests: requests, served: served, network: simulator.networkStatistics,
      situations: simulator.situations, trace: simulator.trace)
  }

  // MARK: Phases

  /// Heals the core and waits until it serves every client and the scenario says it is well.
  private func becomeWell() {
    isHealing = true
    let core = Set(plan.core)
    for id in plan.core {
      downs[id] = 0
      pauses[id] = 0
      simulator.endDiskFaults(of: id)
      simulator.restart(id)
      simulator.resume(id)
      simulator.slow(id, inputTime: 0)
    }
    // Among the core everything works for good; whether the others are heard is left as the faults left it.
    for from in plan.core {
      for to in plan.core where from != to { simulator.mend(from: from, to: to) }
    }
    simulator.network.loss = .never
    simulator.network.replay = .never
    simulator.network.resets = .never
    simulator.network.corruption = .never
    let deadline = plan.horizon &+ plan.livenessBudget
    for client in clients.indices where clients[client].open == nil { pause(client) }
    while simulator.failure == nil {
      if clients.allSatisfy({ $0.servedSinceHorizon || $0.isFinished }), scenario.isWell(simulator, core: plan.core) { break }
      guard let happening = simulator.next(until: min(deadline, simulator.now &+ 50_000_000)) else {
        if simulator.now >= deadline, simulator.failure == nil {
          let waiting = clients.indices.filter { !clients[$0].servedSinceHorizon && !clients[$0].isFinished }
          simulator.fail(
            "no progress",
            "\(Instant(nanoseconds: plan.livenessBudget)) after the nodes \(core.sorted()) were healed, "
              + (waiting.isEmpty ? "the cluster is not well" : "the clients \(waiting) have not been served"))
        }
        continue
      }
      handle(happening)
    }
    // What is still open is nobody's to answer.
    for client in clients.indices {
      guard let open = clients[client].open else { continue }
      clients[client].open = nil
      scenario.lost(open.request, by: client, number: open.number, refused: false, at: simulator.now)
    }
  }

  // MARK: Clients

  private func pause(_ client: Int, afterRefusal: Bool = false) {
    let mean = afterRefusal ? max(plan.meanPause, plan.meanRefusalPause) : plan.meanPause
    simulator.setAlarm(Alarm.wake | UInt64(client), after: clients[client].random.exponential(mean: mean))
  }

  private func wake(_ client: Int) {
    guard clients[client].open == nil, !clients[client].isFinished else { return }
    let number = clients[client].number
    // After the horizon each client goes on until it has been served once.
    if !isHealing, number >= plan.requestsPerClient { return }
    if isHealing, clients[client].servedSinceHorizon { return }
    clients[client].number += 1
    let nodes = isHealing ? plan.core : simulator.nodeIDs
    // A stream per request: leaving one out does not change the next.
    var random = clients[client].random.fork("request", number)
    guard let (node, request) = scenario.nextRequest(of: client, number: number, among: nodes, random: &random) else {
      clients[client].isFinished = true
      return
    }
    if plan.skipped.contains(.init(client: client, number: number)) { return pause(client) }
    requests += 1
    scenario.sent(request, by: client, number: number, at: simulator.now)
    let session = simulator.ask(node, request)
    clients[client].open = (session, request, number)
    owners[session] = client
    simulator.setAlarm(Alarm.timeout | UInt64(client) << 20 | UInt64(number & 0xF_FFFF), after: plan.requestTimeout)
  }

  private func handle(_ happening: Simulator<S.N>.Happening) {
    switch happening {
    case .alarm(let alarm): handle(alarm: alarm)
    case .reply(let session, let response):
      guard let client = owners.removeValue(forKey: session), let open = clients[client].open, open.session == session else { return }
      clients[client].open = nil
      let isServed = scenario.received(response, to: open.request, by: client, number: open.number, at: simulator.now)
      if isServed {
        served += 1
        if isHealing { clients[client].servedSinceHorizon = true }
      }
      pause(client, afterRefusal: !isServed)
    case .lost(let session, let refused):
      guard let client = owners.removeValue(forKey: session), let open = clients[client].open, open.session == session else { return }
      clients[client].open = nil
      scenario.lost(open.request, by: client, number: open.number, refused: refused, at: simulator.now)
      pause(client, afterRefusal: refused)
    }
  }

  private func handle(alarm: UInt64) {
    let value = alarm & ~Alarm.kindMask
    switch alarm & Alarm.kindMask {
    case Alarm.wake: wake(Int(value))
    case Alarm.timeout:
      let client = Int(value >> 20)
      guard let open = clients[client].open, open.number & 0xF_FFFF == Int(value & 0xF_FFFF) else { return }
      clients[client].open = nil
      owners[open.session] = nil
      simulator.cancel(open.session)
      scenario.lost(open.request, by: client, number: open.number, refused: false, at: simulator.now)
      pause(client)
    case Alarm.faultStart: if !isHealing { begin(fault(Int(value)), Int(value)) }
    case Alarm.faultEnd: if !isHealing { end(fault(Int(value))) }
    default: break
    }
  }

  // MARK: Faults

  /// The plan's faults come first, then the adversary's.
  private func fault(_ index: Int) -> Fault {
    index < plan.faults.count ? plan.faults[index] : provoked[index - plan.faults.count]
  }

  private func provoke(after id: NodeID) {
    for fault in scenario.provoke(after: id, in: simulator, random: &adversary) where provoked.count < 10_000 {
      guard fault.kind != .rot, fault.kind != .wipe, fault.start >= simulator.now, fault.start < plan.horizon else { continue }
      provoked.append(fault)
      simulator.setAlarm(Alarm.faultStart | UInt64(plan.faults.count + provoked.count - 1), after: fault.start - simulator.now)
    }
  }

  private func begin(_ fault: Fault, _ index: Int) {
    switch fault.effect {
    case .down(let id), .relapse(let id): takeDown(id)
    case .otherKnobs(let id):
      takeDown(id)
      var random = Random(seed: plan.seed).fork("other knobs", index)
      if let knobs = simulator.knobs(of: id) { simulator.setKnobs(id, S.otherKnobs(than: knobs, random: &random)) }
    case .powerLoss: for id in simulator.nodeIDs { takeDown(id) }
    case .paused(let id):
      pauses[id, default: 0] += 1
      simulator.pause(id)
    case .slow(let id, let time): simulator.slow(id, inputTime: time)
    case .partition(let groups): simulator.partition(groups)
    case .oneWay(let from, let to): simulator.cut(from: from, to: to)
    case .clog(let from, let to): return simulator.clog(from: from, to: to, for: fault.duration)
    case .swizzleClog(let nodes): return simulator.swizzleClog(nodes, for: fault.duration)
    case .failedSync(let id): simulator.failNextSync(id)
    case .stalledDisk(let id): return simulator.stallDisk(id, for: fault.duration)
    case .rot(let id):
      takeDown(id)
      simulator.rotLog(id)
    case .wiped(let id):
      takeDown(id)
      simulator.wipe(id)
    case .drift(let id, let drift): return simulator.setDrift(id, partsPerMillion: drift)
    case .clockJump(let id, let step): return simulator.jumpClock(id, by: step)
    }
    simulator.setAlarm(Alarm.faultEnd | UInt64(index), after: fault.duration)
  }

  private func end(_ fault: Fault) {
    switch fault.effect {
    case .down(let id), .rot(let id), .wiped(let id), .otherKnobs(let id): bringUp(id)
    case .relapse(let id):
      bringUp(id)
      guard simulator.isRunning(id) else { return }
      takeDown(id)
      bringUp(id)
    case .powerLoss: for id in simulator.nodeIDs { bringUp(id) }
    case .paused(let id):
      pauses[id, default: 0] -= 1
      if pauses[id] == 0 { simulator.resume(id) }
    case .slow(let id, _): simulator.slow(id, inputTime: 0)
    case .partition(let groups): simulator.unite(groups)
    case .oneWay(let from, let to): simulator.join(from: from, to: to)
    case .failedSync(let id):
      // A process whose log has failed is replaced by its supervisor.
      takeDown(id)
      bringUp(id)
    case .clog, .swizzleClog, .stalledDisk, .drift, .clockJump: break
    }
  }

  private func takeDown(_ id: NodeID) {
    downs[id, default: 0] += 1
    simulator.crash(id)
  }

  private func bringUp(_ id: NodeID) {
    downs[id, default: 0] -= 1
    guard downs[id] == 0 else { return }
    simulator.restart(id)
    if pauses[id, default: 0] > 0 { simulator.pause(id) }
  }
}

/// What an alarm stands for, above the number of the fault or client it is for.
private enum Alarm {
  static let faultStart: UInt64 = 1 << 40
  static let faultEnd: UInt64 = 2 << 40
  static let wake: UInt64 = 3 << 40
  static let timeout: UInt64 = 4 << 40
  static let kindMask: UInt64 = 0xFF << 40
}
