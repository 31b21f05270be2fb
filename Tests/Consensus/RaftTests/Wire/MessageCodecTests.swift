import StrataBytes
import StrataHost
import StrataNodes
import StrataRequirements
import SystemPackage
import Testing

@testable import StrataRaft

/// What members say to each other in bytes: every kind comes back as it was, and nothing else is believed.
struct MessageCodecTests {
  static let kinds = Message.Kind.allCases.filter { $0 != .stored && $0 != .applied }

  static func encoded(_ message: Message, _ codec: RaftMessageCodec = RaftMessageCodec()) -> [UInt8] {
    var writer = ByteWriter()
    codec.encode(message, into: &writer)
    return writer.finish()
  }

  static func decoded(_ bytes: [UInt8], from: NodeID = 2, _ codec: RaftMessageCodec = RaftMessageCodec()) throws(DecodeError) -> Message {
    try codec.decode(bytes.span.bytes, from: from, attachments: nil)
  }

  static func message(_ kind: Message.Kind, _ random: inout Random) -> Message {
    let number = { (random: inout Random) in [0, 1, UInt64(random.below(1000)), random.next() >> 3][random.below(4)] }
    var message = Message(
      kind, to: 1, from: 2, term: number(&random), logTerm: number(&random), index: number(&random), commit: number(&random),
      hint: number(&random), context: random.next(), isRejected: random.chance(1, in: 2), isTransfer: random.chance(1, in: 2))
    for _ in 0..<random.below(4) {
      let size = random.below(20)
      message.entries.append(
        Entry(term: number(&random), index: number(&random), kind: random.chance(1, in: 3) ? .confChange : .normal, payload: random.bytes(size)))
    }
    if random.chance(1, in: 3) {
      let members = ConfState(voters: [1, 2, 3], outgoing: [1, 4], learners: [9], learnersNext: [4], autoLeave: true)
      let size = random.below(40)
      message.snapshot = Snapshot(place: LogPlace(term: number(&random), index: number(&random)), confState: members, data: random.bytes(size))
    }
    return message
  }

  @Test func everyMessageComesBackAsItWas() throws {
    for seed in 0..<UInt64(20 * testDepth) {
      var random = Random(seed: seed)
      for kind in Self.kinds {
        let message = Self.message(kind, &random)
        #expect(try Self.decoded(Self.encoded(message)) == message, "seed \(seed)")
      }
    }
  }

  @Test func theBytesOfVersionOneStay() throws {
    let message = Message(
      .append, to: 1, from: 2, term: 3, logTerm: 4, index: 5, commit: 6, hint: 7, context: 8, isRejected: true,
      entries: [Entry(term: 9, index: 10, kind: .confChange, payload: [0xAA, 0xBB])],
      snapshot: Snapshot(place: LogPlace(term: 11, index: 12), confState: ConfState(voters: [13]), data: [0xCC]))
    let u64 = { (number: UInt8) in [number, 0, 0, 0, 0, 0, 0, 0] as [UInt8] }
    let none: [UInt8] = [0, 0, 0, 0]
    var golden: [UInt8] = [1, 1, 65, 0] + u64(2) + u64(1) + u64(3) + u64(4) + u64(5) + u64(6) + u64(7) + u64(8) + [0b101]
    golden += [1, 0, 0, 0] + u64(9) + u64(10) + [1, 2, 0, 0, 0, 0xAA, 0xBB]
    golden += u64(11) + u64(12) + [1, 0, 0, 0] + u64(13) + none + none + none + [0] + [1, 0, 0, 0, 0xCC]
    #expect(Self.encoded(message) == golden)
    #expect(try Self.decoded(golden) == message)
  }

  @Test func fieldsOfALaterWriterAreSkipped() throws {
    var bytes = Self.encoded(Message(.heartbeat, to: 1, from: 2, term: 3))
    bytes[2] = 68
    bytes.insert(contentsOf: [7, 7, 7], at: 69)
    #expect(try Self.decoded(bytes) == Message(.heartbeat, to: 1, from: 2, term: 3))
    bytes[2] = 64
    #expect(throws: DecodeError.self) { try Self.decoded(bytes) }
  }

  @Test func anotherVersionIsRefusedNamingBoth() {
    var bytes = Self.encoded(Message(.heartbeat, to: 1, from: 2))
    bytes[0] = 2
    let error = #expect(throws: DecodeError.unsupportedVersion(at: 0, version: 2, newest: 1)) { try Self.decoded(bytes) }
    #expect(error.map { "\($0)" } == "byte 0: version 2, this build reads up to 1; use a newer build")
  }

  @Test func nobodySpeaksForAnotherOrForAStorage() {
    let bytes = Self.encoded(Message(.heartbeat, to: 1, from: 2))
    #expect(throws: DecodeError.malformed(at: 4, field: "sender")) { try Self.decoded(bytes, from: 3) }
    for kind in [Message.Kind.stored, .applied] {
      #expect(throws: DecodeError.malformed(at: 1, field: "kind of message")) { try Self.decoded(Self.encoded(Message(kind, to: 1, from: 2))) }
    }
  }

  @Test func noFlipAndNoCutIsATrapAndClaimsTakeNoMemory() throws {
    var random = Random(seed: 4)
    var bytes: [UInt8] = []
    while bytes.count < 250 {
      var message = Self.message(.append, &random)
      message.snapshot = Snapshot(place: LogPlace(term: 1, index: 2), confState: ConfState(voters: [1, 2], learners: [3]), data: [1, 2, 3])
      bytes = Self.encoded(message)
    }
    for length in bytes.indices { #expect(throws: DecodeError.self, "cut at \(length)") { try Self.decoded(Array(bytes[..<length])) } }
    #expect(throws: DecodeError.self) { try Self.decoded(bytes + [0]) }
    for bit in 0..<(bytes.count * 8) {
      var flipped = bytes
      flipped[bit / 8] ^= 1 << UInt8(bit % 8)
      // The transport's checksum catches what is a message all the same.
      if let message = try? Self.decoded(flipped) { #expect(Self.encoded(message).count <= flipped.count + 8, "bit \(bit)") }
    }
    var claims = Self.encoded(Message(.append, to: 1, from: 2))
    claims.replaceSubrange(69..<73, with: [255, 255, 255, 255])
    #expect(throws: DecodeError.limitExceeded(at: 69, field: "entries", limit: 0)) { try Self.decoded(claims) }
  }

  @Test func aSnapshotThatNamesFilesIsReadOnlyWithThem() throws {
    struct Files: SnapshotFiles {
      func attachments(of snapshot: Snapshot) -> AttachmentSet? {
        snapshot.data.first == 1 ? AttachmentSet(id: "s\(snapshot.index)", files: [.init(name: "t", bytes: 3, crc32c: 7)]) : nil
      }

      func adopt(_ snapshot: Snapshot, _ staged: StagedAttachments) throws(DecodeError) -> [UInt8] {
        if staged.directory == "/bad" { throw .malformed(at: 0, field: "table") }
        return Array(staged.path("t").string.utf8)
      }
    }
    let codec = RaftMessageCodec(files: Files())
    var message = Message(.snapshot, to: 1, from: 2, snapshot: Snapshot(place: LogPlace(term: 1, index: 4), confState: ConfState(voters: [1])))
    message.snapshot?.data = [0, 9]
    #expect(codec.attachments(of: message) == nil)
    #expect(try Self.decoded(Self.encoded(message, codec), codec) == message)
    message.snapshot?.data = [1, 9]
    let set = try #require(codec.attachments(of: message))
    let bytes = Self.encoded(message, codec)
    #expect(throws: DecodeError.self) { try Self.decoded(bytes, codec) }
    let read = { (staged: StagedAttachments) throws(DecodeError) in try codec.decode(bytes.span.bytes, from: 2, attachments: staged) }
    #expect(throws: DecodeError.self) { try read(StagedAttachments(set: AttachmentSet(id: "other", files: []), directory: "/in")) }
    #expect(throws: DecodeError.self) { try read(StagedAttachments(set: set, directory: "/bad")) }
    #expect(try read(StagedAttachments(set: set, directory: "/in")).snapshot?.data == Array("/in/t".utf8))
  }
}
