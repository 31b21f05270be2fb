import StrataJobs

/// What happened at a ``TCPTransport`` since it started.
public struct TransportStatistics: Hashable, Sendable {
  /// Frames with messages that were given to the system, and their bytes with headers.
  public internal(set) var framesSent: UInt64 = 0
  /// Bytes given to the system.
  public internal(set) var bytesSent: UInt64 = 0
  /// Writes they went in.
  public internal(set) var writes: UInt64 = 0
  /// Frames with messages that arrived and were delivered.
  public internal(set) var framesDelivered: UInt64 = 0
  /// Bytes that arrived.
  public internal(set) var bytesReceived: UInt64 = 0
  /// Frames dropped because too much waited for their peer.
  public internal(set) var framesDropped: UInt64 = 0
  /// Frames for nodes without an address.
  public internal(set) var framesWithoutPeer: UInt64 = 0
  /// Frames longer than may be sent.
  public internal(set) var framesTooLong: UInt64 = 0
  /// Frames that arrived for groups nobody has registered.
  public internal(set) var framesForUnknownGroups: UInt64 = 0
  /// Connections this end has made, and which were welcome.
  public internal(set) var connectionsMade: UInt64 = 0
  /// Attempts to connect that failed before they were answered.
  public internal(set) var dialsFailed: UInt64 = 0
  /// Connections of others that were welcome.
  public internal(set) var connectionsAccepted: UInt64 = 0
  /// Connections this end has refused: wrong cluster, wrong node, no common version.
  public internal(set) var connectionsRefused: UInt64 = 0
  /// Connections of this end that a peer has refused.
  public internal(set) var refusalsReceived: UInt64 = 0
  /// Connections closed because what came over them was no frame, or damaged.
  public internal(set) var connectionsMalformed: UInt64 = 0
  /// Connections whose certificates were not accepted, or that did not speak TLS.
  public internal(set) var tlsFailures: UInt64 = 0
  /// Sets of files fetched and delivered.
  public internal(set) var attachmentsReceived: UInt64 = 0
  /// Bytes of files fetched, those fetched again counted.
  public internal(set) var attachmentBytesReceived: UInt64 = 0
  /// Chunks of files served to others.
  public internal(set) var chunksServed: UInt64 = 0
  /// Chunks asked for again.
  public internal(set) var chunksRepeated: UInt64 = 0
  /// Messages dropped because their files were not there any more at the sender, not what they should be, or too many or too large.
  public internal(set) var attachmentsDropped: UInt64 = 0

  init() {}
}

/// Counters of one transport. Safe from any thread.
final class TransportCounters: Sendable {
  private let state = Monitor(TransportStatistics())

  func add(_ counter: WritableKeyPath<TransportStatistics, UInt64> & Sendable, _ amount: Int = 1) {
    state.withLock { $0[keyPath: counter] &+= UInt64(truncatingIfNeeded: amount) }
  }

  /// Several counters under one lock.
  func change(_ body: (inout TransportStatistics) -> Void) { state.withLock { body(&$0) } }

  var statistics: TransportStatistics { state.withLock { $0 } }
}
