import StrataBytes
import StrataDisk
import StrataHost
import StrataNodes
import StrataRequirements
import Testing

@testable import StrataTransport

/// Files that messages name: the message comes when they are all there, whatever happens to the connections meanwhile.
@Suite(.serialized) struct AttachmentTests {
  static func bytes(_ count: Int, seed: UInt64) -> [UInt8] {
    var random = Random(seed: seed)
    // Of a length that no chunk has, so that a chunk in a wrong place shows.
    let block = random.bytes(min(count, 100_003))
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count + block.count)
    while bytes.count < count { bytes += block }
    bytes.removeLast(bytes.count - count)
    return bytes
  }

  static func content(_ staged: StagedAttachments?, _ name: String) throws -> [UInt8] {
    try POSIXFileSystem().readAll(try #require(staged).path(name), limit: 1 << 30)
  }

  @Test func aMessageComesWithItsFiles() throws {
    let (store, other) = (try Store(), try Store())
    let (a, b) = try pair { node, options in options.attachments = node == 1 ? store : other }
    let files = [("one.sst", Self.bytes(1_000_000, seed: 1)), ("empty", []), ("two.sst", Self.bytes(300, seed: 2))]
    let set = try store.add("5-17", files)
    a.send([1], to: 2)
    a.send([2], to: 2, attachments: set)
    a.send([3], to: 2)
    let all = b.collector.wait { $0.count == 3 }
    // Other messages do not wait for the files.
    #expect(Set(all.map(\.bytes)) == [[1], [2], [3]])
    let staged = all.first { $0.bytes == [2] }?.attachments
    #expect(staged?.set == set)
    for (name, bytes) in files { #expect(try Self.content(staged, name) == bytes, "\(name)") }
    #expect(b.transport.statistics.attachmentsReceived == 1)
    a.transport.close()
    b.transport.close()
  }

  @Test func aTransferGoesOnWhereItWasWhenTheConnectionWasCut() throws {
    let (store, other) = (try Store(), try Store())
    let (a, b) = try pair { node, options in options.attachments = node == 1 ? store : other }
    let total = 50 << 20
    let bytes = Self.bytes(total, seed: 3)
    let set = try store.add("big", [("data", bytes)])
    a.send([7], to: 2, attachments: set)
    for part in 1...3 {
      b.wait { $0.attachmentBytesReceived > UInt64(part * total / 5) }
      if part == 2 { a.transport.cutConnections() } else { b.transport.cutConnections() }
    }
    let arrived = b.collector.wait { !$0.isEmpty }
    #expect(try Self.content(arrived[0].attachments, "data") == bytes)
    let statistics = b.transport.statistics
    // Not a byte was taken twice.
    #expect(statistics.attachmentBytesReceived == UInt64(total))
    #expect(statistics.chunksRepeated >= 3 && a.transport.statistics.chunksServed < 300, "\(statistics)")
    a.transport.close()
    b.transport.close()
  }

  @Test func chunksThatAreLostOnTheWayAreAskedForAgain() throws {
    let (store, other) = (try Store(), try Store())
    let (a, b) = try pair { node, options in
      options.attachments = node == 1 ? store : other
      options.chunkWindow = 16
      options.chunkTimeout = .milliseconds(20)
      // Little more than a chunk may wait at the sender, so that of several the first ones get lost.
      if node == 1 { options.maxQueuedBytes = 300_000 }
    }
    let bytes = Self.bytes(6 << 20, seed: 6)
    let set = try store.add("s", [("data", bytes)])
    a.send([7], to: 2, attachments: set)
    #expect(try Self.content(b.collector.wait { !$0.isEmpty }[0].attachments, "data") == bytes)
    #expect(b.transport.statistics.attachmentBytesReceived == 6 << 20)
    a.transport.close()
    b.transport.close()
  }

  @Test func anUnlinkedFileThatIsBeingFetchedStaysReadable() throws {
    let (store, other) = (try Store(), try Store())
    let (a, b) = try pair { node, options in options.attachments = node == 1 ? store : other }
    let bytes = Self.bytes(8 << 20, seed: 4)
    let set = try store.add("gone", [("data", bytes)])
    a.send([7], to: 2, attachments: set)
    b.wait { $0.attachmentBytesReceived > 0 }
    try store.fileSystem.remove(store.sets.appending("gone").appending("data"))
    #expect(try Self.content(b.collector.wait { !$0.isEmpty }[0].attachments, "data") == bytes)
    a.transport.close()
    b.transport.close()
  }

  @Test func aMessageWhoseFilesAreMissingOrOtherThanNamedIsDropped() throws {
    let (store, other) = (try Store(), try Store())
    let (a, b) = try pair { node, options in options.attachments = node == 1 ? store : other }
    a.send([1], to: 2, attachments: AttachmentSet(id: "none", files: [.init(name: "x", bytes: 10, crc32c: 1)]))
    b.wait { $0.attachmentsDropped == 1 }
    var set = try store.add("other", [("x", [1, 2, 3])])
    set.files[0].crc32c ^= 1
    a.send([2], to: 2, attachments: set)
    b.wait { $0.attachmentsDropped == 2 }
    set.files[0].crc32c ^= 1
    set.files[0].bytes = 4
    a.send([3], to: 2, attachments: set)
    b.wait { $0.attachmentsDropped == 3 }
    set.files[0].bytes = .max
    a.send([4], to: 2, attachments: set)
    b.wait { $0.attachmentsDropped == 4 }
    a.send([5], to: 2)
    #expect(b.collector.wait { !$0.isEmpty }.map(\.bytes) == [[5]])
    #expect(try other.fileSystem.list(other.stagingDirectory).isEmpty)
    a.transport.close()
    b.transport.close()
  }

  @Test func aRepetitionTakesTheMessagesPlaceAndIsNotFetchedTwice() throws {
    let (store, other) = (try Store(), try Store())
    let (a, b) = try pair { node, options in
      options.attachments = node == 1 ? store : other
      options.maxFetchedBytesPerSecond = 20 << 20
    }
    let bytes = Self.bytes(4 << 20, seed: 5)
    let set = try store.add("s", [("data", bytes)])
    for number in 1...5 as ClosedRange<UInt8> { a.send([number], to: 2, attachments: set) }
    a.send([6], to: 2, attachments: AttachmentSet(id: "another", files: set.files))
    let arrived = b.collector.wait { !$0.isEmpty }
    #expect(arrived.map(\.bytes) == [[5]])
    #expect(b.transport.statistics.attachmentBytesReceived == 4 << 20)
    #expect(b.transport.statistics.attachmentsDropped == 1)
    a.transport.close()
    b.transport.close()
  }

  @Test func aMemberWithoutAPlaceForFilesDropsTheirMessages() throws {
    let (a, b) = try pair()
    a.send([1], to: 2, attachments: AttachmentSet(id: "s", files: []))
    a.send([2], to: 2)
    #expect(b.collector.wait { !$0.isEmpty }.map(\.bytes) == [[2]])
    #expect(b.transport.statistics.attachmentsDropped == 1)
    a.transport.close()
    b.transport.close()
  }

  @Test func whatAnEarlierRunLeftIsRemoved() throws {
    let store = try Store()
    let left = store.stagingDirectory.appending("9-1-1")
    try store.fileSystem.makeDirectory(left)
    let file = try store.fileSystem.open(left.appending("half"), .createNew)
    try file.write([1], at: 0)
    try file.close()
    let member = try Member(1) { $0.attachments = store }
    #expect(try store.fileSystem.list(store.stagingDirectory).isEmpty)
    member.transport.close()
  }
}
