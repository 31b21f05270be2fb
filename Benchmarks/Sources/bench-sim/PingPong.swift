import StrataNodes
import StrataSimulation

/// A node that sends back whatever it hears, and starts a number of such exchanges: nothing but the scheduler is measured.
struct PingPong: Node {
  let peer: NodeID

  static func recover(
    id: NodeID, peers: [NodeID], durable: DurableState<Int>, knobs: NoKnobs, at now: Instant, random: inout Random,
    _ out: inout Effects<PingPong>
  ) throws(RecoveryError) -> PingPong {
    let peer = peers[id.rawValue == 1 ? 1 : 0]
    for _ in 0..<500 { out.send(to: peer, 1) }
    return PingPong(peer: peer)
  }

  mutating func receive(_ input: Input<PingPong>, at now: Instant, random: inout Random, _ out: inout Effects<PingPong>) {
    if case .message(let from, let number) = input { out.send(to: from, number &+ 1) }
  }

  typealias Message = Int
  typealias Request = Int
  typealias Response = Int
  typealias Timer = Int
  typealias Record = Int
}
