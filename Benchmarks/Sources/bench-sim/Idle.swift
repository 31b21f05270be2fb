import StrataNodes

/// A node that holds and does nothing.
struct Idle: Node {
  static func recover(
    id: NodeID, peers: [NodeID], durable: DurableState<Int>, knobs: NoKnobs, at now: Instant, random: inout Random,
    _ out: inout Effects<Idle>
  ) throws(RecoveryError) -> Idle { Idle() }

  mutating func receive(_ input: Input<Idle>, at now: Instant, random: inout Random, _ out: inout Effects<Idle>) {}

  typealias Message = Int
  typealias Request = Int
  typealias Response = Int
  typealias Timer = Int
  typealias Record = Int
}
