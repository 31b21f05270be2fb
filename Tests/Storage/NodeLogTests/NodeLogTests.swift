import StrataBytes
import StrataDisk
import StrataHost
import StrataJobs
import StrataNodes
import StrataRequirements
import StrataSimulation
import StrataWriteAheadLog
import SystemPackage
import Testing

@testable import StrataNodeLog

/// A log of any node's records: nothing acknowledged is lost, and a checkpoint is there wholly or not at all.
struct NodeLogTests {
  struct Numbers: RecordCodec {
    func encode(_ record: UInt64, into writer: inout ByteWriter) { writer.writeUInt64(record) }

    func decode(_ bytes: RawSpan) throws(DecodeError) -> UInt64 {
      var reader = ByteReader(bytes)
      let number = try reader.readUInt64()
      try reader.expectEnd(of: "number")
      return number
    }
  }

  typealias Log = WriteAheadNodeLog<Numbers>

  static func open(_ disk: any FileSystem, toleratesDamage: Bool = false) throws(WALError) -> Log {
    var options = WALOptions()
    options.segmentBytes = 4096
    options.zeroAheadBytes = 0
    options.recycledSegments = 0
    options.clock = { 0 }
    options.entropy = { 7 }
    return try Log("/node", codec: Numbers(), options: options, toleratesDamage: toleratesDamage, on: disk)
  }

  /// Calls something that reports durability and waits for the report.
  static func wait(_ body: (@escaping @Sendable (DiskError?) -> Void) -> Void) -> DiskError? {
    let report = Monitor<DiskError??>(nil)
    body { error in
      report.withLock { $0 = .some(error) }
      report.broadcast()
    }
    return report.wait(until: { $0 }) ?? nil
  }

  @Test func whatWasWrittenIsFoundAgainInOrder() throws {
    let disk = SimulatedFileSystem()
    var log = try Self.open(disk)
    #expect(try log.recover().records == [])
    log.append([[1], []], whenDurable: nil)
    #expect(Self.wait { log.append([[2, 3], [4]], whenDurable: $0) } == nil)
    try log.close()
    log = try Self.open(disk)
    #expect(try log.recover().records == [1, 2, 3, 4])
    #expect(Self.wait { log.checkpoint([10, 4], whenDurable: $0) } == nil)
    #expect(Self.wait { log.append([[5]], whenDurable: $0) } == nil)
    try log.close()
    log = try Self.open(disk)
    #expect(try log.recover().records == [10, 4, 5])
    #expect(try !log.recover().isDamaged)
    try log.close()
  }

  @Test func checkpointsKeepTheLogShort() throws {
    let disk = SimulatedFileSystem()
    let log = try Self.open(disk)
    for round in 0..<50 as Range<UInt64> {
      for number in 0..<100 as Range<UInt64> { log.append([[round * 100 + number]], whenDurable: nil) }
      #expect(Self.wait { log.checkpoint([round], whenDurable: $0) } == nil)
    }
    try log.close()
    let bytes = disk.contents.reduce(0) { $0 + $1.bytes.count }
    #expect(bytes < 60_000, "\(bytes)")
    let again = try Self.open(disk)
    #expect(try again.recover().records == [49])
    try again.close()
  }

  @Test func anEmptyCheckpointEmptiesTheLog() throws {
    let disk = SimulatedFileSystem()
    let log = try Self.open(disk)
    log.append([[1, 2]], whenDurable: nil)
    #expect(Self.wait { log.checkpoint([], whenDurable: $0) } == nil)
    #expect(Self.wait { log.append([[]], whenDurable: $0) } == nil)
    try log.close()
    let again = try Self.open(disk)
    #expect(try again.recover().records == [])
    try again.close()
  }

  @Test func afterAFailedSyncEverythingFailsWithTheSameError() throws {
    let disk = SimulatedFileSystem()
    let log = try Self.open(disk)
    #expect(Self.wait { log.append([[1]], whenDurable: $0) } == nil)
    disk.inject(DiskFault(.io, at: .matching { $0.operation == .sync }))
    let first = Self.wait { log.append([[2]], whenDurable: $0) }
    #expect(first != nil)
    #expect(Self.wait { log.append([[3]], whenDurable: $0) } == first)
    #expect(Self.wait { log.checkpoint([4], whenDurable: $0) } == first)
    #expect(throws: WALError.self) { try log.close() }
  }

  @Test func whatIsNoNodesLogIsRefused() throws {
    let disk = SimulatedFileSystem()
    for (kind, payload, text) in [
      (96, [1] as [UInt8], "record 1 of the node's log cannot be read: byte 0: ends inside a field that needs 8 bytes, 1 are left"),
      (97, [2], "record 1 begins a checkpoint of a version this build does not know; use a newer build"),
      (80, [], "record 1 has kind 80, which no node's log holds; this log is something else's"),
    ] as [(UInt8, [UInt8], String)] {
      let disk = disk.fork()
      let wal = try WriteAheadLog.open("/node", on: disk).log
      try wal.append(.application(kind: kind, payload: payload))
      try wal.close()
      let log = try Self.open(disk)
      let error = #expect(throws: RecoveryError.self) { try log.recover() }
      #expect(error?.description == text)
      try log.close()
    }
  }

  @Test func damageIsNotCutOffSilently() throws {
    let disk = SimulatedFileSystem()
    let log = try Self.open(disk)
    for number in 0..<600 as Range<UInt64> { #expect(Self.wait { log.append([[number]], whenDurable: $0) } == nil) }
    try log.close()
    let first = try #require(try disk.list("/node").filter { $0.hasSuffix(".seg") }.min())
    let path = FilePath("/node").appending(first)
    let middle = try #require(disk.bytes(of: path)).count / 2
    #expect(disk.flipBit(UInt64(8 * middle), of: path))
    let strict = Result { () throws(WALError) in try Self.open(disk) }
    switch strict {
    case .failure: break
    case .success(let log):
      #expect(throws: RecoveryError.self) { try log.recover() }
      try log.close()
    }
    let tolerant = try Self.open(disk, toleratesDamage: true)
    let found = try tolerant.recover()
    #expect(found.isDamaged && found.records.count < 600 && found.records == Array(0..<UInt64(found.records.count)))
    try tolerant.close()
  }

  enum Note: Hashable {
    case began(Int)
    case done(Int)
  }

  struct Lost: Error, CustomStringConvertible { let description: String }

  /// The records after a step: every fourth step is a checkpoint that keeps only its own number.
  static func records(after step: Int) -> [UInt64] {
    (0...step).reduce(into: []) { records, step in
      if step % 4 == 3 { records = [UInt64(step) + 1000] } else { records += [UInt64(step), UInt64(step) + 100] }
    }
  }

  @Test func nothingAcknowledgedIsLostInACrash() throws {
    var options = CrashEnumeration.Options()
    options.singlesPerPoint = testDepth > 1 ? 24 : 2
    options.tearsPerPoint = testDepth > 1 ? 6 : 1
    options.randomsPerPoint = testDepth > 1 ? 4 : 1
    options.crashesPerRecovery = testDepth > 1 ? 8 : 1
    let report = try CrashEnumeration(options).run { (disk, ledger: Ledger<Note>) in
      let log = try Self.open(disk)
      for step in 0..<10 {
        ledger.note(.began(step))
        let number = UInt64(step)
        let failure = Self.wait { done in
          if step % 4 == 3 { log.checkpoint([number + 1000], whenDurable: done) } else { log.append([[number], [number + 100]], whenDurable: done) }
        }
        if let failure { throw failure }
        ledger.note(.done(step))
      }
      try log.close()
    } recover: { disk, ledger in
      let log = try Self.open(disk)
      let found = try log.recover()
      let done = ledger.entries.reduce(-1) { if case .done(let step) = $1 { max($0, step) } else { $0 } }
      let begun = ledger.entries.reduce(-1) { if case .began(let step) = $1 { max($0, step) } else { $0 } }
      let possible = (done...max(begun, done)).map { $0 < 0 ? [] : Self.records(after: $0) }
      guard !found.isDamaged, possible.contains(found.records) else {
        throw Lost(description: "holds \(found.records), acknowledged step \(done), begun \(begun)")
      }
      try log.close()
    }
    #expect(report.isClean, "\(report)")
    #expect(report.images > 20)
  }
}
