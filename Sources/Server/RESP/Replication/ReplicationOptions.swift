import StrataDisk
import StrataNodes
import StrataRaft

/// How a server takes part in a group that keeps one key space on several machines.
public struct ReplicationOptions: Sendable {
  /// How sure reads are of what they show.
  public enum Reads: Hashable, Sendable {
    /// They see every write that was answered before they came, whatever fails: the leader confirms with a round of messages, shared by all reads
    /// that wait, that it still leads.
    case linearizable
    /// The same as long as clocks run within so many millionths of true time, without a message while the leader's lease holds.
    case lease(maxClockDriftPPM: Int)
    /// They may miss what was answered within so long a time before they came.
    case stale(within: Duration)
  }

  /// This member's name.
  public var node: NodeID
  /// Where the members the group was founded with, this one among them where it is one, listen for each other: `host:port`.
  public var founders: [NodeID: String]
  /// Where this member listens for the others; its founder's address where `nil`.
  public var peerAddress: String?
  /// Which cluster it belongs to: members of different clusters refuse each other.
  public var cluster: UInt64 = 1
  /// Whether this member lost its disk: it has to learn from every other member what it may have promised before it takes part again.
  public var lostItsDisk = false
  /// Whether the directory must hold what `strata raft bootstrap` or an earlier run has written: an empty one then is a disk that was lost,
  /// or a wrong path, and the member does not come up.
  public var isBootstrapped = false
  /// What this member may change about the others by itself while it leads; nothing where `nil`.
  public var autopilot: Autopilot.Settings?
  /// How sure reads are.
  public var reads = Reads.linearizable
  /// How long a command may wait for the group before its client hears that its outcome is not known.
  public var timeout: Duration = .seconds(5)
  /// The time of one tick; a leader is missed after ten to twenty.
  public var tick: Duration = .milliseconds(15)
  /// The store's directory.
  public var directory: String
  /// Bytes of log after which the store is checkpointed and the log cut.
  public var snapshotBytes = 64 << 20
  /// Where the store lies.
  var fileSystem: any FileSystem = POSIXFileSystem()
  /// Certificates for the connections between members; all or none.
  public var tls: TLSOptions?

  /// A member's options.
  public init(node: NodeID, founders: [NodeID: String], directory: String) {
    self.node = node
    self.founders = founders
    self.directory = directory
  }
}

/// Why a command of a client was not carried out, or what is not known about it.
enum ReplicationFailure: Error, Hashable, Sendable {
  /// It had no effect, and never will as it is.
  case impossible(String)
  /// It had no effect.
  case refused(String)
  /// It may have had its effect.
  case unknown(String)

  /// The error reply. `writes` tells whether the commands could change something.
  func reply(writes: Bool) -> String {
    switch self {
    case .impossible(let why): "ERR \(why)"
    case .refused(let why): "CLUSTERDOWN \(why)"
    case .unknown(let why) where writes: "UNKNOWN the outcome is not known, the command may or may not have been carried out: \(why)"
    case .unknown(let why): "CLUSTERDOWN \(why)"
    }
  }
}
