import StrataDisk
import StrataJobs
import Synchronization

/// Loads segments into a directory: hints where they agree with their data file in every respect, the data itself elsewhere.
struct IndexLoading: Sendable {
  let index: KeyDirectory
  let table: SegmentTable
  let store: StoreID
  let fileSystem: any FileSystem
  let mode: BitcaskOptions.RecoveryMode

  struct Outcome: Sendable {
    var report = RecoveryReport()
    /// Segments that deserve a hint and have none.
    var unhinted: [Segment] = []
    var failure: BitcaskError?

    mutating func merge(_ other: Outcome) {
      report.lastSequence = max(report.lastSequence, other.report.lastSequence)
      report.hintsLoaded += other.report.hintsLoaded
      report.segmentsScanned += other.report.segmentsScanned
      report.bytesScanned += other.report.bytesScanned
      report.damage += other.report.damage
      unhinted += other.unhinted
      if failure == nil { failure = other.failure }
    }
  }

  /// Loads `segments`, on several threads where there is more than one of each.
  func load(_ segments: [Segment], threads: Int) throws(BitcaskError) -> Outcome {
    let total: Outcome
    if threads > 1, segments.count > 1 {
      let next = Atomic<Int>(0)
      let outcomes = Mutex<[Outcome]>([])
      let shared = Shared(next: next, outcomes: outcomes)
      let workers = (0..<min(threads, segments.count)).map { number in
        Worker(name: "recover-\(number)") { shared.run { index in index < segments.count ? loadCatching(segments[index]) : nil } }
      }
      for worker in workers { worker.join() }
      var merged = Outcome()
      for outcome in shared.outcomes.withLock({ $0 }) { merged.merge(outcome) }
      total = merged
    } else {
      var merged = Outcome()
      for segment in segments where merged.failure == nil { merged.merge(loadCatching(segment)) }
      total = merged
    }
    if let failure = total.failure { throw failure }
    return total
  }

  private final class Shared: Sendable {
    let next: Atomic<Int>
    let outcomes: Mutex<[Outcome]>

    init(next: consuming Atomic<Int>, outcomes: consuming Mutex<[Outcome]>) {
      self.next = next
      self.outcomes = outcomes
    }

    func run(_ body: (Int) -> Outcome?) {
      while let outcome = body(next.wrappingAdd(1, ordering: .relaxed).oldValue) { outcomes.withLock { $0.append(outcome) } }
    }
  }

  private func loadCatching(_ segment: Segment) -> Outcome {
    var outcome = Outcome()
    do throws(BitcaskError) { try load(segment, into: &outcome) } catch { outcome.failure = error }
    return outcome
  }

  private func load(_ segment: Segment, into outcome: inout Outcome) throws(BitcaskError) {
    if try loadHint(segment, &outcome.report) { return }
    try scan(segment, to: segment.currentFacts.length, &outcome.report)
    if outcome.report.damage.allSatisfy({ $0.kind != .region }) { outcome.unhinted.append(segment) }
  }

  private func loadHint(_ segment: Segment, _ report: inout RecoveryReport) throws(BitcaskError) -> Bool {
    guard let reader = try openHint(segment) else { return false }
    var offers = OfferBatch()
    let used = try disk { () throws(DiskError) in
      try reader.forEach { entry, key in enter(entry, key, segment, &offers) }
    }
    handOver(&offers)
    guard used else { return false }
    segment.markHint(true)
    report.hintsLoaded += 1
    report.lastSequence = max(report.lastSequence, reader.highestSequence)
    return true
  }

  /// The hint of a sealed segment, if it may be believed.
  func openHint(_ segment: Segment) throws(BitcaskError) -> HintReader? {
    let facts = segment.currentFacts
    guard facts.state == .sealed else { return nil }
    let path = FileName.hint(segment.id).path(in: segment.path.parentDirectory)
    do throws(DiskError) {
      let file = try fileSystem.open(path, .read)
      let identity = HintIdentity(store: store, segment: segment.id, salt: segment.salt)
      guard let reader = try HintReader(file, expecting: identity, dataLength: facts.length), reader.count == facts.records else { return nil }
      return reader
    } catch {
      // Whatever keeps a hint from being read, the data says the same.
      return nil
    }
  }

  private func enter(_ entry: HintEntry, _ key: UnsafeRawBufferPointer, _ segment: Segment, _ offers: inout OfferBatch) {
    let location = entry.isTombstone ? entry.location.asDeleted : entry.location
    if !entry.isTombstone { segment.note(expiry: entry.expiry) }
    if entry.isTombstone, segment.kind == .merged { segment.retain(Int(entry.location.length)) }
    offers.add(KeyHash(of: key), key, DirectoryEntry(location: location, expiry: entry.expiry), sequence: entry.sequence)
    if offers.isFull { handOver(&offers) }
  }

  private func handOver(_ offers: inout OfferBatch) { offers.handOver(to: index) { key, other in holds(key, at: other) } }

  /// Whether the record at `location` is of `key` (fingerprint mode).
  private func holds(_ key: UnsafeRawBufferPointer, at location: Location) -> Bool {
    guard let segment = table.segment(location.segment) else { return false }
    return (try? segment.readKey(at: location))?.elementsEqual(key) ?? false
  }

  /// Reads every record of a segment. Batches are taken as a whole or, where damage hides their end, not at all.
  func scan(_ segment: Segment, to end: UInt64, _ report: inout RecoveryReport) throws(BitcaskError) {
    report.segmentsScanned += 1
    let scanner = SegmentScanner(segment.file, seal: segment.seal, to: end)
    var batch: [(entry: HintEntry, key: [UInt8])] = []
    var offers = OfferBatch()
    while let item = try disk({ () throws(DiskError) in try scanner.next() }) {
      switch item {
      case .gap(let range, _):
        try damaged(
          Damage(segment: segment.id, path: segment.path, offset: range.lowerBound, length: UInt64(range.count), kind: .region), segment, &report)
        batch = []
      case .record(let header, let offset, let isSound):
        guard header.flags.isSubset(of: .understood) else {
          throw .unsupportedVersion(segment.path, found: Int(header.flags.rawValue), supported: Int(RecordHeader.Flags.understood.rawValue))
        }
        let location = Location(segment: segment.id, offset: offset, length: UInt32(header.recordBytes))
        let entry = HintEntry(sequence: header.sequence, location: location, isTombstone: header.isTombstone, expiry: header.expiry)
        if !isSound {
          let hash = scanner.withKey { KeyHash(of: $0).value }
          let kind = Damage.Kind.record(sequence: header.sequence, keyHash: hash)
          let damage = Damage(segment: segment.id, path: segment.path, offset: offset, length: UInt64(header.recordBytes), kind: kind)
          try damaged(damage, segment, &report)
        }
        report.lastSequence = max(report.lastSequence, header.sequence)
        if header.flags.contains(.batchMiddle) {
          batch.append((entry, scanner.withKey { [UInt8]($0) }))
          continue
        }
        for held in batch { held.key.withUnsafeBytes { enter(held.entry, $0, segment, &offers) } }
        batch = []
        scanner.withKey { enter(entry, $0, segment, &offers) }
      }
    }
    handOver(&offers)
    report.bytesScanned += scanner.bytesRead
  }

  /// Damage whose key is known costs that record only; else nobody can tell which key would show an older value, and only salvage goes on.
  private func damaged(_ damage: Damage, _ segment: Segment, _ report: inout RecoveryReport) throws(BitcaskError) {
    report.damage.append(damage)
    _ = segment.markDamaged()
    if mode == .absolute { throw .damaged(damage.path, offset: damage.offset, reason: damage.description) }
    if case .record = damage.kind { return }
    guard mode == .salvage else { throw .damaged(damage.path, offset: damage.offset, reason: damage.description) }
  }
}
