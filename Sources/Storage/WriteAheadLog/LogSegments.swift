import StrataBytes
import StrataDisk
import StrataJobs
import SystemPackage

/// The segment files of one log: creates, begins, seals, recycles and lists them.
final class LogSegments: SegmentSource {
  /// One segment of the log, oldest first.
  struct Segment: Sendable, Hashable {
    var header: SegmentHeader
    var path: FilePath
    /// `nil` for the active segment.
    var sealed: SealedSegment?

    var number: UInt64 { header.number }
  }

  /// What the next segment's header says about the one before; fixed under the commit lock at the moment of rotation.
  private struct Handover {
    var seal: Seal
    var lowWater: UInt64
    var checkpoint: CheckpointPlace?
    var file: (any File)?
    var end: UInt64 = 0
  }

  private struct State {
    var segments: [Segment] = []
    var handovers: [UInt64: Handover] = [:]
    /// Recycled files by name, their names durable.
    var free: [String] = []
    /// Salt and recycling of segments prepared but not begun.
    var prepared: [UInt64: (name: String, isRecycled: Bool)] = [:]
    /// What readers see. Raised when the record that says so is placed.
    var lowWater: UInt64 = 0
    /// What files may be removed by: the part of it that is on the device.
    var durableLowWater: UInt64 = 0
    var isReclaiming = false
    /// Somebody asked while files were being removed.
    var reclaimsAgain = false
    var checkpoint: CheckpointPlace?
    /// Readers that have a segment's file open.
    var readers: [UInt64: Int] = [:]
    var pins: [ObjectIdentifier: PinState] = [:]
    var createdSegments = 0
    var recycledSegments = 0
  }

  /// What a pin holds on to.
  struct PinState {
    var name: String
    var sequence: UInt64
    var maxBytes: Int
    var isLost = false
  }

  let directory: FilePath
  let fileSystem: any FileSystem
  let options: WALOptions
  let logID: LogID
  /// A monitor for its lock alone, which the thread sanitizer understands.
  private let state: Monitor<State>
  let frames = FrameState()

  /// Touched only inside `submit`'s encoder and `seal`, both of which run under the commit lock.
  final class FrameState: @unchecked Sendable {
    // Sendable because of the lock named above.
    var seed: UInt32 = 0
    var seededSegment: UInt64 = 0
    var digest: UInt32 = 0

    /// The checksum seed of the placement's segment; starts the digest afresh where the segment is new.
    func seed(for placement: Placement) -> UInt32 {
      if placement.segment != seededSegment {
        seed = Frame.seed(salt: placement.salt, segment: placement.segment)
        seededSegment = placement.segment
        digest = 0
      }
      return seed
    }
  }

  init(
    directory: FilePath, fileSystem: any FileSystem, options: WALOptions, logID: LogID, segments: [Segment], lowWater: UInt64,
    checkpoint: CheckpointPlace?, free: [String]
  ) {
    self.directory = directory
    self.fileSystem = fileSystem
    self.options = options
    self.logID = logID
    var initial = State()
    initial.segments = segments
    initial.lowWater = lowWater
    initial.durableLowWater = lowWater
    initial.checkpoint = checkpoint
    initial.free = free
    state = Monitor(initial)
  }

  // MARK: Catalogue

  var lowWater: UInt64 { state.withLock { $0.lowWater } }
  var durableLowWater: UInt64 { state.withLock { $0.durableLowWater } }
  var checkpoint: CheckpointPlace? { state.withLock { $0.checkpoint } }
  var segments: [Segment] { state.withLock { $0.segments } }
  var counts: (created: Int, recycled: Int) { state.withLock { ($0.createdSegments, $0.recycledSegments) } }

  /// Records where a checkpoint lies; called under the commit lock.
  func note(checkpoint place: CheckpointPlace) { state.withLock { $0.checkpoint = place } }

  func raise(lowWater sequence: UInt64) { state.withLock { $0.lowWater = max($0.lowWater, sequence) } }

  func raise(durableLowWater sequence: UInt64) { state.withLock { $0.durableLowWater = max($0.durableLowWater, sequence) } }

  /// The segment to read for the first sequence after `sequence`, registered as being read.
  func beginReading(after sequence: UInt64) -> Segment? {
    state.withLock { state in
      let found = state.segments.last { $0.header.firstSequence <= sequence &+ 1 } ?? state.segments.first
      if let found { state.readers[found.number, default: 0] += 1 }
      return found
    }
  }

  /// The segment behind `number`, registered as being read in its place; with `overGaps` the next there is.
  func continueReading(after number: UInt64, overGaps: Bool) -> Segment? {
    state.withLock { state in
      guard let next = state.segments.first(where: { $0.number > number }), overGaps || next.number == number + 1 else { return nil }
      Self.release(number, &state)
      state.readers[next.number, default: 0] += 1
      return next
    }
  }

  func endReading(_ number: UInt64) { state.withLock { Self.release(number, &$0) } }

  private static func release(_ number: UInt64, _ state: inout State) {
    guard let count = state.readers[number] else { return }
    state.readers[number] = count > 1 ? count - 1 : nil
  }

  func path(_ name: String) -> FilePath { directory.appending(name) }

  // MARK: SegmentSource

  var sealBytes: Int { Seal.bound }

  func prepare(_ number: UInt64, atLeast bytes: UInt64) throws(DiskError) -> PreparedSegment {
    let recycled = state.withLock { $0.free.popLast() }
    let name = recycled ?? SegmentName.free(number)
    let file = try fileSystem.open(path(name), .create)
    let length = UInt64(SegmentHeader.bytes) + bytes
    var written = try file.size()
    do {
      if written < length { try file.allocate(written..<length) }
    } catch {
      // A file that could not be filled is no use to anyone, and its space is wanted.
      try? file.close()
      try? fileSystem.remove(path(name))
      throw error
    }
    let isRecycled = written > 0
    written = max(written, UInt64(SegmentHeader.bytes))
    state.withLock { state in
      state.prepared[number] = (name, isRecycled)
      if recycled == nil { state.createdSegments += 1 } else { state.recycledSegments += 1 }
    }
    return PreparedSegment(
      number: number, file: file, salt: options.entropy(), dataStart: UInt64(SegmentHeader.bytes), allocated: length, overwritable: written)
  }

  func begin(_ segment: PreparedSegment, firstSequence: UInt64, predecessor: SealedSegment) throws(DiskError) {
    let (handover, prepared) = state.withLock { state in
      (state.handovers.removeValue(forKey: predecessor.number), state.prepared.removeValue(forKey: segment.number))
    }
    var header = SegmentHeader(logID: logID, number: segment.number, salt: segment.salt, firstSequence: firstSequence)
    if predecessor.number > 0 {
      header.predecessor = .init(
        number: predecessor.number, lastSequence: predecessor.lastSequence, length: predecessor.length, digest: handover?.seal.digest ?? 0)
    }
    header.lowWater = handover?.lowWater ?? lowWater
    header.checkpoint = handover.map { $0.checkpoint } ?? checkpoint
    header.groupAlignment = UInt32(options.padGroups)
    header.createdMilliseconds = options.clock()
    header.isRecycled = prepared?.isRecycled ?? false
    let name = SegmentName.make(number: segment.number, firstSequence: firstSequence)
    try segment.file.write(header.encoded(), at: 0)
    try segment.file.sync(.full)
    try fileSystem.rename(path(prepared?.name ?? SegmentName.free(segment.number)), to: path(name), replacing: true)
    try fileSystem.syncDirectory(directory)
    if let handover, let file = handover.file { try hand(over: handover.seal, in: file, of: predecessor, at: handover.end) }
    state.withLock { $0.segments.append(Segment(header: header, path: path(name), sealed: nil)) }
    invalidatePins()
  }

  func seal(_ buffer: UnsafeMutableRawBufferPointer, at placement: Placement) -> Int {
    let seed = frames.seed(for: placement)
    let seal = Seal(lastSequence: placement.sequence - 1, digest: frames.digest, reason: .rotated)
    state.withLock { state in
      state.handovers[placement.segment] = Handover(seal: seal, lowWater: state.lowWater, checkpoint: state.checkpoint)
    }
    return seal.encode(buffer, at: placement.offset, seed: seed)
  }

  func sealed(_ segment: SealedSegment, file: any File) throws(DiskError) {
    state.withLock { state in
      state.handovers[segment.number]?.file = file
      state.handovers[segment.number]?.end = segment.length
      if let index = state.segments.firstIndex(where: { $0.number == segment.number }) { state.segments[index].sealed = segment }
    }
  }

  /// Writes behind a sealed segment's end that its successor exists, cuts what was reserved beyond, and closes it. From then on the
  /// successor's absence is known to be a loss.
  func hand(over seal: Seal, in file: any File, of segment: SealedSegment, at end: UInt64) throws(DiskError) {
    guard let header = segments.first(where: { $0.number == segment.number })?.header else { return }
    var handover = seal
    handover.reason = .handover
    let bytes = handover.encoded(at: end, seed: Frame.seed(salt: header.salt, segment: header.number))
    try file.write(bytes, at: end)
    try file.truncate(to: end + UInt64(bytes.count))
    try file.sync(.full)
    try file.close()
  }

  /// Adds the facts of a segment that recovery ended, so that ``begin(_:firstSequence:predecessor:)`` can hand over.
  func note(recovered segment: SealedSegment, seal: Seal, file: any File, end: UInt64) {
    state.withLock { state in
      state.handovers[segment.number] = Handover(seal: seal, lowWater: state.lowWater, checkpoint: state.checkpoint, file: file, end: end)
      if let index = state.segments.firstIndex(where: { $0.number == segment.number }) { state.segments[index].sealed = segment }
    }
  }

  // MARK: Truncation

  /// Removes whole segments whose records are all at or below the durable low-water mark and which no pin needs, oldest first. One caller
  /// at a time does the work; who comes meanwhile leaves it to that one.
  func reclaim() throws(DiskError) {
    let isFree = state.withLock { state in
      state.reclaimsAgain = state.isReclaiming
      defer { state.isReclaiming = true }
      return !state.isReclaiming
    }
    guard isFree else { return }
    do {
      repeat { try removeDoomed() } while endReclaiming()
    } catch {
      state.withLock { $0.isReclaiming = false }
      throw error
    }
  }

  /// Returns whether there is more to do; otherwise lets the next caller in.
  private func endReclaiming() -> Bool {
    state.withLock { state in
      defer { state.reclaimsAgain = false }
      state.isReclaiming = state.reclaimsAgain
      return state.reclaimsAgain
    }
  }

  private func removeDoomed() throws(DiskError) {
    let doomed = state.withLock { state -> [(segment: Segment, recycles: Bool)] in
      let held = state.pins.values.filter { !$0.isLost }.map(\.sequence).min() ?? .max
      let keepAbove = min(state.durableLowWater, held)
      var doomed: [(segment: Segment, recycles: Bool)] = []
      while state.segments.count > 1, let first = state.segments.first, let sealed = first.sealed, sealed.lastSequence <= keepAbove {
        let recyclable = doomed.count(where: \.recycles) + state.free.count < options.recycledSegments
        doomed.append((first, recyclable && state.readers[first.number] == nil))
        state.segments.removeFirst()
      }
      return doomed
    }
    guard !doomed.isEmpty else { return }
    var recycled: [String] = []
    for (segment, recycles) in doomed {
      if recycles {
        let name = SegmentName.free(segment.number)
        try fileSystem.rename(segment.path, to: path(name), replacing: true)
        recycled.append(name)
      } else {
        try fileSystem.remove(segment.path)
      }
    }
    // Only a file whose old name is durably gone may be overwritten.
    try fileSystem.syncDirectory(directory)
    state.withLock { $0.free += recycled }
  }

  // MARK: Pins

  /// Registers a pin, unless records it wants were given up.
  func add(pin: ObjectIdentifier, _ pinState: PinState) throws(WALError) {
    try state.withLock { (state) throws(WALError) in
      guard pinState.sequence >= state.lowWater else { throw .sequenceTruncated(first: state.lowWater + 1) }
      state.pins[pin] = pinState
    }
  }

  func remove(pin: ObjectIdentifier) { _ = state.withLock { $0.pins.removeValue(forKey: pin) } }
  func pin(_ id: ObjectIdentifier) -> PinState? { state.withLock { $0.pins[id] } }
  func advance(pin id: ObjectIdentifier, to sequence: UInt64) {
    state.withLock { state in
      if let present = state.pins[id]?.sequence { state.pins[id]?.sequence = max(present, sequence) }
    }
  }

  /// Gives up pins that retain more than they may.
  func invalidatePins() {
    state.withLock { state in
      for (id, pin) in state.pins where !pin.isLost {
        let retained = state.segments.filter { ($0.sealed?.lastSequence ?? .max) > pin.sequence }
          .reduce(UInt64(0)) { $0 + ($1.sealed?.length ?? 0) }
        if retained > UInt64(max(0, pin.maxBytes)) { state.pins[id]?.isLost = true }
      }
    }
  }
}
