import StrataDisk
import StrataJobs
import StrataWriteAheadLog
import Synchronization

/// One merge: copies what the index still points to out of some segments into new ones, in bounded steps, and installs the result in one
/// manifest edit. Dropped before that, it leaves temporary files and nothing else.
final class MergeRun {
  private let store: Bitcask
  private let loading: IndexLoading
  private let inputs: [Segment]
  /// Inputs in which damage was found: what is sound in them is copied, and they stay.
  private var damaged: Set<UInt32>
  private var rule: TombstoneRule
  private var outputs: [MergeOutput] = []
  private var facts: [SegmentFacts] = []
  private var next = 0
  private var scanner: SegmentScanner?
  private var hasDroppedTombstones = false
  /// Expired records that became tombstones, or went: the index is to forget them.
  private var expired: [(hash: KeyHash, location: Location)] = []
  private(set) var report = MergeReport()
  private var isFinished = false

  init(_ store: Bitcask, _ inputs: [Segment]) {
    self.store = store
    self.inputs = inputs
    damaged = Set(inputs.filter(\.isDamaged).map(\.id))
    loading = IndexLoading(
      index: store.index, table: store.table, store: store.manifest.state.store, fileSystem: store.fileSystem, mode: store.options.recovery)
    rule = TombstoneRule(staying: [], loading: loading)
    begin()
  }

  deinit { if !isFinished { discard() } }

  private func begin() {
    let leaving = Set(inputs.map(\.id)).subtracting(damaged)
    rule = TombstoneRule(staying: store.currentSegments().filter { !leaving.contains($0.id) }, loading: loading)
    report = MergeReport()
    report.inputs = inputs.map(\.id)
    report.bytesBefore = inputs.reduce(0) { $0 + $1.dataBytes + SegmentHeader.bytes }
    hasDroppedTombstones = false
    expired = []
    next = 0
    scanner = nil
  }

  /// Removes every file the run has written.
  func discard() {
    for output in outputs { output.discard() }
    outputs = []
    facts = []
  }

  /// Moves about `budget` bytes.
  func step(budget: Int) throws(BitcaskError) -> JobStep {
    do throws(BitcaskError) {
      var moved = 0
      while moved < max(1, budget) {
        if scanner == nil {
          guard next < inputs.count else {
            try install()
            return .done
          }
          scanner = SegmentScanner(inputs[next].file, seal: inputs[next].seal, to: inputs[next].currentFacts.length)
          next += 1
        }
        moved += try copyOne(from: inputs[next - 1])
      }
      return .progress(bytes: moved)
    } catch {
      if !isFinished { discard() }
      isFinished = true
      throw error
    }
  }

  /// Treats the scanner's next item; returns how many bytes it was.
  private func copyOne(from segment: Segment) throws(BitcaskError) -> Int {
    guard let scanner, let item = try disk({ () throws(DiskError) in try scanner.next() }) else {
      scanner = nil
      return 1
    }
    switch item {
    case .gap(let range, _):
      try found(Damage(segment: segment.id, path: segment.path, offset: range.lowerBound, length: UInt64(range.count), kind: .region))
      return range.count
    case .record(let header, let offset, let isSound):
      let location = Location(segment: segment.id, offset: offset, length: UInt32(header.recordBytes))
      let key = scanner.withKey { [UInt8]($0) }
      let hash = key.withUnsafeBytes { KeyHash(of: $0) }
      if !isSound {
        let kind = Damage.Kind.record(sequence: header.sequence, keyHash: hash.value)
        try found(Damage(segment: segment.id, path: segment.path, offset: offset, length: UInt64(header.recordBytes), kind: kind))
        // A dead record's damage costs nobody anything, but its key may be what is damaged elsewhere: the file stays.
        return header.recordBytes
      }
      try copy(header, key, hash, location, segment)
      return header.recordBytes
    }
  }

  /// Notes damage. Tombstones dropped on the strength of a segment that now turns out to stay would set free older values in it: then the
  /// run starts again, knowing better.
  private func found(_ damage: Damage) throws(BitcaskError) {
    if damaged.insert(damage.segment).inserted {
      if let segment = inputs.first(where: { $0.id == damage.segment }) { _ = segment.markDamaged() }
      if hasDroppedTombstones {
        discard()
        begin()
        return
      }
      let leaving = Set(inputs.map(\.id)).subtracting(damaged)
      rule = TombstoneRule(staying: store.currentSegments().filter { !leaving.contains($0.id) }, loading: loading)
    }
    report.damage.append(damage)
  }

  private func copy(_ header: RecordHeader, _ key: [UInt8], _ hash: KeyHash, _ location: Location, _ segment: Segment) throws(BitcaskError) {
    var header = header
    // A sealed batch is complete; its records go on singly. What had been durable then says nothing about the new file.
    header.flags.subtract(.batch)
    header.durableLag = RecordHeader.unstatedLag
    if header.isTombstone {
      // A later value of the key shields older ones as well as the tombstone did.
      let isShielded = store.index.keepsKeys && key.withUnsafeBytes { store.index.lookup(hash, $0) } != nil
      if isShielded { return drop() }
      if try rule.mayDrop(header.sequence, hash) { return drop() }
      return try write(header, key, [], hash, location)
    }
    guard store.index.pointsTo(location, hash) else {
      report.recordsDropped += 1
      return
    }
    if hasExpired(header.expiry) {
      expired.append((hash, location))
      if try rule.mayDrop(header.sequence, hash) { return drop() }
      header.flags = .tombstone
      (header.expiry, header.valueLength) = (0, 0)
      report.recordsDropped += 1
      return try write(header, key, [], hash, location)
    }
    guard let (_, bytes) = try disk({ () throws(DiskError) in try segment.readRecord(at: location) }) else {
      try found(
        Damage(
          segment: segment.id, path: segment.path, offset: location.offset, length: UInt64(location.length),
          kind: .record(sequence: header.sequence, keyHash: hash.value)))
      return
    }
    let start = RecordHeader.bytes + header.keyLength
    try write(header, key, bytes[start..<(start + header.valueLength)], hash, location)
  }

  private func drop() {
    hasDroppedTombstones = true
    report.recordsDropped += 1
  }

  private func hasExpired(_ expiry: UInt64) -> Bool {
    guard expiry != 0 else { return false }
    let grace = UInt64(max(0, store.options.merge.expiryGrace.nanoseconds / 1_000_000))
    return expiry.addingReportingOverflow(grace).partialValue <= store.options.clock()
  }

  private func write(
    _ header: RecordHeader, _ key: [UInt8], _ value: ArraySlice<UInt8>, _ hash: KeyHash, _ origin: Location
  ) throws(BitcaskError) {
    if let last = outputs.last, facts.count < outputs.count, last.length >= UInt64(store.options.segmentBytes) { try finishOutput() }
    if facts.count == outputs.count { try beginOutput() }
    guard let output = outputs.last else { return }
    let failure = key.withUnsafeBytes { key in
      value.withUnsafeBytes { value -> DiskError? in
        do throws(DiskError) { try output.append(header, key: key, value: value, hash: hash, origin: origin) } catch { return error }
        return nil
      }
    }
    if let failure { throw BitcaskError(failure) }
    report.recordsMoved += 1
  }

  private func beginOutput() throws(BitcaskError) {
    guard let id = store.manifest.takeSegmentNumber() else { throw .outOfSegments(store.directory) }
    let lowest = inputs.map(\.currentFacts.firstSequence).min() ?? 1
    let facts = SegmentFacts(
      id: id, kind: .merged, state: .sealed, salt: .random(in: .min ... .max), created: store.options.clock(), firstSequence: lowest)
    let output = try disk { () throws(DiskError) in
      try MergeOutput(facts, store: store.manifest.state.store, in: store.directory, on: store.fileSystem)
    }
    outputs.append(output)
  }

  private func finishOutput() throws(BitcaskError) {
    guard let output = outputs.last, facts.count < outputs.count else { return }
    facts.append(try disk { () throws(DiskError) in try output.finish() })
  }

  // MARK: Installing

  /// Makes the outputs durable, exchanges them for the inputs in one edit, and points the index at them.
  private func install() throws(BitcaskError) {
    try finishOutput()
    if !outputs.isEmpty { try disk { () throws(DiskError) in try store.fileSystem.syncDirectory(store.directory) } }
    // Records were dropped because of later ones: these must not be lost in a crash that the edit survives.
    try committed { () throws(CommitError) in try store.commit.sync() }
    let opened = try openOutputs()
    var edit = ManifestEdit(added: facts, nextSequence: store.commit.submittedSequence + 1)
    for segment in inputs {
      if damaged.contains(segment.id) { edit.added.append(segment.currentFacts) } else { edit.removed.append(segment.id) }
    }
    // From here on nobody can tell which set is in force, should the edit fail: the files of both stay.
    isFinished = true
    try disk { () throws(DiskError) in try store.manifest.apply(edit) }
    for segment in opened { store.table.add(segment) }
    try redirect(opened)
    for (hash, location) in expired { forget(hash, location) }
    removeInputs(edit.removed)
    report.outputs = facts.map(\.id)
    report.bytesAfter = facts.reduce(0) { $0 + Int($1.length) }
    report.bytesAfter += inputs.filter { damaged.contains($0.id) }.reduce(0) { $0 + $1.dataBytes + SegmentHeader.bytes }
    store.counters.merges.add(1, ordering: .relaxed)
    store.counters.mergedBytes.add(facts.reduce(0) { $0 + $1.length }, ordering: .relaxed)
    store.counters.recordsDropped.add(UInt64(report.recordsDropped), ordering: .relaxed)
  }

  private func openOutputs() throws(BitcaskError) -> [Segment] {
    var opened: [Segment] = []
    for fact in facts {
      let path = FileName.data(fact.id).path(in: store.directory)
      let file = try disk { () throws(DiskError) in try store.fileSystem.open(path, .readWrite) }
      opened.append(Segment(fact, path: path, file: file, trash: store.trash, hasHint: true, reads: store.options.reads))
    }
    return opened
  }

  /// Points index entries that still are where a record came from to where it went. The outputs' hints say which keys, in order.
  private func redirect(_ opened: [Segment]) throws(BitcaskError) {
    for (number, segment) in opened.enumerated() {
      guard let reader = try loading.openHint(segment) else {
        throw .damaged(segment.path, offset: 0, reason: "the hint just written does not read back; reopen the store")
      }
      let origins = outputs[number].origins
      var position = 0
      _ = try disk { () throws(DiskError) in
        try reader.forEach { entry, key in
          defer { position += 1 }
          guard position < origins.count else { return }
          if entry.isTombstone {
            segment.retain(Int(entry.location.length))
            return
          }
          let old = Location(word: origins[position], length: entry.location.length)
          if store.index.relocate(KeyHash(of: key), from: old, to: entry.location) {
            segment.gain(Int(entry.location.length))
            store.table.lose(old)
          }
          segment.note(expiry: entry.expiry)
        }
      }
    }
  }

  private func forget(_ hash: KeyHash, _ location: Location) {
    let removed = store.index.withShard(of: hash) { shard -> Bool in
      guard let slot = shard.table.find(hash, at: location) else { return false }
      store.index.remove(&shard, slot)
      return true
    }
    if removed { store.table.lose(location) }
  }

  private func removeInputs(_ ids: [UInt32]) {
    for id in ids {
      guard let segment = store.table.remove(id) else { continue }
      segment.drop()
      try? store.fileSystem.remove(FileName.hint(id).path(in: store.directory))
    }
  }
}
