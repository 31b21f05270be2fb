import StrataDisk
import StrataRequirements
import Testing

@testable import StrataWriteAheadLog

@Suite struct WriteAheadLogTests {
  let directory = TemporaryDirectory()

  func open(_ change: (inout WALOptions) -> Void = { _ in }) throws -> WriteAheadLog {
    var options = WALOptions()
    options.segmentBytes = 128 << 10
    change(&options)
    return try WriteAheadLog.open(directory.path, options: options).log
  }

  func all(_ log: WriteAheadLog, after: UInt64 = 0) throws -> [WALEntry] {
    let reader = try log.replay(after: after)
    var entries: [WALEntry] = []
    while let entry = try reader.next() { entries.append(entry) }
    return entries
  }

  @Test(.requirement("WriteAheadLog.keep.1")) func sequencesBeginAtOneAndContinueAfterARestart() throws {
    var log = try open()
    #expect(log.lastSequence == 0)
    #expect(try log.append(.put(key: [1], value: [])) == 1)
    #expect(try log.append(.delete(key: [1])) == 2)
    #expect(try log.append(batch: [.put(key: [], value: [7]), .delete(key: [])]) == 3...4)
    #expect(try log.append(batch: []) == nil)
    try log.close()
    log = try open()
    #expect(log.lastSequence == 4)
    #expect(try log.append(.application(kind: 64, payload: [9])) == 5)
    #expect(try all(log).map(\.sequence) == [1, 2, 3, 4, 5])
    #expect(try all(log, after: 3).map(\.content) == [.operation(.delete(key: [])), .operation(.application(kind: 64, payload: [9]))])
    try log.close()
  }
}
