/// One thing that happened in a simulated run.
public struct TraceEvent: Hashable, Sendable {
  /// What kind of thing.
  public enum Kind: UInt8, Sendable, CaseIterable {
    case start, crash, pause, resume, send, receive, dropped, cut, refused, timer, persisted, persistFailed, request, cancel, ask, reply, lost
    case fault, linkCut, linkJoined, note, failure
  }

  /// Its place in the trace.
  public var id: Int
  /// The number of the simulator's event it belongs to: what a node does and what made it do so share it.
  public let event: UInt64
  /// When, in nanoseconds of true time.
  public let time: UInt64
  /// What kind of thing.
  public let kind: Kind
  /// The index of the node it happened at, -1 for the world outside.
  public let node: Int
  /// The index of the other node of a message or link, -1 if there is none.
  public let peer: Int
  /// The number of the simulator's event that brought it about.
  public let cause: UInt64
  /// The message, timer, request or note in words.
  public let text: String
  /// The node afterwards, if states are kept.
  public var state: String?

  /// An event whose place in the trace is still to be given.
  @inlinable
  public init(event: UInt64, time: UInt64, kind: Kind, node: Int, peer: Int, cause: UInt64, text: String) {
    id = 0
    self.event = event
    self.time = time
    self.kind = kind
    self.node = node
    self.peer = peer
    self.cause = cause
    self.text = text
  }
}

/// Everything that happened in a run, oldest first, up to a bound.
public struct Trace: Sendable {
  /// The events kept.
  public private(set) var events: [TraceEvent] = []
  /// The most events kept; the oldest go first.
  public let limit: Int
  /// Whether each node's state is kept after each of its inputs.
  public let keepsStates: Bool
  /// Events that had to go.
  public private(set) var dropped = 0

  /// An empty trace of at most `limit` events.
  public init(limit: Int = 200_000, keepsStates: Bool = false) {
    self.limit = max(2, limit)
    self.keepsStates = keepsStates
  }

  /// Forgets what came after a moment, in nanoseconds of true time.
  mutating func cut(after time: UInt64) {
    if let end = events.firstIndex(where: { $0.time > time }) { events.removeSubrange(end...) }
  }

  @usableFromInline
  mutating func append(_ event: consuming TraceEvent) {
    if events.count >= limit {
      // Half at a time, so that the cost of one event stays constant.
      let half = limit / 2
      events.removeFirst(half)
      dropped += half
    }
    event.id = dropped + events.count
    events.append(event)
  }

  /// Attaches a node's state to the input it has just taken.
  @usableFromInline
  mutating func setState(_ state: String) {
    guard let last = events.indices.last else { return }
    var place = last
    while place > 0, events[place].kind == .note { place -= 1 }
    events[place].state = state
  }
}
