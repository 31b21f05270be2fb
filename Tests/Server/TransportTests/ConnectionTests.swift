import NIOCore
import StrataBytes
import StrataHost
import StrataNodes
import StrataRequirements
import Testing

@testable import StrataTransport

/// Connections between members: who may talk, what ends a connection, and that one that has ended is made again.
@Suite(.serialized) struct ConnectionTests {
  @Test func framesArriveInOrderBothWays() throws {
    let (a, b) = try pair()
    for number in 0..<200 as Range<UInt8> {
      a.send([number], to: 2)
      b.send([number, 1], to: 1)
    }
    let atB = b.collector.wait { $0.count == 200 }
    #expect(atB.map(\.bytes) == (0..<200).map { [$0] } && atB.allSatisfy { $0.from == 1 && $0.attachments == nil })
    #expect(a.collector.wait { $0.count == 200 }.map(\.bytes) == (0..<200).map { [$0, 1] })
    let statistics = a.transport.statistics
    #expect(statistics.framesSent == 200 && statistics.writes < 200, "\(statistics)")
    a.transport.close()
    b.transport.close()
    a.transport.close()
  }

  @Test func largeFramesPassAndTooLargeOnesAreDropped() throws {
    let (a, b) = try pair { _, options in options.maxFrameBytes = 4 << 20 }
    let large = [UInt8](repeating: 7, count: 4 << 20)
    a.send(large + [0], to: 2)
    a.send(large, to: 2)
    a.send([1], to: 2)
    #expect(b.collector.wait { $0.count == 2 }.map(\.bytes.count) == [4 << 20, 1])
    #expect(a.transport.statistics.framesTooLong == 1)
    a.send([1], to: 9)
    #expect(a.transport.statistics.framesWithoutPeer == 1)
    a.transport.close()
    b.transport.close()
  }

  @Test func framesForUnknownGroupsAreDroppedAndCounted() throws {
    let (a, b) = try pair()
    a.send([1], to: 2, group: 5)
    a.send([2], to: 2)
    #expect(b.collector.wait { !$0.isEmpty }.map(\.bytes) == [[2]])
    #expect(b.transport.statistics.framesForUnknownGroups == 1)
    b.transport.unregister(1)
    a.send([3], to: 2)
    b.wait { $0.framesForUnknownGroups == 2 }
    #expect(throws: TransportError.groupTaken(1)) {
      try a.transport.register(Collector(), for: 1)
    }
    a.transport.close()
    b.transport.close()
    #expect(throws: TransportError.closed) { try a.transport.register(Collector(), for: 3) }
  }

  @Test func aPeerThatComesBackIsConnectedAgain() throws {
    let (a, b) = try pair()
    a.send([1], to: 2)
    _ = b.collector.wait { $0.count == 1 }
    let port = b.transport.port
    b.transport.close()
    a.wait { $0.dialsFailed > 0 }
    // Waits for the peer, as long as there is room.
    a.send([2], to: 2)
    let again = try Member(2, port: port)
    #expect(again.collector.wait { !$0.isEmpty }.last?.bytes == [2])
    a.wait { $0.connectionsMade >= 2 }
    a.transport.close()
    again.transport.close()
  }

  @Test func aPeerThatMovesIsFoundAgain() throws {
    let (a, b) = try pair()
    a.send([1], to: 2)
    _ = b.collector.wait { $0.count == 1 }
    let moved = try Member(2)
    a.knows(moved)
    a.send([2], to: 2)
    #expect(moved.collector.wait { $0.count == 1 }.map(\.bytes) == [[2]])
    a.transport.removePeer(2)
    a.send([3], to: 2)
    #expect(a.transport.statistics.framesWithoutPeer == 1)
    for member in [a, b, moved] { member.transport.close() }
  }

  @Test func theOldestFramesMakeRoom() throws {
    let a = try Member(1) { options in
      options.maxQueuedFrames = 10
      options.peers = [2: PeerAddress(host: "127.0.0.1", port: 1)]
    }
    for number in 0..<30 as Range<UInt8> { a.send([number], to: 2) }
    #expect(a.transport.statistics.framesDropped == 20)
    let b = try Member(2)
    a.knows(b)
    #expect(b.collector.wait { $0.count == 10 }.map(\.bytes) == (20..<30).map { [$0] })
    a.transport.close()
    b.transport.close()
  }

  @Test func anotherClusterIsRefusedAndBothEndsSaySo() throws {
    let a = try Member(1, cluster: 1)
    let b = try Member(2, cluster: 2)
    a.knows(b)
    a.send([1], to: 2)
    // What is counted is logged right after.
    a.wait { _ in a.log.all.contains { $0.hasPrefix("error a peer refuses") } }
    b.wait { _ in b.log.all.contains { $0.hasPrefix("error a connection is refused") } }
    #expect(b.transport.statistics.connectionsRefused > 0 && b.transport.statistics.framesDelivered == 0)
    let text = "the listener belongs to cluster 2, the caller to cluster 1; check the addresses of the peers"
    #expect(a.log.all.contains("error a peer refuses this node \(text)"))
    #expect(b.log.all.contains("error a connection is refused \(text)"))
    a.transport.close()
    b.transport.close()
  }

  @Test func whoMeansAnotherNodeOrIsTheSameIsRefused() throws {
    let a = try Member(1)
    let b = try Member(2)
    let twin = try Member(2)
    a.transport.setPeer(3, PeerAddress(host: "127.0.0.1", port: b.transport.port))
    twin.transport.setPeer(1, PeerAddress(host: "127.0.0.1", port: b.transport.port))
    a.wait { $0.refusalsReceived > 0 }
    twin.wait { $0.refusalsReceived > 0 }
    a.wait { _ in a.log.all.contains { $0.contains("the listener is n2, the caller wants n3") } }
    let same = try RawClient(port: b.transport.port)
    same.send(Self.hello(from: 2, to: 2))
    #expect(Self.refusal(same.readToEnd()) == .sameNode(2))
    for member in [a, b, twin] { member.transport.close() }
  }

  static func hello(from: UInt64, to: UInt64, versions: ClosedRange<UInt8> = 1...1) -> [UInt8] {
    var buffer = ByteBuffer()
    let hello = Hello(oldestVersion: versions.lowerBound, newestVersion: versions.upperBound, incarnation: 1)
    WireFrame.write(.hello, cluster: 1, from: from, to: to, head: hello.encoded, into: &buffer)
    return Array(buffer.readableBytesView)
  }

  static func message(_ bytes: [UInt8], from: UInt64 = 1, to: UInt64 = 2, cluster: UInt64 = 1, kind: FrameKind = .message) -> [UInt8] {
    var buffer = ByteBuffer()
    WireFrame.write(kind, cluster: cluster, group: 1, from: from, to: to, payload: bytes, into: &buffer)
    return Array(buffer.readableBytesView)
  }

  static func refusal(_ bytes: [UInt8]) -> Refusal? {
    var buffer = ByteBuffer(bytes: bytes)
    guard let frame = try? WireFrame.read(from: &buffer, limit: 4096), frame.kind == .refusal else { return nil }
    return try? frame.decode { (reader) throws(DecodeError) in try Refusal(decoding: &reader) }
  }

  @Test func aVersionNobodySpeaksIsRefusedNamingBoth() throws {
    let b = try Member(2)
    let newer = try RawClient(port: b.transport.port)
    newer.send(Self.hello(from: 1, to: 2, versions: 2...3))
    let refusal = try #require(Self.refusal(newer.readToEnd()))
    #expect("\(refusal)" == "the listener speaks version 1, the caller versions 2 to 3; use builds that have one in common")
    #expect(b.transport.statistics.connectionsRefused == 1)
    b.transport.close()
  }

  @Test func garbageEndsItsConnectionAndNothingElse() throws {
    let (a, b) = try pair()
    a.send([1], to: 2)
    _ = b.collector.wait { $0.count == 1 }
    var random = Random(seed: 11)
    var clients = 0
    for round in 0..<20 * testDepth {
      let client = try RawClient(port: b.transport.port)
      var bytes: [UInt8] =
        switch round % 4 {
        case 0: random.bytes(1 + random.below(200))
        case 1: Array("GET / HTTP/1.1\r\n\r\n".utf8)
        // A frame that comes before its hello, and a hello that claims to be long.
        case 2: Self.message([1])
        default: Self.hello(from: 1, to: 2)
        }
      if round % 4 == 3 { bytes[42] = 1 }
      // What random bytes begin with is never a frame's magic.
      if round % 4 == 0 { bytes[0] = 0 }
      client.send(bytes)
      #expect(client.readToEnd().isEmpty, "round \(round)")
      clients += 1
    }
    b.wait { $0.connectionsMalformed == UInt64(clients) }
    a.send([2], to: 2)
    #expect(b.collector.wait { $0.count == 2 }.map(\.bytes) == [[1], [2]])
    a.transport.close()
    b.transport.close()
  }

  @Test func whatIsDamagedOrOutOfPlaceAfterTheHelloEndsTheConnection() throws {
    let b = try Member(2)
    var flipped = Self.message([1, 2, 3])
    flipped[50] ^= 1
    let bad: [[UInt8]] = [
      flipped, Self.message([1], from: 3), Self.message([1], to: 3), Self.message([1], cluster: 9), Self.message([1], kind: .welcome),
      Self.message([1], kind: .hello), Self.message([1, 2], kind: .fetch), Self.message([1], kind: .messageWithFiles), Self.message([], kind: .chunk),
    ]
    for (number, bytes) in bad.enumerated() {
      let client = try RawClient(port: b.transport.port)
      client.send(Self.hello(from: 1, to: 2))
      #expect(client.read(WireFrame.headerBytes + 1).count == WireFrame.headerBytes + 1)
      client.send(Self.message([9]))
      client.send(bytes)
      #expect(client.readToEnd().isEmpty, "case \(number)")
    }
    b.wait { $0.connectionsMalformed == UInt64(bad.count) }
    #expect(b.collector.all.map(\.bytes) == Array(repeating: [9], count: bad.count))
    b.transport.close()
  }

  @Test func aSecondConnectionOfAPeerReplacesTheFirst() throws {
    let b = try Member(2)
    let first = try RawClient(port: b.transport.port)
    first.send(Self.hello(from: 1, to: 2))
    #expect(first.read(WireFrame.headerBytes + 1).count == WireFrame.headerBytes + 1)
    let second = try RawClient(port: b.transport.port)
    second.send(Self.hello(from: 1, to: 2) + Self.message([5]))
    #expect(first.readToEnd().isEmpty)
    #expect(b.collector.wait { $0.count == 1 }.map(\.bytes) == [[5]])
    b.transport.close()
  }

  @Test func membersWithCertificatesOfOneAuthorityTalk() throws {
    let folder = Folder()
    let tls = try Certificates.files(in: folder.path.string, certificateOf: true, trusting: true)
    let (a, b) = try pair { _, options in options.tls = tls }
    let large = [UInt8](repeating: 3, count: 300_000)
    a.send(large, to: 2)
    b.send([2], to: 1)
    #expect(b.collector.wait { $0.count == 1 }.map(\.bytes) == [large])
    #expect(a.collector.wait { $0.count == 1 }.map(\.bytes) == [[2]])
    // Who speaks no TLS is not heard.
    let plain = try RawClient(port: b.transport.port)
    plain.send(Self.hello(from: 3, to: 2))
    _ = plain.readToEnd()
    b.wait { $0.tlsFailures > 0 }
    #expect(b.transport.statistics.connectionsAccepted == 1)
    a.transport.close()
    b.transport.close()
  }

  @Test func aCertificateOfAnotherAuthorityIsNotAccepted() throws {
    let folder = Folder()
    let mine = try Certificates.files(in: folder.path.string, certificateOf: true, trusting: true)
    // It would trust this member; this member does not trust it.
    let foreign = try Certificates.files(in: folder.path.string, certificateOf: false, trusting: true)
    let a = try Member(1) { $0.tls = foreign }
    let b = try Member(2) { $0.tls = mine }
    a.knows(b)
    a.send([1], to: 2)
    b.wait { $0.tlsFailures > 0 }
    // And the other way round: this member dials it.
    b.knows(a)
    let before = b.transport.statistics.tlsFailures
    b.wait { $0.tlsFailures > before }
    for member in [a, b] { #expect(member.transport.statistics.connectionsAccepted == 0 && member.collector.all.isEmpty) }
    a.transport.close()
    b.transport.close()
  }

  @Test func whatCannotStartSaysWhy() throws {
    func error(_ change: (inout TransportOptions) -> Void) -> String {
      do {
        try Member(1, change).transport.close()
        return "none"
      } catch { return "\(error)" }
    }
    #expect(error { $0.host = "0.0.0.0" }.hasPrefix("refusing to listen on 0.0.0.0"))
    #expect(error { $0.host = "192.0.2.1"; $0.allowsInsecure = true }.hasPrefix("cannot listen on 192.0.2.1:0"))
    #expect(error { $0.peers = [1: PeerAddress(host: "127.0.0.1", port: 1)] } == "the transport cannot start: n1 is listed among its own peers")
    #expect(error { $0.chunkBytes = 2 << 20 } == "the transport cannot start: chunks have 1 to 1048576 bytes")
    #expect(error { $0.maxFrameBytes = 1000 }.hasPrefix("the transport cannot start: frames of 1000 bytes"))
    #expect(error { $0.tls = TransportTLS(certificateFile: "/none", keyFile: "/none", authorityFile: "/none") }.hasPrefix("the certificates"))
    #expect(error { $0.node = 0 } == "the transport cannot start: node 0 names nobody")
  }
}
