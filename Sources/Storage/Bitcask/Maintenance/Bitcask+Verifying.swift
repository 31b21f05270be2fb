import StrataDisk
import StrataJobs
import StrataWriteAheadLog

extension Bitcask {
  /// Reads every record and hint and checks everything; returns what is not as written, and nothing is changed. Blocks.
  ///
  /// - Parameter bytesPerSecond: how fast at most; `nil` for no limit.
  public func verify(bytesPerSecond: Int? = nil) throws(BitcaskError) -> [Damage] {
    var scrub = ScrubJob(self)
    var found: [Damage] = []
    let began = MonotonicClock.now()
    var moved = 0
    let pace = Monitor((), conditions: 1)
    while case .progress(let bytes) = try scrub.scrub(budget: 1 << 20) {
      try checkOpen()
      found += scrub.takeDamage()
      moved += bytes
      guard let bytesPerSecond, bytesPerSecond > 0 else { continue }
      let due = UInt64(Double(moved) / Double(bytesPerSecond) * 1e9)
      let spent = MonotonicClock.now() &- began
      if due > spent { _ = pace.wait(timeout: .nanoseconds(Int64(clamping: due - spent))) { (_: inout Void) -> Void? in nil } }
    }
    return found + scrub.takeDamage()
  }

  /// As the blocking form, on a thread that may wait; suspends.
  public func verify(bytesPerSecond: Int? = nil) async throws(BitcaskError) -> [Damage] {
    try await offload { () throws(BitcaskError) in try self.verify(bytesPerSecond: bytesPerSecond) }
  }
}

/// Reads a store through, a bounded step at a time.
struct ScrubJob {
  private let store: Bitcask
  private var segments: [(segment: Segment, end: UInt64)]
  private var position = 0
  private var scanner: SegmentScanner?
  private var damage: [Damage] = []

  init(_ store: Bitcask) {
    self.store = store
    let (active, _, end) = store.commit.activeSegment
    // Of the active segment, what has been written by now.
    let known = store.manifest.state.segments
    segments = store.table.all.filter { known[$0.id] != nil }.map { segment in
      if !segment.isActive { return (segment, segment.currentFacts.length) }
      return (segment, UInt64(segment.id) == active ? end : UInt64(segment.dataBytes + SegmentHeader.bytes))
    }
  }

  mutating func takeDamage() -> [Damage] {
    defer { damage = [] }
    return damage
  }

  mutating func scrub(budget: Int) throws(BitcaskError) -> JobStep {
    if position == 0, scanner == nil { try committed { () throws(CommitError) in try store.commit.sync() } }
    var moved = 0
    while moved < budget {
      guard position < segments.count else { return .done }
      let (segment, end) = segments[position]
      if scanner == nil {
        try checkHeader(segment)
        scanner = SegmentScanner(segment.file, seal: segment.seal, to: end)
      }
      guard let scanner, let item = try disk({ () throws(DiskError) in try scanner.next() }) else {
        try checkHint(segment)
        scanner = nil
        position += 1
        moved += 1
        continue
      }
      switch item {
      case .gap(let range, _):
        damage.append(Damage(segment: segment.id, path: segment.path, offset: range.lowerBound, length: UInt64(range.count), kind: .region))
        moved += range.count
      case .record(let header, let offset, let isSound):
        moved += header.recordBytes
        if !isSound {
          let hash = scanner.withKey { KeyHash(of: $0).value }
          let kind = Damage.Kind.record(sequence: header.sequence, keyHash: hash)
          damage.append(Damage(segment: segment.id, path: segment.path, offset: offset, length: UInt64(header.recordBytes), kind: kind))
        }
      }
    }
    return .progress(bytes: moved)
  }

  private mutating func checkHeader(_ segment: Segment) throws(BitcaskError) {
    let bytes = try disk { () throws(DiskError) in try segment.file.read(at: 0, count: SegmentHeader.bytes) }
    let header = try? SegmentHeader(decoding: bytes)
    guard header?.salt != segment.salt || header?.segment != segment.id else { return }
    damage.append(Damage(segment: segment.id, path: segment.path, offset: 0, length: UInt64(SegmentHeader.bytes), kind: .header))
  }

  /// A bad hint is no loss, but a surprise at the next opening: it is written anew.
  private func checkHint(_ segment: Segment) throws(BitcaskError) {
    guard segment.hasHint, !segment.isActive else { return }
    let loading = IndexLoading(
      index: store.index, table: store.table, store: store.manifest.state.store, fileSystem: store.fileSystem, mode: store.options.recovery)
    if try loading.openHint(segment) == nil { try store.writeHint(of: segment) }
  }
}
