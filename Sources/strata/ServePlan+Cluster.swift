import StrataNodes
import StrataRESP
import StrataRaft

// What makes a server a member of a group that replicates the key space.
extension ServePlan {
  /// The member `--node` and `--cluster` describe; `nil` where neither is given.
  static func replication(_ settings: Settings, directory: String) throws(SettingError) -> ReplicationOptions? {
    guard let cluster = settings.text("cluster") else {
      if settings.text("node") != nil { throw SettingError(description: "node and cluster belong together: give both or none") }
      return nil
    }
    guard let node = try settings.integer("node", in: 1...Int.max) else {
      throw SettingError(description: "node and cluster belong together: give both or none")
    }
    var options = ReplicationOptions(node: NodeID(UInt64(node)), founders: try founders(cluster), directory: directory)
    options.peerAddress = try settings.text("peer-address").map { text throws(SettingError) in try address(text, of: "peer-address") }
    guard options.peerAddress != nil || options.founders[options.node] != nil else {
      throw SettingError(description: "node \(node) is none of the cluster's founders; say where it listens for the others with peer-address")
    }
    if let id = try settings.integer("cluster-id", in: 1...Int.max) { options.cluster = UInt64(id) }
    options.lostItsDisk = try settings.flag("lost-disk")
    options.isBootstrapped = try settings.flag("bootstrapped")
    if try settings.flag("autopilot") { options.autopilot = Autopilot.Settings() }
    if let text = settings.text("reads") { options.reads = try reads(text) }
    if let value = try settings.milliseconds("cluster-timeout", bare: 1000, in: 10...3_600_000) { options.timeout = .milliseconds(value) }
    if let value = try settings.milliseconds("tick", bare: 1, in: 1...10_000) { options.tick = .milliseconds(value) }
    if let value = try settings.bytes("snapshot-bytes", in: 1 << 16...1 << 40) { options.snapshotBytes = value }
    switch (settings.text("peer-tls-cert"), settings.text("peer-tls-key"), settings.text("peer-tls-ca")) {
    case (let certificate?, let key?, let authority?):
      options.tls = TLSOptions(certificateFile: certificate, keyFile: key, clientAuthorityFile: authority)
    case (nil, nil, nil): break
    default: throw SettingError(description: "peer-tls-cert, peer-tls-key and peer-tls-ca belong together: give all or none")
    }
    return options
  }

  /// `1=host:port,2=host:port`.
  private static func founders(_ text: String) throws(SettingError) -> [NodeID: String] {
    var founders: [NodeID: String] = [:]
    for part in text.split(separator: ",") {
      let pair = part.split(separator: "=", maxSplits: 1)
      guard pair.count == 2, let id = UInt64(pair[0]), id > 0 else {
        throw SettingError(description: "cluster: '\(part)' is not a member and its address, as in 1=127.0.0.1:7001")
      }
      guard founders.updateValue(try address(String(pair[1]), of: "cluster"), forKey: NodeID(id)) == nil else {
        throw SettingError(description: "cluster: member \(id) comes twice")
      }
    }
    if founders.isEmpty { throw SettingError(description: "cluster: nobody is named; give 1=host:port,2=host:port,...") }
    if Set(founders.values).count != founders.count { throw SettingError(description: "cluster: two members have one address") }
    return founders
  }

  private static func address(_ text: String, of name: String) throws(SettingError) -> String {
    guard let colon = text.lastIndex(of: ":"), colon != text.startIndex, let port = Int(text[text.index(after: colon)...]),
      (0...65_535).contains(port)
    else { throw SettingError(description: "\(name): '\(text)' is not host:port") }
    return text
  }

  private static func reads(_ text: String) throws(SettingError) -> ReplicationOptions.Reads {
    switch text {
    case "linearizable": return .linearizable
    // A crystal oscillator is off by less than 200 millionths.
    case "lease": return .lease(maxClockDriftPPM: 1000)
    default:
      guard text.hasPrefix("stale:"), let number = Int(text.dropFirst(6).prefix { $0.isNumber }), (1...86_400_000).contains(number) else {
        throw SettingError(description: "reads: '\(text)' is not linearizable, lease or stale:MILLISECONDS")
      }
      return .stale(within: .milliseconds(number))
    }
  }
}
