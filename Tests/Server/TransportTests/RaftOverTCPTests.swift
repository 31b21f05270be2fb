import StrataDisk
import StrataHost
import StrataJobs
import StrataNodes
import StrataRaft
import Testing

import struct SystemPackage.FilePath

@testable import StrataTransport

/// Members of a Raft group on hosts of their own, over TCP with certificates.
@Suite(.serialized) struct RaftOverTCPTests {
  struct Sum: RaftStateMachine {
    var sum: UInt8 = 0

    mutating func apply(_ command: [UInt8]) -> [UInt8] {
      for number in command { sum &+= number }
      return [sum]
    }

    func query(_ question: [UInt8]) -> [UInt8] { [sum] }
    func snapshot() -> [UInt8]? { [sum] }

    mutating func restore(_ bytes: [UInt8]) -> Bool {
      guard bytes.count == 1 else { return false }
      sum = bytes[0]
      return true
    }
  }

  typealias Node = RaftNode<Sum>

  struct Running {
    let host: Host
    let disk: RaftDisk
    let node: HostedNode<Node>
    let member: Member
  }

  static func start(_ id: NodeID, in folder: Folder, _ tls: TransportTLS) throws -> Running {
    let member = try Member(id) { $0.tls = tls }
    // Two of them where their connections are, one on a thread of its own.
    let host = id == 2 ? Host(name: "member \(id)") : Host(on: member.transport.executor)
    let disk = try RaftDisk(folder.path.appending("n\(id.rawValue)"), cluster: 1)
    var knobs = RaftKnobs()
    knobs.tick = .milliseconds(10)
    let node = try host.run(
      Node.self, as: id, in: 2, peers: [1, 2, 3], knobs: knobs, log: disk.log(of: 2, running: Sum.self), codec: RaftMessageCodec(),
      over: member.transport)
    return Running(host: host, disk: disk, node: node, member: member)
  }

  static func ask(_ running: Running, _ request: Node.Request) -> Result<Node.Response, HostError>? {
    let answer = Monitor<Result<Node.Response, HostError>?>(nil)
    running.node.request(request, deadline: .seconds(30)) { result in
      answer.withLock { $0 = result }
      answer.broadcast()
    }
    return answer.wait(until: { $0 })
  }

  @Test func theyAgreeAndGoOnWithoutOne() throws {
    let folder = Folder()
    let tls = try Certificates.files(in: folder.path.string, certificateOf: true, trusting: true)
    var all = try (1...3).map { try Self.start(NodeID(UInt64($0)), in: folder, tls) }
    for one in all { for other in all where one.member.transport.node != other.member.transport.node { one.member.knows(other.member) } }
    for number in 1...20 as ClosedRange<UInt8> {
      #expect(Self.ask(all[Int(number) % 3], .command([number])) == .success(.answer([UInt8(Int(number) * (Int(number) + 1) / 2)])))
    }
    let lost = all.removeFirst()
    lost.host.stop()
    lost.member.transport.close()
    try lost.disk.close()
    #expect(Self.ask(all[0], .command([1])) == .success(.answer([211])))
    let again = try Self.start(1, in: folder, tls)
    for other in all {
      again.member.knows(other.member)
      other.member.knows(again.member)
    }
    #expect(Self.ask(again, .query([])) == .success(.answer([211])))
    for running in all + [again] {
      running.host.stop()
      running.member.transport.close()
      try running.disk.close()
    }
  }
}
