import StrataDisk
import StrataJobs
import Synchronization
import SystemPackage

/// A data file in use. References keep it readable: a segment that a merge dropped loses its name when the last one goes.
final class Segment: Sendable {
  let id: UInt32
  let path: FilePath
  let file: any File
  let seal: RecordSeal
  let salt: UInt64
  let kind: SegmentHeader.Kind
  let created: UInt64
  private let trash: SegmentTrash
  /// The file in memory, where values are read that way.
  private let mapping: (any FileMapping)?
  private let mapped: Int

  private let facts: Monitor<SegmentFacts>
  private let active: Atomic<Bool>
  private let hint: Atomic<Bool>
  private let dropped = Atomic<Bool>(false)
  /// Records and bytes that the index points to.
  private let liveRecords = Atomic<Int>(0)
  private let liveBytes = Atomic<Int>(0)
  /// Records taken so far (an active segment's facts do not count them).
  private let taken = Atomic<Int>(0)
  private let takenBytes = Atomic<Int>(0)
  private static let noExpiry = UInt64(Int64.max)
  /// The latest expiry of its records; `noExpiry` as soon as one has none.
  private let lastExpiry = Atomic<UInt64>(0)

  init(_ facts: SegmentFacts, path: FilePath, file: any File, trash: SegmentTrash, hasHint: Bool = false, reads: BitcaskOptions.Reads = .positional) {
    id = facts.id
    self.path = path
    self.file = file
    salt = facts.salt
    kind = facts.kind
    created = facts.created
    seal = RecordSeal(salt: facts.salt, segment: facts.id)
    self.trash = trash
    self.facts = Monitor(facts)
    // Of an active segment all that is reserved: what is written later is seen through the mapping.
    mapping = reads == .mapped ? try? file.mapping(count: Int(clamping: (try? file.size()) ?? 0)) : nil
    mapped = mapping?.bytes.count ?? 0
    active = Atomic(facts.state == .active)
    hint = Atomic(hasHint)
  }

  deinit {
    try? file.close()
    if dropped.load(ordering: .acquiring) { trash.add(id) }
  }

  /// The bytes at `location` in memory, while the segment lives; `nil` where they are not mapped.
  @inline(__always)
  func mappedBytes(at location: Location) -> UnsafeRawBufferPointer? {
    let end = location.offset + UInt64(location.length)
    guard end <= UInt64(mapped), let base = mapping?.bytes.baseAddress else { return nil }
    return UnsafeRawBufferPointer(start: base + Int(location.offset), count: Int(location.length))
  }

  var isActive: Bool { active.load(ordering: .acquiring) }
  var hasHint: Bool { hint.load(ordering: .acquiring) }
  /// What the manifest says or is about to say; `length` of an active segment is not kept up.
  var currentFacts: SegmentFacts { facts.withLock { $0 } }
  var isDamaged: Bool { facts.withLock { $0.isDamaged } }
  var live: (records: Int, bytes: Int) { (liveRecords.load(ordering: .relaxed), liveBytes.load(ordering: .relaxed)) }
  var records: Int { isActive ? taken.load(ordering: .relaxed) : Int(clamping: facts.withLock { $0.records }) }
  var latestExpiry: UInt64 { lastExpiry.load(ordering: .relaxed) }

  /// Bytes of records in it.
  var dataBytes: Int {
    isActive ? takenBytes.load(ordering: .relaxed) : max(0, Int(clamping: facts.withLock { $0.length }) - SegmentHeader.bytes)
  }

  func sealed(_ change: (inout SegmentFacts) -> Void) -> SegmentFacts {
    let result = facts.withLock { facts in
      change(&facts)
      facts.state = .sealed
      return facts
    }
    active.store(false, ordering: .releasing)
    return result
  }

  func change(_ body: (inout SegmentFacts) -> Void) -> SegmentFacts {
    facts.withLock { facts in
      body(&facts)
      return facts
    }
  }

  func markHint(_ present: Bool) { hint.store(present, ordering: .releasing) }
  func markDamaged() -> SegmentFacts { change { $0.isDamaged = true } }

  /// The file goes away with the last reference.
  func drop() { dropped.store(true, ordering: .releasing) }

  /// Bytes of tombstones that a merge had to keep: nothing another merge would free.
  private let retained = Atomic<Int>(0)
  func retain(_ bytes: Int) { retained.add(bytes, ordering: .relaxed) }
  /// Bytes that a merge of the segment would free, as far as known at `now`.
  func deadBytes(now: UInt64) -> Int {
    let live = latestExpiry <= now ? 0 : live.bytes
    return max(0, dataBytes - live - retained.load(ordering: .relaxed))
  }

  /// Counts a record the index has begun to point to.
  func gain(_ bytes: Int) {
    liveRecords.add(1, ordering: .relaxed)
    liveBytes.add(bytes, ordering: .relaxed)
  }

  /// Counts a record the index has ceased to point to.
  func lose(_ bytes: Int) {
    liveRecords.subtract(1, ordering: .relaxed)
    liveBytes.subtract(bytes, ordering: .relaxed)
  }

  func countTaken(_ bytes: Int) {
    taken.add(1, ordering: .relaxed)
    takenBytes.add(bytes, ordering: .relaxed)
  }
  /// Notes the expiry (0 for none) of a record.
  func note(expiry: UInt64) {
    // Within the signed range, which the atomic maximum of this toolchain compares in.
    let value = expiry == 0 ? Self.noExpiry : min(expiry, Self.noExpiry)
    let present = lastExpiry.load(ordering: .relaxed)
    if value > present { lastExpiry.max(value, ordering: .relaxed) }
  }
}

/// Names of dropped segments whose last reader is gone; removed by whoever does maintenance next, never on a reader's thread.
final class SegmentTrash: Sendable {
  private let ids = Monitor<[UInt32]>([])

  func add(_ id: UInt32) { ids.withLock { $0.append(id) } }
  func take() -> [UInt32] {
    ids.withLock { ids in
      defer { ids = [] }
      return ids
    }
  }
}

/// The segments of the store by number.
final class SegmentTable: Sendable {
  private struct State {
    /// Ascending, parallel to `segments`.
    var ids: [UInt32] = []
    var segments: [Segment] = []

    @inline(__always)
    func index(_ id: UInt32) -> (index: Int, isThere: Bool) {
      var low = 0
      var high = ids.count
      while low < high {
        let middle = (low + high) / 2
        if ids[middle] < id { low = middle + 1 } else { high = middle }
      }
      return (low, low < ids.count && ids[low] == id)
    }
  }

  private let state = Monitor(State())

  /// O(log n) of the number of segments.
  func segment(_ id: UInt32) -> Segment? {
    state.withLock { state in
      let (index, isThere) = state.index(id)
      return isThere ? state.segments[index] : nil
    }
  }

  /// Takes a record out of its segment's live count.
  func lose(_ location: Location) {
    state.withLock { state in
      let (index, isThere) = state.index(location.segment)
      if isThere { state.segments[index].lose(Int(location.length)) }
    }
  }

  /// Counts a record added to segment `id`: its bytes, whether the index points to it, its expiry; and the one it took the place of.
  @inline(__always)
  func account(added id: UInt32, bytes: Int, isLive: Bool, expiry: UInt64, lost: Location?) {
    state.withLock { state in
      let (index, isThere) = state.index(id)
      if isThere {
        let segment = state.segments[index]
        segment.countTaken(bytes)
        if isLive {
          segment.gain(bytes)
          segment.note(expiry: expiry)
        }
      }
      if let lost {
        let (index, isThere) = state.index(lost.segment)
        if isThere { state.segments[index].lose(Int(lost.length)) }
      }
    }
  }

  func add(_ segment: Segment) {
    state.withLock { state in
      let (index, isThere) = state.index(segment.id)
      precondition(!isThere, "a segment number is used once")
      state.ids.insert(segment.id, at: index)
      state.segments.insert(segment, at: index)
    }
  }

  /// Takes a segment out of the table; the caller decides what becomes of its file.
  func remove(_ id: UInt32) -> Segment? {
    state.withLock { state in
      let (index, isThere) = state.index(id)
      guard isThere else { return nil }
      state.ids.remove(at: index)
      return state.segments.remove(at: index)
    }
  }

  /// All segments, oldest number first.
  var all: [Segment] { state.withLock { $0.segments } }
}
