import StrataDisk
import StrataRequirements
import StrataSimulation
import SystemPackage
import Testing

@testable import StrataBitcask

@Suite struct BasicTests {
  @Test(.requirement("Bitcask.keep.1")) func putGetDeleteTellWhatWas() throws {
    let store = try Bitcask.open(home, options: tinyOptions(), on: SimulatedFileSystem())
    #expect(try store.get(key(1)) == nil)
    #expect(try store.delete(key(1)) == false)
    try store.put(key(1), bytes("one"))
    #expect(try store.get(key(1)) == bytes("one"))
    try store.put(key(1), bytes("uno"))
    #expect(try store.get(key(1)) == bytes("uno"))
    #expect(try store[key(1)] == bytes("uno"))
    #expect(try store.delete(key(1)))
    #expect(try store.get(key(1)) == nil)
    #expect(try store.delete(key(1)) == false)
    #expect(try store.get(many: [key(1), key(2)]) == [nil, nil])
    try store.close()
  }

  @Test(.requirement("Bitcask.keep.1")) func asyncFormsDoTheSame() async throws {
    let store = try Bitcask.open(home, options: tinyOptions { $0.background = .threads }, on: SimulatedFileSystem())
    let first = try await store.put(key(1), bytes("one"))
    let second = try await store.put(key(1), bytes("uno"))
    #expect(second == first + 1)
    #expect(try await store.compareAndSet(key(1), expected: first, bytes("no")) == false)
    #expect(try await store.compareAndSet(key(1), expected: second, bytes("yes")))
    #expect(try await store.write([.put(key(2), bytes("two")), .delete(key(1))]) == first + 3..<first + 5)
    #expect(try await store.delete(key(1)) == false)
    #expect(try store.get(key(2)) == bytes("two"))
    try await store.sync()
    try await store.createHintFiles()
    _ = try await store.merge(.all)
    #expect(try store.get(key(2)) == bytes("two"))
    try await store.close()
    await #expect(throws: BitcaskError.closed) { try await store.put(key(3), []) }
  }

  @Test(.requirement("Bitcask.keep.2")) func overwritesAppendAndKeysComeFromMemory() throws {
    let disk = SimulatedFileSystem()
    let store = try Bitcask.open(home, options: tinyOptions { $0.segmentBytes = 1 << 20 }, on: disk)
    for round in 0..<5 { for number in 0..<20 { try store.put(key(number), bytes("value \(round)")) } }
    let before = store.segments()[0]
    #expect(before.records == 100 && before.liveRecords == 20)
    #expect(before.deadBytes == 4 * (before.bytes - 4096) / 5)
    let reads = disk.callCount(of: .read)
    #expect(store.count == 20)
    #expect(try store.contains(key(7)))
    #expect(try !store.contains(key(20)))
    #expect(try Set(store.keys()) == Set((0..<20).map { key($0) }))
    #expect(disk.callCount(of: .read) == reads, "contains, keys and count read the disk")
    try store.close()
  }

  @Test(.requirement("Bitcask.keep.3", "Bitcask.never.15")) func aGetIsOneReadOfTheExactRecordAndOpensNothing() throws {
    let disk = SimulatedFileSystem()
    let recorder = RecordingFileSystem(disk, logsReads: true)
    let store = try Bitcask.open(home, options: tinyOptions(), on: recorder)
    for number in 0..<50 { try store.put(key(number), bytes("value \(number)")) }
    let (opens, reads) = (disk.callCount(of: .open), disk.callCount(of: .read))
    let before = recorder.eventCount
    for number in 0..<50 { #expect(try store.get(key(number)) == bytes("value \(number)")) }
    #expect(disk.callCount(of: .open) == opens)
    #expect(disk.callCount(of: .read) == reads + 50)
    for event in recorder.log.events[before...] {
      guard case .read = event else { throw Unexpected("a get did \(event)") }
    }
    try store.close()
  }

  @Test(.requirement("Bitcask.keep.4", "Bitcask.keep.5")) func oneSegmentIsWritableAndNumbersRise() throws {
    let disk = SimulatedFileSystem()
    let store = try Bitcask.open(home, options: tinyOptions(), on: disk)
    for number in 0..<60 { try store.put(key(number), bytes("some value \(number)")) }
    let segments = store.segments()
    #expect(segments.count > 5)
    #expect(segments.filter(\.isActive).map(\.id) == [segments.map(\.id).max()])
    let sealed = segments.filter { !$0.isActive }
    // A segment may pass the limit by one record.
    #expect(sealed.allSatisfy { $0.bytes >= 4096 + 400 && $0.bytes < 4096 + 400 + 80 })
    let images = sealed.map { file(disk, FileName.data($0.id).text) }
    for number in 0..<60 { try store.put(key(number), bytes("another \(number)")) }
    #expect(sealed.map { file(disk, FileName.data($0.id).text) } == images, "an immutable segment has changed")
    for name in try names(disk) where name.hasSuffix(".data") {
      #expect(name.utf8.count == 15 && name.utf8.prefix(10).allSatisfy { $0 >= 0x30 && $0 <= 0x39 })
    }
    let highest = store.segments().map(\.id).max() ?? 0
    try store.merge(.all)
    #expect((store.segments().map(\.id).max() ?? 0) > highest)
    for number in 0..<60 { #expect(try store.get(key(number)) == bytes("another \(number)")) }
    try store.close()
  }

  @Test(.requirement("Bitcask.keep.10")) func iterationSkipsDeletedKeys() throws {
    let store = try Bitcask.open(home, options: tinyOptions(), on: SimulatedFileSystem())
    for number in 0..<300 { try store.put(key(number), bytes("\(number)")) }
    for number in 0..<300 where number % 3 == 0 { try store.delete(key(number)) }
    let expected = Dictionary(uniqueKeysWithValues: (0..<300).filter { $0 % 3 != 0 }.map { (key($0), bytes("\($0)")) })
    #expect(try contents(store) == expected)
    try store.close()
  }

  @Test(.requirement("Bitcask.never.14")) func deletingAMissingKeyWritesNothing() throws {
    let disk = SimulatedFileSystem()
    let store = try Bitcask.open(home, options: tinyOptions(), on: disk)
    try store.put(key(1), bytes("one"))
    try store.delete(key(1))
    let (writes, last) = (disk.callCount(of: .write), store.lastSequence)
    #expect(try store.delete(key(1)) == false)
    #expect(try store.delete(key(2)) == false)
    #expect(try store.write([.delete(key(1)), .delete(key(3))]).isEmpty)
    #expect(disk.callCount(of: .write) == writes && store.lastSequence == last)
    // Within a batch, what came before in it counts.
    let submission = try store.submit([.put(key(5), []), .delete(key(5)), .delete(key(5)), .delete(key(6))])
    #expect(submission.sequences.count == 2 && submission.existed == [false, true, false, false])
    #expect(store.count == 0)
    try store.close()
  }

  @Test(.requirement("Bitcask.never.4", "Bitcask.never.17")) func anyBytesAreValuesAndKeys() throws {
    let disk = SimulatedFileSystem()
    let values: [[UInt8]] = [
      [], [0], [0xFF, 0xFE], bytes("__TOMBSTONE__"), bytes("bitcask_tombstone"), [0x7C, 0xB1], [UInt8](repeating: 0, count: 100),
      RecordMagic.bytes, (0...255).map { UInt8($0) },
    ]
    let keys: [[UInt8]] = [[], [0], [0xC3, 0x28], [0xFF], bytes("k"), [UInt8](repeating: 0x80, count: 65_535)]
    for merges in [false, true] {
      let store = try Bitcask.open(home, options: tinyOptions(), on: disk)
      for (index, value) in values.enumerated() { for key in keys { try store.put(key + [UInt8(index)].prefix(key.count < 65_535 ? 1 : 0), value) } }
      if merges { try store.merge(.all) }
      try store.close()
      let again = try Bitcask.open(home, options: tinyOptions(), on: disk)
      for (index, value) in values.enumerated() {
        for key in keys where key.count < 65_535 { #expect(try again.get(key + [UInt8(index)]) == value) }
      }
      #expect(try again.get(keys[5]) == values.last)
      try again.close()
    }
  }

  @Test func compareAndSetFollowsSequences() throws {
    let store = try Bitcask.open(home, options: tinyOptions(), on: SimulatedFileSystem())
    #expect(try store.compareAndSet(key(1), expected: nil, bytes("a")))
    #expect(try !store.compareAndSet(key(1), expected: nil, bytes("b")))
    let sequence = store.lastSequence
    #expect(try !store.compareAndSet(key(1), expected: sequence + 1, bytes("b")))
    for number in 10..<40 { try store.put(key(number), bytes("filler \(number)")) }
    try store.merge(.all)
    #expect(try store.compareAndSet(key(1), expected: sequence, bytes("b")), "a merge changed a sequence")
    #expect(try store.compareAndSet(key(1), expected: store.lastSequence, nil))
    #expect(try store.get(key(1)) == nil)
    #expect(try store.compareAndSet(key(1), expected: nil, nil))
    try store.close()
  }

  @Test func badArgumentsWriteNothing() throws {
    let disk = SimulatedFileSystem()
    let store = try Bitcask.open(home, options: tinyOptions { ($0.maxKeyBytes, $0.maxValueBytes) = (10, 20) }, on: disk)
    let writes = disk.callCount(of: .write)
    #expect(throws: BitcaskError.keyTooLarge(size: 11, limit: 10)) { try store.put([UInt8](repeating: 1, count: 11), []) }
    #expect(throws: BitcaskError.valueTooLarge(size: 21, limit: 20)) { try store.put([], [UInt8](repeating: 1, count: 21)) }
    #expect(throws: BitcaskError.invalidArgument("a negative time to live: -1.0 seconds")) { try store.put([], [], ttl: .seconds(-1)) }
    #expect(throws: BitcaskError.self) { try store.write([.put([], []), .put([UInt8](repeating: 1, count: 11), [])]) }
    #expect(disk.callCount(of: .write) == writes && store.count == 0)
    #expect(throws: BitcaskError.alreadyOpen(home.appending("LOCK"), pid: disk.processID)) {
      _ = try Bitcask.open(home, options: tinyOptions(), on: disk)
    }
    try store.put([], [])
    #expect(try store.get([]) == [])
    try store.close()
    #expect(throws: BitcaskError.closed) { try store.put([], []) }
    #expect(throws: BitcaskError.closed) { _ = try store.get([]) }
    #expect(throws: BitcaskError.closed) { try store.close() }
    #expect(throws: BitcaskError.self) { _ = try Bitcask.open(home, options: tinyOptions { $0.segmentBytes = 0 }, on: disk) }
  }

  @Test func aBatchBeyondASegmentIsStillOne() throws {
    let disk = SimulatedFileSystem()
    let store = try Bitcask.open(home, options: tinyOptions(), on: disk)
    let batch = (0..<100).map { Mutation.put(key($0), bytes("batched \($0)")) }
    #expect(try store.write(batch).count == 100)
    #expect(try store.write([]).isEmpty)
    try store.put(key(200), [])
    #expect(store.segmentCount == 2)
    try store.close()
    let again = try Bitcask.open(home, options: tinyOptions(), on: disk)
    #expect(again.count == 101)
    #expect(try again.get(key(99)) == bytes("batched 99"))
    try again.close()
  }
}

/// Bytes that look like a record's header.
enum RecordMagic {
  static var bytes: [UInt8] {
    var buffer = [UInt8](repeating: 0, count: 48)
    let header = RecordHeader(flags: .tombstone, keyLength: 3, valueLength: 0, sequence: 9)
    buffer.withUnsafeMutableBytes { buffer in
      [1, 2, 3].withUnsafeBytes { key in
        RecordSeal(salt: 0, segment: 1)
          .encode(
            header, key: UnsafeRawBufferPointer(rebasing: key[..<3]), value: UnsafeRawBufferPointer(rebasing: key[..<0]), at: 4096, into: buffer)
      }
    }
    return buffer
  }
}
