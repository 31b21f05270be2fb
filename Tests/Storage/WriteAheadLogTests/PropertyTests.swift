import StrataDisk
import StrataNodes
import StrataRequirements
import StrataSimulation
import SystemPackage
import Testing

@testable import StrataWriteAheadLog

/// Random operations, crashes and reopenings against a model: an array of units.
@Suite struct WALPropertyTests {
  /// What a log must be after any history.
  struct Model {
    struct Unit { var range: ClosedRange<UInt64>; var isCheckpoint: Bool }
    var units: [Unit] = []
    var lowWater: UInt64 = 0
    /// A truncation that a failed or crashed call may have done.
    var durable: UInt64 = 0
    var last: UInt64 { units.last?.range.upperBound ?? lowWater }
    var checkpoint: UInt64? { units.last { $0.isCheckpoint }?.range.lowerBound }

    mutating func cut(to last: UInt64) { units.removeAll { $0.range.lowerBound > last } }
  }

  final class Run {
    var random: Random
    var disk: SimulatedFileSystem
    var log: WriteAheadLog
    var model = Model()
    /// Sizes and seeds of records by sequence.
    var sizes: [UInt64: Int] = [:]
    let seed: UInt64
    let options: WALOptions

    init(seed: UInt64) throws {
      self.seed = seed
      random = Random(seed: seed)
      let profiles: [DiskProfile] = [.strictPOSIX, .ext4Ordered, .xfs, .btrfs]
      disk = SimulatedFileSystem(profile: profiles[random.below(4)], random: random.fork("disk"))
      let modes: [Durability] = [.everyWrite, .batched(count: random.within(1...9), interval: .seconds(3600)), .none]
      let mode = modes[random.below(3)]
      let pad = [1, 1, 512, 4096][random.below(4)]
      let recycled = random.below(4)
      options = .small(seed: seed) { options in
        options.durability = mode
        options.padGroups = pad
        options.recycledSegments = recycled
      }
      log = try WriteAheadLog.open(logPath, options: options, on: disk).log
    }

    func next() -> WALRecord {
      let number = model.last + 1
      let size = random.chance(1, in: 40) ? random.below(60_000) : random.below(200)
      sizes[number] = size
      return record(number, count: size)
    }

    func took(_ range: ClosedRange<UInt64>, isCheckpoint: Bool = false) throws {
      try #require(range.lowerBound == model.last + 1, "seed \(seed)")
      model.units.append(.init(range: range, isCheckpoint: isCheckpoint))
      try #require(log.durableSequence <= model.last && log.lastSequence == model.last, "seed \(seed)")
      model.durable = max(model.durable, log.durableSequence)
      switch options.durability {
      case .everyWrite: try #require(model.durable == model.last, "seed \(seed)")
      case .batched(let count, _): try #require(model.last - model.durable < UInt64(count), "seed \(seed)")
      case .none: break
      }
    }

    func step() throws {
      switch random.below(100) {
      case 0..<60:
        let sequence = try log.append(next())
        try took(sequence...sequence)
      case 60..<76:
        var batch: [WALRecord] = []
        let first = model.last + 1
        for index in 0..<UInt64(random.within(1...6)) {
          sizes[first + index] = random.below(100)
          batch.append(record(first + index, count: sizes[first + index] ?? 0))
        }
        try took(try #require(try log.append(batch: batch)))
      case 76..<80:
        let sequence = try log.checkpoint(payload(model.last + 1))
        try took(sequence...sequence, isCheckpoint: true)
      case 80..<84:
        let boundary = model.lowWater + UInt64(random.below(Int(model.last - model.lowWater) + 1))
        try log.truncate(upTo: boundary)
        model.lowWater = boundary
        model.durable = max(model.durable, log.durableSequence)
      case 84..<87: try log.sync()
      case 87..<92: try reopen(after: nil)
      case 92..<95: try reopen(after: disk.fork())
      case 95..<99: try reopen(after: disk.crash(random.chance(1, in: 2) ? .random : .nothingKept))
      default: try check()
      }
    }

    /// Closes, or goes on with the disk that a dead process or machine left.
    func reopen(after survivor: SimulatedFileSystem?) throws {
      if let survivor {
        disk = survivor
      } else {
        try log.close()
        model.durable = model.last
      }
      log = try WriteAheadLog.open(logPath, options: options, on: disk).log
      let last = log.lastSequence
      try #require(last >= model.durable && last <= model.last, "\(last), durable \(model.durable), written \(model.last), seed \(seed)")
      model.cut(to: last)
      try #require(last == model.last, "half of a batch at \(last), seed \(seed)")
      model.durable = last
      try check()
    }

    func check() throws {
      try #require(log.firstSequence == model.lowWater + 1 && log.lastSequence == model.last, "seed \(seed)")
      let expected = model.units.filter { !$0.isCheckpoint }.flatMap { $0.range }.filter { $0 > model.lowWater }
      let after = expected.isEmpty ? 0 : random.chance(1, in: 2) ? 0 : expected[random.below(expected.count)]
      let entries = try log.entries(after: after)
      try #require(entries.map(\.sequence) == expected.filter { $0 > after }, "seed \(seed)")
      for entry in entries {
        let size = sizes[entry.sequence] ?? -1
        try #require(entry.content == .operation(record(entry.sequence, count: size)), "record \(entry.sequence), seed \(seed)")
      }
      if let checkpoint = model.checkpoint, checkpoint > model.lowWater {
        try #require(log.lastCheckpoint == Checkpoint(sequence: checkpoint, payload: payload(checkpoint)), "seed \(seed)")
      }
      let lowWater = model.lowWater
      model.units.removeAll { $0.range.upperBound <= lowWater }
    }
  }

  @Test(.requirement("WriteAheadLog.never.5", "WriteAheadLog.keep.1", "WriteAheadLog.keep.4"), arguments: UInt64(1)...8)
  func anyHistoryLeavesAPrefixWithEverythingAcknowledged(seed: UInt64) throws {
    // A million steps at testDepth 10.
    for part in 0..<UInt64(testDepth * testDepth) {
      let run = try Run(seed: seed << 32 | part)
      for _ in 0..<(testDepth > 1 ? 1250 : 220) { try run.step() }
      try run.check()
    }
  }
}
