import StrataDisk

/// Where the segment last written to ends, and whether what follows is the remains of a cut-short write or damage.
///
/// A crash leaves unsynced sectors in any state, so the first imperfection is *torn* unless some later record proves that the lost bytes
/// had been durable: each record carries the highest sequence known durable when it was formed.
struct TailScan {
  /// End of the last complete record or batch before the first imperfection.
  var validEnd: UInt64
  var lastSequence: UInt64
  var records: UInt64 = 0
  /// Records from here on are not proven durable: the kernel may have lost them after a failed write-back it reported to the dead process.
  var unprovenFrom: UInt64
  /// Whether anything but zeros lies behind `validEnd`.
  var hasRemains = false
  var remainsAreDamage = false

  init(_ file: any File, seal: RecordSeal, firstSequence: UInt64, size: UInt64) throws(DiskError) {
    let start = UInt64(SegmentHeader.bytes)
    (validEnd, unprovenFrom) = (min(start, size), min(start, size))
    lastSequence = firstSequence &- 1
    let scanner = SegmentScanner(file, seal: seal, to: size)
    var proven = firstSequence &- 1
    var isSound = true
    // Sequence and end of the records behind `validEnd` that form a batch not yet ended.
    var batch: (last: UInt64, records: UInt64)?
    var ends: [(sequence: UInt64, end: UInt64)] = []
    while let item = try scanner.next() {
      guard case .record(let header, _, let payload) = item else {
        if case .gap(_, let isZero) = item {
          hasRemains = hasRemains || !isZero
          isSound = false
        }
        continue
      }
      let watermark = header.watermark ?? 0
      if !isSound {
        hasRemains = true
        remainsAreDamage = remainsAreDamage || watermark > lastSequence
        continue
      }
      let expected = (batch?.last ?? lastSequence) &+ 1
      let startsInBatch = batch != nil
      guard payload, header.sequence == expected, !startsInBatch || !header.flags.isDisjoint(with: .batch) else {
        isSound = false
        hasRemains = true
        remainsAreDamage = watermark > lastSequence
        continue
      }
      proven = max(proven, watermark)
      if header.flags.contains(.batchMiddle) {
        batch = (header.sequence, (batch?.records ?? 0) + 1)
        continue
      }
      lastSequence = header.sequence
      records += (batch?.records ?? 0) + 1
      batch = nil
      validEnd = scanner.position
      ends.append((lastSequence, validEnd))
      // Only the ends from the proven one on matter.
      if ends.count > 4096, let keep = ends.lastIndex(where: { $0.sequence <= proven }) { ends.removeFirst(keep) }
    }
    if batch != nil { hasRemains = true }
    if let last = ends.last(where: { $0.sequence <= proven }) { unprovenFrom = last.end }
  }
}
