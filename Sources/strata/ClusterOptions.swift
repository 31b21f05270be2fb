import ArgumentParser

/// The flags of `strata serve` that make the server a member of a group. See Docs/Replication.md.
struct ClusterOptions: ParsableArguments {
  @Option(help: "Replicated: this member's number, its own for ever.") var node: String?
  @Option(help: "Replicated: the founders and where they listen for each other: 1=host:port,2=host:port,...") var cluster: String?
  @Option(help: "Replicated: where this member listens for the others, if it is no founder.") var peerAddress: String?
  @Option(help: "Replicated: members of different clusters refuse each other. Default: 1") var clusterId: String?
  @Flag(help: "Replicated: this member took part before and its disk is lost.") var lostDisk = false
  @Flag(help: "Replicated: its directory was bootstrapped, or used before; an empty one is refused.") var bootstrapped = false
  @Flag(help: "Replicated: remove voters that are silent for ten minutes; give learners that keep up a vote.") var autopilot = false
  @Option(help: "Replicated: linearizable, lease, or stale:MILLISECONDS. Default: linearizable") var reads: String?
  @Option(help: "Replicated: how long a command waits for the group. Default: 5s") var clusterTimeout: String?
  @Option(help: "Replicated: a leader is missed after 10 to 20 ticks. Default: 15ms") var tick: String?
  @Option(help: "Replicated: log kept before the store is checkpointed. Default: 64mib") var snapshotBytes: String?
  @Option(help: "Replicated: PEM file with this member's certificate chain.") var peerTlsCert: String?
  @Option(help: "Replicated: PEM file with its private key.") var peerTlsKey: String?
  @Option(help: "Replicated: PEM file with the authority of all members' certificates.") var peerTlsCa: String?

  /// The names a file or the environment may give as well.
  static let names = [
    "node", "cluster", "peer-address", "cluster-id", "lost-disk", "reads", "cluster-timeout", "tick", "snapshot-bytes", "peer-tls-cert",
    "peer-tls-key", "peer-tls-ca", "bootstrapped", "autopilot",
  ]

  var flags: [String: String?] {
    [
      "node": node, "cluster": cluster, "peer-address": peerAddress, "cluster-id": clusterId, "lost-disk": lostDisk ? "yes" : nil, "reads": reads,
      "cluster-timeout": clusterTimeout, "tick": tick, "snapshot-bytes": snapshotBytes, "peer-tls-cert": peerTlsCert, "peer-tls-key": peerTlsKey,
      "peer-tls-ca": peerTlsCa, "bootstrapped": bootstrapped ? "yes" : nil, "autopilot": autopilot ? "yes" : nil,
    ]
  }
}
