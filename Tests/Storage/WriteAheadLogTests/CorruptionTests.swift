import StrataDisk
import StrataNodes
import StrataRequirements
import StrataSimulation
import SystemPackage
import Testing

@testable import StrataWriteAheadLog

/// Bytes that are not what was written: found, or without effect; never a trap, never a wrong record.
@Suite struct WALCorruptionTests {
  /// A closed log of several segments with records, batches, a checkpoint and a truncation in each of them.
  static func build(segments: Int) throws -> SimulatedFileSystem {
    let disk = SimulatedFileSystem()
    let log = try WriteAheadLog.openSmall(disk) { $0.recycledSegments = 0 }
    for segment in 1...segments {
      let next = log.lastSequence + 1
      try log.append(record(next))
      try log.append(batch: [.put(key: payload(next + 1, count: 9), value: []), .delete(key: payload(next + 2, count: 9))])
      try log.checkpoint([1, 2, 3])
      try log.append(record(next + 4, count: segment < segments ? 70_000 : 30))
    }
    try log.close()
    return disk
  }

  /// What a log says when it is opened and read whole: its entries, or its error.
  static func content(_ disk: SimulatedFileSystem, _ change: (inout WALOptions) -> Void = { _ in }) -> Result<[WALEntry], WALError> {
    do throws(WALError) {
      let log = try WriteAheadLog.openSmall(disk, change)
      return .success(try log.entries())
    } catch { return .failure(error) }
  }

  /// Damages a copy of `disk` and expects either the records that were written or an error that says damage.
  private func expectFoundOrHarmless(
    _ disk: SimulatedFileSystem, _ entries: [WALEntry], _ name: @autoclosure () -> String, _ damage: (SimulatedFileSystem) throws -> Void
  ) rethrows {
    let copy = disk.fork()
    try damage(copy)
    switch Self.content(copy) {
    case .success(let found): if found != entries { Issue.record("\(name()): \(found.count) entries of \(entries.count), or others") }
    case .failure(let error): if !isDamage(error) { Issue.record("\(name()): \(error)") }
    }
  }

  @Test(.requirement("WriteAheadLog.never.3")) func everyBitOfASmallLog() throws {
    let disk = try Self.build(segments: 1)
    let entries = try Self.content(disk.fork()).get()
    let path = try #require(disk.segmentPaths.first)
    let size = try #require(disk.bytes(of: path)).count
    #expect(entries.count == 4 && size < 4800)
    let headerBits =
      testDepth > 1
      ? Array(0..<4096 * 8)
      : Array(stride(from: 0, to: 160 * 8, by: 3)) + Array(stride(from: 160 * 8, to: 4096 * 8, by: 127))
    for bit in headerBits + Array(4096 * 8..<size * 8) {
      expectFoundOrHarmless(disk, entries, "bit \(bit % 8) of byte \(bit / 8)") { $0.flipBit(UInt64(bit), of: path) }
    }
  }

  @Test(.requirement("WriteAheadLog.never.3")) func bitsOfEverySegment() throws {
    let disk = try Self.build(segments: 3)
    let entries = try Self.content(disk.fork()).get()
    var random = Random(seed: 11)
    for path in disk.segmentPaths {
      let size = try #require(disk.bytes(of: path)).count
      for _ in 0..<40 * testDepth {
        let bit = random.below(size * 8)
        expectFoundOrHarmless(disk, entries, "bit \(bit % 8) of byte \(bit / 8) of \(path)") { $0.flipBit(UInt64(bit), of: path) }
      }
    }
  }

  @Test(.requirement("WriteAheadLog.keep.8")) func everyLength() throws {
    let disk = try Self.build(segments: 2)
    let entries = try Self.content(disk.fork()).get()
    let paths = disk.segmentPaths
    for (index, path) in paths.enumerated() {
      let size = try #require(disk.bytes(of: path)).count
      let step = testDepth > 1 ? 1 : (index == 0 ? 997 : 1)
      for length in stride(from: index == 0 ? 0 : 4000, to: size, by: step) {
        let copy = disk.fork()
        copy.cut(path, to: UInt64(length))
        switch Self.content(copy) {
        case .failure(let error): #expect(isDamage(error), "\(path) cut to \(length): \(error)")
        case .success(let found):
          // Only the last segment's tail can be taken for torn: then what is left is a prefix of whole records and batches.
          #expect(found == Array(entries.prefix(found.count)), "\(path) cut to \(length)")
          #expect(index == paths.count - 1 || found == entries, "\(path) cut to \(length)")
          if let last = found.last { #expect(last.batch.upperBound == last.sequence, "half a batch with \(path) cut to \(length)") }
        }
      }
    }
  }

  @Test(.requirement("WriteAheadLog.never.3", "WriteAheadLog.never.15")) func sectorsZeroedDuplicatedAndSwapped() throws {
    let disk = try Self.build(segments: 2)
    let entries = try Self.content(disk.fork()).get()
    var random = Random(seed: 5)
    for path in disk.segmentPaths {
      let bytes = try #require(disk.bytes(of: path))
      let sectors = (bytes.count + 511) / 512
      func sector(_ index: Int) -> [UInt8] { Array(bytes[index * 512..<min(bytes.count, index * 512 + 512)]) }
      func put(_ content: [UInt8], at index: Int, in copy: inout [UInt8]) {
        for (place, byte) in content.enumerated() where index * 512 + place < copy.count { copy[index * 512 + place] = byte }
      }
      for index in 0..<sectors where testDepth > 1 || index < 14 || index >= sectors - 4 {
        let other = random.below(sectors)
        for kind in 0..<3 {
          var changed = bytes
          switch kind {
          case 0: put([UInt8](repeating: 0, count: 512), at: index, in: &changed)
          case 1: put(sector(other), at: index, in: &changed)
          default:
            put(sector(other), at: index, in: &changed)
            put(sector(index), at: other, in: &changed)
          }
          let name = "\(["zeroed", "overwritten by", "swapped with"][kind]) \(other): sector \(index) of \(path)"
          try tailMayBeTorn(disk, entries, name, path == disk.segmentPaths.last) { try $0.install(path, changed) }
        }
      }
    }
  }

  /// As `expectFoundOrHarmless`, but the last segment's last group cannot be told from a torn write on one machine.
  private func tailMayBeTorn(
    _ disk: SimulatedFileSystem, _ entries: [WALEntry], _ name: String, _ isLast: Bool, _ damage: (SimulatedFileSystem) throws -> Void
  ) throws {
    let copy = disk.fork()
    try damage(copy)
    switch Self.content(copy) {
    case .success(let found):
      #expect(found == entries || (isLast && found == Array(entries.prefix(found.count))), "\(name): \(found.count) of \(entries.count)")
    case .failure(let error): #expect(isDamage(error), "\(name): \(error)")
    }
  }

  @Test(.requirement("WriteAheadLog.never.15")) func aStaleSegmentIsNoticed() throws {
    let disk = SimulatedFileSystem()
    var log = try WriteAheadLog.openSmall(disk)
    try log.append(record(1))
    try log.append(record(2))
    let path = try #require(disk.segmentPaths.first)
    let stale = try #require(disk.bytes(of: path))
    try log.append(record(3))
    try log.close()
    log = try WriteAheadLog.openSmall(disk)
    try log.append(record(4))
    try log.close()
    try disk.install(path, stale)
    let error = #expect(throws: WALError.self) { try WriteAheadLog.openSmall(disk) }
    #expect(error.map(isDamage) == true)
    // A segment of the same log and number, from a past in which the log went on differently.
    let past = try Self.build(segments: 2)
    let present = try Self.build(segments: 2)
    let other = try WriteAheadLog.open(logPath, options: .small(seed: 8), on: SimulatedFileSystem()).log
    #expect(other.lastSequence == 0)
    let first = try #require(past.segmentPaths.first)
    var bytes = try #require(past.bytes(of: first))
    bytes.store(UInt64(0x0BAD), at: 40)
    bytes.store(crc32cOfHeader(bytes), at: 4092)
    try present.install(first, bytes)
    #expect(throws: WALError.self) { try Self.content(present).get() }
  }

  @Test(.requirement("WriteAheadLog.never.15")) func segmentsDeletedRenamedDuplicatedAndSwapped() throws {
    let disk = try Self.build(segments: 4)
    let paths = disk.segmentPaths
    try #require(paths.count == 4)
    for (index, path) in paths.enumerated() {
      let bytes = try #require(disk.bytes(of: path))
      func refused(_ name: String, _ change: (SimulatedFileSystem) throws -> Void) throws {
        let copy = disk.fork()
        try change(copy)
        let before = copy.contents
        switch Self.content(copy) {
        case .success: Issue.record("\(name) of segment \(index + 1) went unnoticed")
        case .failure(let error): #expect(isDamage(error), "\(name) of segment \(index + 1): \(error)")
        }
        #expect(copy.contents == before, "\(name) of segment \(index + 1) changed the directory")
      }
      try refused("deletion") { try $0.remove(path) }
      try refused("renaming") { try $0.rename(path, to: logPath.appending("old"), replacing: true) }
      try refused("giving back") { try $0.rename(path, to: logPath.appending("free-77.seg"), replacing: true) }
      try refused("a new number") {
        try $0.rename(path, to: logPath.appending(SegmentName.make(number: 9, firstSequence: 1)), replacing: true)
      }
      try refused("a duplicate") { try $0.install(logPath.appending(SegmentName.make(number: UInt64(index + 1), firstSequence: 77)), bytes) }
      for other in paths where other != path {
        try refused("an exchange with \(other)") {
          try $0.install(path, try #require(disk.bytes(of: other)))
          try $0.install(other, bytes)
        }
      }
    }
  }

  @Test(.requirement("WriteAheadLog.never.15")) func recordsExchangedOrRepeated() throws {
    let disk = SimulatedFileSystem()
    let log = try WriteAheadLog.openSmall(disk)
    for number in UInt64(1)...8 { try log.append(record(number)) }
    let offsets = try log.entries().map { Int($0.offset) }
    try log.close()
    let path = try #require(disk.segmentPaths.first)
    let bytes = try #require(disk.bytes(of: path))
    let size = offsets[1] - offsets[0]
    for first in 0..<7 {
      for second in 0..<7 where first != second {
        var repeated = bytes
        repeated.replaceSubrange(offsets[first]..<offsets[first] + size, with: bytes[offsets[second]..<offsets[second] + size])
        var swapped = repeated
        swapped.replaceSubrange(offsets[second]..<offsets[second] + size, with: bytes[offsets[first]..<offsets[first] + size])
        for changed in [repeated, swapped] {
          let copy = disk.fork()
          try copy.install(path, changed)
          #expect(throws: WALError.self, "\(first) and \(second)") { try Self.content(copy).get() }
        }
      }
    }
  }

  @Test func pointInTimeKeepsWhatItCutsOff() throws {
    let disk = try Self.build(segments: 3)
    let paths = disk.segmentPaths
    let entries = try Self.content(disk.fork()).get()
    let middle = try #require(entries.first { $0.segment == 2 })
    disk.flipBit((middle.offset + 20) * 8, of: paths[1])
    let verified = try WriteAheadLog.verify(logPath, options: .small(), on: disk)
    #expect(verified.damage.map(\.segment) == [2] && verified.damage.first?.firstLostSequence == middle.sequence)
    #expect(throws: WALError.self) { try Self.content(disk.fork()).get() }
    let cut = try #require(disk.bytes(of: paths[1])).dropFirst(Int(middle.offset))
    var (log, report) = try WriteAheadLog.open(logPath, options: .small { $0.recovery = .pointInTime }, on: disk)
    #expect(report.damage.map(\.segment) == [2])
    #expect(log.lastSequence == middle.sequence - 1 && log.lastCheckpoint?.sequence == middle.sequence - 2)
    #expect(try log.sequences() == entries.map(\.sequence).filter { $0 < middle.sequence })
    #expect(try log.append(record(middle.sequence)) == middle.sequence)
    try log.close()
    let kept = disk.contents.filter { $0.path.string.hasSuffix(".damaged") }
    #expect(kept.map(\.path.string) == [paths[1].string + ".damaged", paths[2].string + ".damaged"] && kept[0].bytes == Array(cut))
    (log, report) = try WriteAheadLog.open(logPath, options: .small(), on: disk)
    #expect(try log.sequences().last == middle.sequence && report.damage.isEmpty)
  }

  @Test func salvageReadsRoundTheDamage() throws {
    let disk = try Self.build(segments: 4)
    let paths = disk.segmentPaths
    let entries = try Self.content(disk.fork()).get()
    let lost = try #require(entries.first { $0.segment == 1 && $0.batch.count > 1 })
    disk.flipBit((lost.offset + 20) * 8, of: paths[0])
    disk.flipBit(8 * 50, of: paths[1])
    try disk.remove(paths[2])
    let before = disk.contents
    let (log, report) = try WriteAheadLog.open(logPath, options: .small { $0.recovery = .salvage }, on: disk)
    let reader = try log.replay()
    let found = try reader.all()
    #expect(found == entries.filter { [1, 4].contains($0.segment) && !lost.batch.contains($0.sequence) })
    #expect(Set(report.damage.map(\.segment)) == [2, 3] && reader.damage.map(\.segment).contains(1), "\(report.damage) \(reader.damage)")
    #expect(disk.contents == before)
    #expect(Set(try WriteAheadLog.verify(logPath, options: .small(), on: disk).damage.map(\.segment)) == [1, 2, 3])
  }

  @Test func absoluteRefusesATornTail() throws {
    let disk = SimulatedFileSystem()
    let log = try WriteAheadLog.openSmall(disk)
    try log.append(record(1))
    let end = log.end(durably: true).offset
    try log.append(record(2))
    let path = try #require(disk.segmentPaths.first)
    let crashed = disk.crash(.nothingKept)
    crashed.cut(path, to: end + 20)
    #expect(throws: WALError.tornTail(segment: 1, offset: end)) { try WriteAheadLog.openSmall(crashed) { $0.recovery = .absolute } }
    let (reopened, report) = try WriteAheadLog.open(logPath, options: .small(), on: crashed)
    #expect(report.tornBytes > 0 && report.tornBytes <= 20 && !report.wasClosed)
    #expect(try reopened.sequences() == [1])
  }
}
