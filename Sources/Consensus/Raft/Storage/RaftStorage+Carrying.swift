import StrataNodes
import StrataWriteAheadLog

// A group that writes nothing for long still needs its few records, and they would keep the log's beginning. So they are written anew at its end, as
// TiKV's raft-engine rewrites what its purge meets.
extension RaftStorage {
  /// A group that needs more than this is left to compaction, which its snapshots lead to.
  static let maxCarriedBytes = 1 << 20
  /// Bytes of records held in memory for one call.
  static let maxCarriedAtOnce = 32 << 20

  /// Writes anew, at the log's end, the records of groups that have written nothing since `sequence`, then gives up the log's beginning as far as it
  /// is needed no more. Durable on return. Reads the log from its first record to `sequence`; other groups go on meanwhile.
  ///
  /// - Returns: how many groups it was done for: not for those that wrote meanwhile, or that need more than a megabyte.
  /// - Throws: ``RaftStorageError/log(_:)``; every group's older records then still stand.
  @discardableResult
  public func carryGroups(idleSince sequence: SequenceNumber) throws(RaftStorageError) -> Int {
    let idle = needed.withLock { groups in groups.filter { ($0.value.last ?? .max) < sequence } }
    guard !idle.isEmpty else { return 0 }
    let found = try records(of: idle, before: sequence)
    var carried = 0
    var last: SequenceNumber?
    for (group, records) in found.sorted(by: { $0.key < $1.key }) {
      guard let known = idle[group], let newest = try carry(group, known, records) else { continue }
      carried += 1
      last = newest
    }
    if let last { try waitUntilDurable(last) }
    try release()
    return carried
  }

  /// What the log holds of these groups, for those of which it was all found and is little.
  private func records(
    of groups: [UInt64: Needed], before end: SequenceNumber
  ) throws(RaftStorageError) -> [UInt64: [(sequence: SequenceNumber, payload: [UInt8])]] {
    var wanted: [SequenceNumber: UInt64] = [:]
    for (group, needed) in groups { for sequence in needed.sequences { wanted[sequence] = group } }
    var found: [UInt64: [(sequence: SequenceNumber, payload: [UInt8])]] = [:]
    var bytes: [UInt64: Int] = [:]
    var total = 0
    let reader: WALReader
    do throws(WALError) { reader = try log.replay() } catch { throw .log(error) }
    while total < Self.maxCarriedAtOnce {
      let entry: WALEntry?
      do throws(WALError) { entry = try reader.next() } catch { throw .log(error) }
      guard let entry, entry.sequence < end else { break }
      guard let group = wanted[entry.sequence], case .operation(.application(RaftRecord.walKind, let payload)) = entry.content else { continue }
      bytes[group, default: 0] += payload.count
      guard bytes[group, default: 0] <= Self.maxCarriedBytes else {
        total -= found.removeValue(forKey: group)?.reduce(0) { $0 + $1.payload.count } ?? 0
        continue
      }
      total += payload.count
      found[group, default: []].append((entry.sequence, payload))
    }
    return found.filter { group, records in records.count == groups[group]?.sequences.count }
  }

  /// Writes a group's records anew as one unit, unless it has written something since they were looked up.
  private func carry(
    _ group: UInt64, _ known: Needed, _ records: [(sequence: SequenceNumber, payload: [UInt8])]
  ) throws(RaftStorageError) -> SequenceNumber? {
    let batch = records.map { WALRecord.application(kind: RaftRecord.walKind, payload: $0.payload) }
    do throws(WALError) {
      return try needed.withLock { groups throws(WALError) in
        guard groups[group] == known, let range = try log.submit(batch: batch) else { return nil }
        var moved: [SequenceNumber: SequenceNumber] = [:]
        for (offset, record) in records.enumerated() { moved[record.sequence] = range.lowerBound + UInt64(offset) }
        groups[group] = known.moved(moved)
        return range.upperBound
      }
    } catch { throw .log(error) }
  }
}
