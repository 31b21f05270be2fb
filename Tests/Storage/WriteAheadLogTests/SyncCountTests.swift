import StrataDisk
import StrataNodes
import StrataRequirements
import StrataSimulation
import Testing

@testable import StrataWriteAheadLog

/// How often a load syncs, against a model of it.
@Suite struct WALSyncCountTests {
  @Test(.requirement("WriteAheadLog.never.11"), arguments: 1...4) func aMixedLoadSyncsAsOftenAsItsModel(seed: Int) throws {
    var random = Random(seed: UInt64(seed))
    let count = random.within(1...7)
    let recorder = RecordingFileSystem(SimulatedFileSystem())
    let log = try WriteAheadLog.openSmall(recorder) {
      $0.durability = .batched(count: count, interval: .seconds(3600))
      $0.segmentBytes = 64 << 20
    }
    recorder.resetTraffic()
    var unsynced = 0
    var syncs = 0
    for step in 0..<400 {
      switch random.below(8) {
      case 0:
        try log.append(batch: [record(1), record(2)])
        (unsynced, syncs) = (0, syncs + 1)
      case 1:
        try log.checkpoint()
        (unsynced, syncs) = (0, syncs + 1)
      case 2:
        try log.sync()
        if unsynced > 0 { syncs += 1 }
        unsynced = 0
      case 3:
        try log.append(record(1), durability: .everyWrite)
        (unsynced, syncs) = (0, syncs + 1)
      default:
        try log.append(record(1))
        unsynced += 1
        if unsynced == count { (unsynced, syncs) = (0, syncs + 1) }
      }
      #expect(recorder.traffic.syncs == syncs, "step \(step), seed \(seed), count \(count)")
    }
    #expect(log.statistics.syncs == UInt64(syncs) && syncs > 100)
  }

  @Test(.requirement("WriteAheadLog.never.11")) func aRotationCostsFourSyncs() throws {
    let recorder = RecordingFileSystem(SimulatedFileSystem())
    let log = try WriteAheadLog.openSmall(recorder) { $0.durability = .none }
    recorder.resetTraffic()
    try log.fillSegment()
    // The segment that ends, the header of the next, the handover; and the directory.
    #expect(recorder.traffic.syncs == 3 && recorder.traffic.directorySyncs == 1)
    try log.sync()
    try log.sync()
    #expect(recorder.traffic.syncs == 4)
  }
}
