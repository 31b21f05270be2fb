// A counter on two nodes: each writes every increment it was asked for to its log, answers when that is durable, and tells the other, which adds it.
// Both run in this process, with real files and an in-process network; give them a TCPTransport each to put them on two machines.

import StrataBytes
import StrataHost
import StrataNodeLog
import StrataNodes

struct Counter: Node {
  typealias Message = UInt64
  typealias Record = UInt64
  typealias Response = UInt64
  typealias Timer = Never

  enum Request: Sendable {
    case add(UInt64)
    case total
  }

  let peers: [NodeID]
  var total: UInt64 = 0
  var lastTicket: UInt64 = 0
  var waiting: [(ticket: UInt64, client: SessionID?, amount: UInt64)] = []

  static func recover(
    id: NodeID, peers: [NodeID], durable: DurableState<UInt64>, knobs: NoKnobs, at now: Instant, random: inout Random,
    _ out: inout Effects<Counter>
  ) throws(RecoveryError) -> Counter {
    if durable.isDamaged { throw RecoveryError("records are lost; this counter cannot know its total") }
    return Counter(peers: peers.filter { $0 != id }, total: durable.records.reduce(0, &+))
  }

  mutating func receive(_ input: Input<Counter>, at now: Instant, random: inout Random, _ out: inout Effects<Counter>) {
    switch input {
    case .request(let client, .total): out.reply(client, total)
    case .request(let client, .add(let amount)): write(amount, for: client, &out)
    case .message(_, let amount): write(amount, for: nil, &out)
    case .persisted(let ticket):
      while let first = waiting.first, first.ticket <= ticket.rawValue {
        waiting.removeFirst()
        total &+= first.amount
        guard let client = first.client else { continue }
        for peer in peers { out.send(to: peer, first.amount) }
        out.reply(client, total)
      }
    case .persistFailed, .cancelled: break
    }
  }

  private mutating func write(_ amount: UInt64, for client: SessionID?, _ out: inout Effects<Counter>) {
    lastTicket += 1
    waiting.append((lastTicket, client, amount))
    out.persist([amount], Ticket(lastTicket))
  }
}

/// Numbers of eight bytes, in messages and in the log.
struct Numbers: MessageCodec, RecordCodec {
  func encode(_ number: UInt64, into writer: inout ByteWriter) { writer.writeUInt64(number) }

  func decode(_ bytes: RawSpan) throws(DecodeError) -> UInt64 {
    var reader = ByteReader(bytes)
    let number = try reader.readUInt64()
    try reader.expectEnd(of: "number")
    return number
  }

  func decode(_ payload: RawSpan, from: NodeID, attachments: StagedAttachments?) throws(DecodeError) -> UInt64 { try decode(payload) }
}

let network = InProcessNetwork()
let host = Host()
let logs = [
  try WriteAheadNodeLog("counter-data/n1", codec: Numbers()),
  try WriteAheadNodeLog("counter-data/n2", codec: Numbers()),
]
let nodes = try ([1, 2] as [UInt64]).map { number in
  let id = NodeID(number)
  return try host.run(
    Counter.self, as: id, peers: [1, 2], knobs: NoKnobs(), log: logs[Int(number) - 1], codec: Numbers(), over: network.transport(of: id))
}
for amount in [5, 6, 7] as [UInt64] {
  print("n1 adds \(amount): its total is", try await nodes[0].request(.add(amount)))
}
print("n2, which has heard of it or will soon, has", try await nodes[1].request(.total))
print("run it again: the totals go on where they were")
host.stop()
for log in logs { try log.close() }
