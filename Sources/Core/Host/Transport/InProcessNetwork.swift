import StrataJobs
import StrataNodes

/// Connects nodes of one process: for tests, and for programs that run a whole cluster in themselves. Links can be cut, in one direction too.
///
/// Frames arrive in order and once, unless a link is cut or the receiver's bounds are met. Attachments are not carried: a frame that names some is
/// dropped and counted. Safe from any thread.
public final class InProcessNetwork: Sendable {
  struct Link: Hashable {
    var from: NodeID
    var to: NodeID
  }

  private struct State {
    var receivers: [NodeID: [GroupID: any FrameReceiver]] = [:]
    var cut: Set<Link> = []
    var isolated: Set<NodeID> = []
    var delivered: UInt64 = 0
    var dropped: UInt64 = 0
  }

  private let state = Monitor(State())

  /// A network without nodes.
  public init() {}

  /// The transport of one member.
  public func transport(of node: NodeID) -> InProcessTransport { InProcessTransport(self, node) }

  /// Delivers nothing from `a` to `b` any more.
  public func cut(from a: NodeID, to b: NodeID) { state.withLock { _ = $0.cut.insert(Link(from: a, to: b)) } }

  /// Delivers nothing from and to `node` any more.
  public func isolate(_ node: NodeID) { state.withLock { _ = $0.isolated.insert(node) } }

  /// Restores every link.
  public func heal() {
    state.withLock { state in
      state.cut = []
      state.isolated = []
    }
  }

  /// Frames that arrived, and frames that did not.
  public var counts: (delivered: UInt64, dropped: UInt64) { state.withLock { ($0.delivered, $0.dropped) } }

  fileprivate func send(_ frames: [Frame], from: NodeID, to peer: NodeID) {
    let receivers = state.withLock { state -> [GroupID: any FrameReceiver]? in
      let isCut = state.isolated.contains(from) || state.isolated.contains(peer) || state.cut.contains(Link(from: from, to: peer))
      guard !isCut, let receivers = state.receivers[peer] else {
        state.dropped += UInt64(frames.count)
        return nil
      }
      return receivers
    }
    guard let receivers else { return }
    var lost: UInt64 = 0
    for frame in frames {
      guard let receiver = receivers[frame.group], frame.to == peer, frame.from == from, frame.attachments == nil else {
        lost += 1
        continue
      }
      receiver.receive(frame.payload.span.bytes, from: from, attachments: nil)
    }
    state.withLock { state in
      state.delivered += UInt64(frames.count) - lost
      state.dropped += lost
    }
  }

  fileprivate func register(_ receiver: any FrameReceiver, for group: GroupID, at node: NodeID) -> Bool {
    state.withLock { state in
      guard state.receivers[node]?[group] == nil else { return false }
      state.receivers[node, default: [:]][group] = receiver
      return true
    }
  }

  fileprivate func unregister(_ group: GroupID, at node: NodeID) { state.withLock { $0.receivers[node]?[group] = nil } }
}

/// One member's end of an ``InProcessNetwork``.
public final class InProcessTransport: Transport {
  private let network: InProcessNetwork
  /// The member.
  public let node: NodeID

  init(_ network: InProcessNetwork, _ node: NodeID) {
    self.network = network
    self.node = node
  }

  /// Delivers frames on the calling thread.
  public func send(_ frames: [Frame], to peer: NodeID) { network.send(frames, from: node, to: peer) }

  /// Delivers what arrives for a group to `receiver`.
  ///
  /// - Throws: ``TransportError/groupTaken(_:)``.
  public func register(_ receiver: any FrameReceiver, for group: GroupID) throws(TransportError) {
    guard network.register(receiver, for: group, at: node) else { throw .groupTaken(group) }
  }

  /// Delivers nothing more for a group.
  public func unregister(_ group: GroupID) { network.unregister(group, at: node) }
}
