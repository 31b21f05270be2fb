import Logging
import NIOCore
import StrataDisk
import StrataHost
import StrataLSMTree
import StrataNodes
import Testing

@testable import StrataRESP

#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif

@Suite struct CommandGroupTests {
  @Test func aGroupHasOneAnswerForEachBatch() {
    let batches: [[UInt8]] = [[1, 2, 3], [], [9]]
    let command = CommandGroup.command(batches)
    #expect(command == [3, 3, 0, 0, 0, 1, 2, 3, 0, 0, 0, 0, 1, 0, 0, 0, 9])
    #expect(CommandGroup.command([[5]]) == [5])
    #expect(CommandGroup.answers(Array(command.dropFirst()), 3) == batches)
    #expect(CommandGroup.answers([7, 7], 1) == [[7, 7]])
    for count in [2, 4] { #expect(CommandGroup.answers(Array(command.dropFirst()), count) == nil) }
    for cut in 1..<command.count { #expect(CommandGroup.answers(Array(command[1..<cut]), 3) == nil) }
  }
}

@Suite struct StoreFormatTests {
  private func batch(_ commands: [[String]], database: Int = 0, now: UInt64 = 1000) -> [UInt8] {
    var batch = CommandBatch()
    for command in commands {
      OwnedCall(command.map { Array($0.utf8) }).withInvocation { batch.append(.set, $0, writes: true, database: database, resp3: false, now: now) }
    }
    return batch.finish()
  }

  private func read(_ bytes: [UInt8]) -> [[String]]? {
    bytes.withUnsafeBytes { bytes in
      guard var reader = CommandBatchReader(UnsafeRawBufferPointer(rebasing: bytes.dropFirst())) else { return nil }
      var commands: [[String]] = []
      while let call = reader.next() { commands.append((0..<call.count).map { call.text($0) }) }
      return commands
    }
  }

  @Test func batchesComeBackAsTheyWere() {
    let commands = [["SET", "k", ""], ["DEL", "", "b"], ["GET", String(repeating: "x", count: 1000)]]
    #expect(read(batch(commands)) == commands)
    // Golden bytes: what a log holds is read for ever.
    #expect(
      batch([["GET", "a"]], database: 3, now: 0x0102) == [
        1, 1, 0, 3, 2, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 71, 69, 84, 1, 0, 0, 0, 97,
      ])
  }

  @Test func damagedBatchesAreReadWithoutATrap() {
    let good = batch([["SET", "key", "value"], ["DEL", "key"]])
    for length in 0..<good.count { _ = read(Array(good[..<length]) + (length == 0 ? [1] : [])) }
    for bit in 8..<(good.count * 8) {
      var bytes = good
      bytes[bit / 8] ^= 1 << (bit % 8)
      _ = read(bytes)
    }
  }

  @Test func snapshotsComeBackAsTheyWere() throws {
    var snapshot = StoreSnapshot()
    snapshot.time = 77
    snapshot.members = [1: MemberAddress(peer: "a:1", client: ""), 9: MemberAddress(peer: "b:2", client: "c:3")]
    snapshot.checkpoint = AttachmentSet(id: "x-1", files: [AttachmentSet.File(name: "log+1", bytes: 5, crc32c: 9)])
    let bytes = snapshot.encoded()
    #expect(try StoreSnapshot(decoding: bytes) == snapshot)
    for length in 0..<bytes.count { #expect(throws: (any Error).self) { try StoreSnapshot(decoding: Array(bytes[..<length])) } }
    for bit in 0..<(bytes.count * 8) {
      var damaged = bytes
      damaged[bit / 8] ^= 1 << (bit % 8)
      _ = try? StoreSnapshot(decoding: damaged)
    }
  }

  // MARK: The store

  private func store(
    _ path: String, options: LSMOptions = LSMOptions(), on fileSystem: any FileSystem = POSIXFileSystem()
  ) throws -> ReplicatedStore {
    try ReplicatedStore(
      .init(path), options: options, maxReplyBytes: 1 << 20, cacheBytes: 1 << 16, clock: { 5000 },
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, on: fileSystem)
  }

  private func withDirectory(_ body: (String) throws -> Void) throws {
    var template = Array("/tmp/strata-store-XXXXXX".utf8CString)
    let path = String(cString: try #require(mkdtemp(&template)))
    defer { removeTree(path) }
    try body(path)
  }

  @Test func aWriteLongerThanWhatTheSegmentHasLeftIsMade() throws {
    try withDirectory { path in
      var options = LSMOptions()
      options.logSegmentBytes = 1 << 20
      let store = try store(path, options: options)
      let long = String(repeating: "x", count: 6 << 20)
      for number in 0..<4 {
        #expect(store.carryOut(batch([["SET", "k\(number)", "short"]])) == Array("+OK\r\n".utf8))
        #expect(store.carryOut(batch([["SET", "long\(number)", long], ["STRLEN", "long\(number)"]])) == Array("+OK\r\n:6291456\r\n".utf8))
      }
      // What a command builds has the bound of what a client may send.
      #expect(store.carryOut(batch([["APPEND", "long1", String(repeating: "y", count: 1 << 20)]])) == Array(":7340032\r\n".utf8))
      let refusal = store.carryOut(batch([["APPEND", "long1", "y"]]))
      #expect(String(decoding: refusal, as: UTF8.self).hasPrefix("-ERR string exceeds maximum allowed size"))
      #expect(store.failure == nil)
      try store.close()
    }
  }

  @Test func aBatchOfWhichACommandHasToWaitGoesOnWhereItStopped() throws {
    try withDirectory { path in
      let store = try store(path)
      let entry = batch([["INCR", "n"], ["KEYS", "*"], ["INCR", "n"]])
      #expect(store.begin(.apply(entry)) == nil, "KEYS is not run on the member's thread")
      while store.finished() == nil { sched_yield() }
      #expect(store.carryOut(batch([["GET", "n"]])) == Array("$1\r\n2\r\n".utf8))
      #expect(store.carryOut(CommandGroup.command([entry, entry])).count == 2 * (4 + ":3\r\n*1\r\n$1\r\nn\r\n:4\r\n".utf8.count))
      #expect(store.carryOut(batch([["GET", "n"]])) == Array("$1\r\n6\r\n".utf8))
      try store.close()
    }
  }

  @Test func aWriteThatNeverFitsEndsWithAReason() throws {
    let engine = MemoryEngine()
    engine.state.withLock { $0.writeError = EngineError(.noRoom, "too much is waiting") }
    let keyspace = try Keyspace(engine: engine, cacheBytes: 0, clock: { 1000 }, expiryClock: { 1000 })
    var context = CommandContext(keyspace: keyspace, reply: ReplyWriter(buffer: .init(), limit: 1 << 20))
    let index = try #require(OwnedCall([Array("set".utf8)]).withInvocation { CommandTable.shared.find($0[0]) })
    let failure = OwnedCall(["set", "k", "v"].map { Array($0.utf8) }).withInvocation { context.carryOut(CommandTable.shared.rules[index], $0) }
    #expect(failure?.hasPrefix("'set' found no room in the store") == true)
    #expect(String(buffer: context.reply.buffer) == "-MISCONF the store takes no writes\r\n")
    // A disk that is full says so instead of having room later.
    engine.state.withLock { state in
      state.hasRoom = false
      state.roomError = EngineError(.noSpace, "the disk is full")
    }
    let full = OwnedCall(["set", "k", "v"].map { Array($0.utf8) }).withInvocation { context.carryOut(CommandTable.shared.rules[index], $0) }
    #expect(full == "the disk is full")
  }

  @Test func twoStoresAgreeWhateverTheirClocksSay() throws {
    try withDirectory { path in
      let a = try store(path + "/a")
      let b = try store(path + "/b")
      var random = Random(seed: 11)
      var now: UInt64 = 1000
      for _ in 0..<400 {
        now = now + UInt64(random.below(50)) - 20
        let key = "k\(random.below(9))"
        let command: [String] =
          switch random.below(8) {
          case 0: ["SET", key, "\(random.below(100))", "PX", "\(1 + random.below(200))"]
          case 1: ["INCR", key]
          case 2: ["DEL", key]
          case 3: ["APPEND", key, "7"]
          case 4: ["GETEX", key, "PX", "30"]
          case 5: ["SET", key, "1", "NX"]
          case 6: ["RENAME", key, "k\(random.below(9))"]
          default: ["SET", key, "\(random.below(100))"]
          }
        let entry = batch([command, ["GET", key], ["PTTL", key]], now: now)
        #expect(a.carryOut(entry) == b.carryOut(entry))
        // One of the two removes what has expired; nobody can tell.
        if random.chance(1, in: 3) { _ = try a.keyspace.expireSome(from: .start, pages: 4) }
      }
      try a.close()
      try b.close()
    }
  }

  @Test func aSnapshotStandsForTheStore() throws {
    try withDirectory { path in
      let a = try store(path + "/a")
      _ = a.carryOut(batch([["SET", "k", "1"], ["SET", "gone", "1", "PX", "10"]], now: 1000))
      _ = a.carryOut(ReplicatedStore.addressCommand(2, MemberAddress(peer: "x:1", client: "y:2")))
      let snapshot = try #require(a.snapshot())
      _ = a.carryOut(batch([["SET", "k", "2"], ["SET", "new", "3"]], now: 2000))
      #expect(a.restore(snapshot))
      #expect(a.carryOut(batch([["GET", "k"], ["GET", "new"]], now: 1001)) == Array("$1\r\n1\r\n$-1\r\n".utf8))
      #expect(a.members == [2: MemberAddress(peer: "x:1", client: "y:2")])
      let described = try StoreSnapshot(decoding: snapshot)
      #expect(described.checkpoint.files.contains { $0.name.hasSuffix(".sst") })
      #expect(described.checkpoint.files.contains { $0.name.hasPrefix("log+") })
      // A snapshot whose files are not there is refused, and nothing changes.
      var missing = described
      missing.checkpoint.id = "elsewhere"
      #expect(!a.restore(missing.encoded()))
      #expect(a.carryOut(batch([["GET", "k"]])) == Array("$1\r\n1\r\n".utf8))
      #expect(a.failure == nil)
      try a.close()
    }
  }

  @Test func aCheckpointInTheMakingOutlivesTheRemovalOfOldOnes() throws {
    try withDirectory { path in
      let files = HeldFiles()
      let a = try store(path + "/a", on: files)
      _ = a.carryOut(batch([["SET", "k", "1"]]))
      let first = try #require(a.snapshot())
      _ = a.carryOut(batch([["SET", "k", "2"]]))
      files.hold(true)
      #expect(a.begin(.save) == nil)
      while !files.isHolding { sched_yield() }
      // Half of it is there when the one before it turns out to be durable.
      a.isDurable(try StoreSnapshot(decoding: first))
      files.hold(false)
      var outcome = a.finished()
      while outcome == nil {
        sched_yield()
        outcome = a.finished()
      }
      guard case .saved(let state?)? = outcome else {
        Issue.record("the checkpoint came to \(outcome as Any)")
        return
      }
      _ = a.carryOut(batch([["SET", "k", "3"]]))
      #expect(a.restore(state))
      #expect(a.carryOut(batch([["GET", "k"]])) == Array("$1\r\n2\r\n".utf8))
      try a.close()
    }
  }

  @Test func aCheckpointThatHasJustComeStaysUntilItIsTakenOver() throws {
    try withDirectory { path in
      let a = try store(path + "/a")
      _ = a.carryOut(batch([["SET", "k", "1"]]))
      let snapshot = try StoreSnapshot(decoding: try #require(a.snapshot()))
      // The same checkpoint as it arrives at another member.
      let b = try store(path + "/b")
      let staged = b.directory.path.appending("incoming").appending("1")
      try b.fileSystem.makeDirectories(staged)
      for file in snapshot.checkpoint.files {
        try b.fileSystem.link(a.directory.file(file.name, ofCheckpoint: snapshot.checkpoint.id), to: staged.appending(file.name))
      }
      try b.directory.adopt(StagedAttachments(set: snapshot.checkpoint, directory: staged))
      b.removeOldCheckpoints()
      #expect(b.restore(snapshot.encoded()))
      #expect(b.carryOut(batch([["GET", "k"]])) == Array("$1\r\n1\r\n".utf8))
      // From here on the store's account of snapshots counts: two later ones leave it no place.
      for value in ["2", "3"] {
        _ = b.carryOut(batch([["SET", "k", value]]))
        b.isDurable(try StoreSnapshot(decoding: try #require(b.snapshot())))
      }
      #expect(try b.fileSystem.status(b.directory.checkpoint(snapshot.checkpoint.id)) == nil)
      try a.close()
      try b.close()
    }
  }

  @Test func commandsTheLogShouldNotHoldChangeNothing() throws {
    try withDirectory { path in
      let a = try store(path)
      #expect(a.carryOut([]) == [])
      #expect(a.carryOut([9, 9, 9]) == [])
      #expect(a.carryOut([2, 1]) == [])
      #expect(a.carryOut(batch([["SHUTDOWN"]])) == Array("-ERR 'SHUTDOWN' is not a command for the log\r\n".utf8))
      #expect(a.carryOut(batch([["NOPE"]])) == Array("-ERR unknown command 'NOPE'\r\n".utf8))
      #expect(a.failure == nil)
      try a.close()
    }
  }
}

/// Removes a directory and all in it.
func removeTree(_ path: String) {
  guard let directory = opendir(path) else {
    unlink(path)
    return
  }
  while let entry = readdir(directory) {
    let name = withUnsafePointer(to: &entry.pointee.d_name) { $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) } }
    if name != ".", name != ".." { removeTree("\(path)/\(name)") }
  }
  closedir(directory)
  rmdir(path)
}

extension ReplicatedStore {
  /// Carries out a command of the log, however long it takes.
  fileprivate func carryOut(_ command: [UInt8]) -> [UInt8] {
    var outcome = begin(.apply(command))
    while outcome == nil {
      sched_yield()
      outcome = finished()
    }
    guard case .applied(let answer)? = outcome else { return Array("\(outcome as Any)".utf8) }
    return answer
  }
}
