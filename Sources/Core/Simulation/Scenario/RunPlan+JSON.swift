import StrataBytes
import StrataNodes

extension RunPlan {
  /// The plan as it stands in a failure file. The faults and skipped requests follow on lines of their own.
  var json: JSON {
    .object([
      .init("seed", .exact(seed)), .init("nodes", .integer(Int64(nodes))), .init("clients", .integer(Int64(clients))),
      .init("requests_per_client", .integer(Int64(requestsPerClient))), .init("horizon_ns", .exact(horizon)),
      .init("liveness_budget_ns", .exact(livenessBudget)), .init("request_timeout_ns", .exact(requestTimeout)),
      .init("mean_pause_ns", .exact(meanPause)), .init("mean_refusal_pause_ns", .exact(meanRefusalPause)),
      .init(
        "network",
        .object([
          .init("minimum_latency_ns", .exact(network.minimumLatency)), .init("mean_extra_latency_ns", .exact(network.meanExtraLatency)),
          .init("loss_ppm", .integer(Int64(network.loss.partsPerMillion))),
          .init("duplication_ppm", .integer(Int64(network.duplication.partsPerMillion))),
          .init("replay_ppm", .integer(Int64(network.replay.partsPerMillion))), .init("replay_window_ns", .exact(network.replayWindow)),
          .init("capacity", .integer(Int64(network.capacity))), .init("streams", .bool(network.carriage == .streams)),
          .init("resets_ppm", .integer(Int64(network.resets.partsPerMillion))), .init("mean_reconnect_ns", .exact(network.meanReconnect)),
          .init("corruption_ppm", .integer(Int64(network.corruption.partsPerMillion))),
        ])),
      .init(
        "disk",
        .object([
          .init("minimum_sync_ns", .exact(disk.minimumSync)), .init("mean_extra_sync_ns", .exact(disk.meanExtraSync)),
        ])),
      .init("buggify", .bool(buggify)), .init("random_knobs", .bool(randomKnobs)), .init("adversary", .bool(adversary)),
      .init("core", .array(core.map { .exact($0.rawValue) })),
    ])
  }

  /// The plan of a line that ``json`` wrote, without faults and skipped requests.
  ///
  /// - Throws: ``ScenarioError`` naming the field that is missing, unknown or out of range.
  init(_ json: JSON) throws(ScenarioError) {
    let fields = PlanFields(json, "plan")
    try fields.refuseUnknown([
      "seed", "nodes", "clients", "requests_per_client", "horizon_ns", "liveness_budget_ns", "request_timeout_ns", "mean_pause_ns",
      "mean_refusal_pause_ns", "network", "disk", "buggify", "random_knobs", "adversary", "core",
    ])
    self.init(seed: try fields.word("seed"), nodes: try fields.count("nodes", 1...256))
    clients = try fields.count("clients", 0...10_000)
    requestsPerClient = try fields.count("requests_per_client", 0...1_000_000_000)
    horizon = try fields.word("horizon_ns")
    livenessBudget = try fields.word("liveness_budget_ns")
    requestTimeout = try fields.word("request_timeout_ns")
    meanPause = try fields.word("mean_pause_ns")
    // Files from before there was one do not name it.
    meanRefusalPause = json["mean_refusal_pause_ns"] == nil ? 0 : try fields.word("mean_refusal_pause_ns")
    buggify = try fields.flag("buggify")
    randomKnobs = try fields.flag("random_knobs")
    adversary = json["adversary"] == nil ? false : try fields.flag("adversary")
    core = []
    for element in json["core"]?.array ?? [] {
      guard let id = element.integer, id > 0 else { throw ScenarioError("plan.core holds something that is no node") }
      core.append(NodeID(UInt64(id)))
    }
    let links = PlanFields(json["network"] ?? .null, "plan.network")
    network.minimumLatency = try links.word("minimum_latency_ns")
    network.meanExtraLatency = try links.word("mean_extra_latency_ns")
    network.loss = Probability(partsPerMillion: try links.count("loss_ppm", 0...1_000_000))
    network.duplication = Probability(partsPerMillion: try links.count("duplication_ppm", 0...1_000_000))
    network.replay = Probability(partsPerMillion: try links.count("replay_ppm", 0...1_000_000))
    network.replayWindow = try links.word("replay_window_ns")
    network.capacity = try links.count("capacity", 1...1_000_000_000)
    // Files from before there were connections and bytes name neither.
    if json["network"]?["streams"] != nil {
      network.carriage = try links.flag("streams") ? .streams : .datagrams
      network.resets = Probability(partsPerMillion: try links.count("resets_ppm", 0...1_000_000))
      network.meanReconnect = try links.word("mean_reconnect_ns")
      network.corruption = Probability(partsPerMillion: try links.count("corruption_ppm", 0...1_000_000))
    }
    let disks = PlanFields(json["disk"] ?? .null, "plan.disk")
    disk.minimumSync = try disks.word("minimum_sync_ns")
    disk.meanExtraSync = try disks.word("mean_extra_sync_ns")
  }
}

extension Fault {
  /// The fault as a line of a failure file.
  var json: JSON {
    var members: [JSON.Member] = [
      .init("fault", .string(kind.rawValue)), .init("at_ns", .exact(start)), .init("for_ns", .exact(duration)),
    ]
    if let node { members.append(.init("node", .exact(node.rawValue))) }
    switch effect {
    case .slow(_, let time): members.append(.init("input_time_ns", .exact(time)))
    case .partition(let groups): members.append(.init("groups", .array(groups.map { .array($0.map { .exact($0.rawValue) }) })))
    case .oneWay(let from, let to), .clog(let from, let to):
      members += [.init("from", .exact(from.rawValue)), .init("to", .exact(to.rawValue))]
    case .swizzleClog(let nodes): members.append(.init("nodes", .array(nodes.map { .exact($0.rawValue) })))
    case .drift(_, let drift): members.append(.init("ppm", .integer(Int64(drift))))
    case .clockJump(_, let step): members.append(.init("by_ns", .exact(step)))
    default: break
    }
    return .object(members)
  }

  /// The fault of a line that ``json`` wrote.
  init(_ json: JSON) throws(ScenarioError) {
    let fields = PlanFields(json, "fault")
    guard let kind = json["fault"]?.string.flatMap(FaultKind.init(rawValue:)) else {
      throw ScenarioError("fault is \(json["fault"]?.description ?? "missing"), which is no kind of fault")
    }
    func node(_ name: String = "node") throws(ScenarioError) -> NodeID { NodeID(try fields.word(name)) }
    func nodes(of list: JSON) -> [NodeID] {
      (list.array ?? []).compactMap { $0.integer }.filter { $0 > 0 }.map { NodeID(UInt64($0)) }
    }
    let effect: Effect
    switch kind {
    case .crash: effect = .down(try node())
    case .powerLoss: effect = .powerLoss
    case .pause: effect = .paused(try node())
    case .slow: effect = .slow(try node(), inputTime: try fields.word("input_time_ns"))
    case .partition:
      effect = .partition((json["groups"]?.array ?? []).map(nodes(of:)))
    case .oneWay: effect = .oneWay(from: try node("from"), to: try node("to"))
    case .clog: effect = .clog(from: try node("from"), to: try node("to"))
    case .failedSync: effect = .failedSync(try node())
    case .stalledDisk: effect = .stalledDisk(try node())
    case .rot: effect = .rot(try node())
    case .wipe: effect = .wiped(try node())
    case .drift:
      guard let drift = json["ppm"]?.integer, abs(drift) < 1_000_000 else { throw ScenarioError("fault.ppm lies below a million") }
      effect = .drift(try node(), partsPerMillion: Int(drift))
    case .clockJump: effect = .clockJump(try node(), try fields.word("by_ns"))
    case .swizzleClog: effect = .swizzleClog(nodes(of: json["nodes"] ?? .null))
    case .relapse: effect = .relapse(try node())
    case .otherKnobs: effect = .otherKnobs(try node())
    case .loss, .duplication, .replay, .buggify, .knobs, .adversary, .streams, .corruption:
      throw ScenarioError("fault \(kind.rawValue) is a field of the plan, not a timed fault")
    }
    self.init(effect, at: try fields.word("at_ns"), for: try fields.word("for_ns"))
  }
}

/// Checked access to the members of one object.
private struct PlanFields {
  let json: JSON
  let name: String

  init(_ json: JSON, _ name: String) {
    self.json = json
    self.name = name
  }

  func word(_ field: String) throws(ScenarioError) -> UInt64 {
    if let value = json[field]?.integer, value >= 0 { return UInt64(value) }
    if let text = json[field]?.string, let value = UInt64(text) { return value }
    throw ScenarioError("\(name).\(field) is \(json[field]?.description ?? "missing"); a number that is not negative should be there")
  }

  func count(_ field: String, _ range: ClosedRange<Int>) throws(ScenarioError) -> Int {
    guard let value = json[field]?.integer, range.contains(Int(value)) else {
      throw ScenarioError("\(name).\(field) is \(json[field]?.description ?? "missing"); it lies in \(range.lowerBound) ... \(range.upperBound)")
    }
    return Int(value)
  }

  func flag(_ field: String) throws(ScenarioError) -> Bool {
    guard let value = json[field]?.bool else {
      throw ScenarioError("\(name).\(field) is \(json[field]?.description ?? "missing"); true or false should be there")
    }
    return value
  }

  func refuseUnknown(_ known: [String]) throws(ScenarioError) {
    guard case .object(let members) = json else { throw ScenarioError("\(name) is no object") }
    for member in members where !known.contains(member.name) { throw ScenarioError("\(name).\(member.name) is no field of a plan") }
  }
}
