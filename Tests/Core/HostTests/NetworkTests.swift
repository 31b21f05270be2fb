import StrataJobs
import StrataNodes
import Testing

@testable import StrataHost

/// Messages between hosted nodes, and the bounds of what waits for one.
struct NetworkTests {
  @Test func messagesArriveInOrder() throws {
    let network = InProcessNetwork()
    let a = try Rig(1, over: network.transport(of: 1))
    let b = try Rig(2, over: network.transport(of: 2))
    for number in 0..<50 { #expect(a.ask(.send(2, UInt64(number))) == .success(UInt64(number))) }
    b.wait { $0.count == 50 }
    #expect(b.events == (0..<50).map { .message(1, UInt64($0)) })
    #expect(a.node.statistics.messagesSent == 50 && b.node.statistics.messagesReceived == 50)
    a.host.stop()
    b.host.stop()
  }

  @Test func aMessageToOneselfIsDeliveredLater() throws {
    let rig = try Rig()
    #expect(rig.ask(.send(1, 5)) == .success(5))
    rig.wait { $0 == [.message(1, 5)] }
    #expect(rig.ask(.send(2, 5)) == .success(5))
    #expect(rig.node.statistics.messagesUnsendable == 1)
    rig.host.stop()
  }

  @Test func nothingPassesACutLink() throws {
    let network = InProcessNetwork()
    let a = try Rig(1, over: network.transport(of: 1))
    let b = try Rig(2, over: network.transport(of: 2))
    network.cut(from: 1, to: 2)
    _ = a.ask(.send(2, 1))
    _ = b.ask(.send(1, 2))
    a.wait { $0 == [.message(2, 2)] }
    network.isolate(2)
    _ = b.ask(.send(1, 3))
    // Frames of a turn may leave after its answers.
    while network.counts.dropped < 2 {}
    #expect(network.counts.dropped == 2)
    network.heal()
    _ = a.ask(.send(2, 4))
    b.wait { $0 == [.message(1, 4)] }
    #expect(a.events == [.message(2, 2)])
    a.host.stop()
    b.host.stop()
  }

  @Test func aGroupHasOneReceiverPerMember() throws {
    let network = InProcessNetwork()
    let transport = network.transport(of: 1)
    let first = try Rig(1, over: transport)
    let error = #expect(throws: HostError.self) { try Rig(1, over: transport) }
    #expect(error == .cannotStart("group g7 has a receiver at this node already; stop it first"))
    first.node.stop()
    let second = try Rig(1, over: transport)
    #expect(second.ask(.echo(1)) == .success(1))
    first.host.stop()
    second.host.stop()
  }

  @Test func framesThatAreNoMessageOrForNobodyAreCountedAndDropped() throws {
    let network = InProcessNetwork()
    let a = network.transport(of: 1)
    let b = try Rig(2, over: network.transport(of: 2))
    let attachments = AttachmentSet(id: "x", files: [])
    a.send([Frame(group: 7, from: 1, to: 2, payload: [1, 2, 3]), Frame(group: 8, from: 1, to: 2, payload: [])], to: 2)
    a.send([Frame(group: 7, from: 3, to: 2, payload: [1])], to: 2)
    a.send([Frame(group: 7, from: 1, to: 2, payload: [1, 0, 0, 0, 0, 0, 0, 0], attachments: attachments)], to: 2)
    a.send([Frame(group: 7, from: 1, to: 2, payload: [9, 0, 0, 0, 0, 0, 0, 0])], to: 2)
    b.wait { $0 == [.message(1, 9)] }
    #expect(b.node.statistics.framesUndecodable == 1)
    #expect(network.counts.dropped == 3)
    b.host.stop()
  }

  @Test func messagesBeyondTheBoundAreDropped() throws {
    let network = InProcessNetwork()
    let a = network.transport(of: 1)
    var options = NodeOptions()
    options.maxQueuedMessages = 5
    options.maxQueuedBytes = 8 * 4
    let b = try Rig(2, options: options, over: network.transport(of: 2))
    let frame = Frame(group: 7, from: 1, to: 2, payload: [1, 0, 0, 0, 0, 0, 0, 0])
    b.together { a.send(Array(repeating: frame, count: 10), to: 2) }
    #expect(b.events.count == 4)
    #expect(b.node.statistics.messagesDropped == 6)
    a.send([frame], to: 2)
    #expect(b.events.count == 5)
    b.host.stop()
  }

  @Test func namesOfAttachmentsCannotLeadAway() {
    let file = { (name: String) in AttachmentSet(id: "snap", files: [.init(name: name, bytes: 1, crc32c: 0)]) }
    for name in ["", ".", "..", ".hidden", "a/b", "/etc", "a b", "a\u{0}", "é", String(repeating: "x", count: 256)] {
      #expect(file(name).defect != nil, "\(name)")
      #expect(AttachmentSet(id: name, files: []).defect != nil, "\(name)")
    }
    #expect(file("000012.sst").defect == nil)
    #expect(AttachmentSet(id: "a", files: file("x").files + file("x").files).defect != nil)
    #expect(AttachmentSet(id: "a", files: [.init(name: "x", bytes: .max, crc32c: 0), .init(name: "y", bytes: 9, crc32c: 0)]).bytes == .max)
  }
}
