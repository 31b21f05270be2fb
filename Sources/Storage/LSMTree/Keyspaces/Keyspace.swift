import StrataJobs
import StrataSSTable
import Synchronization

/// A named, ordered set of keys with options of its own. All keyspaces of a store share its log and its order of versions, so that one batch can
/// change several of them as one.
/// Safe to share between threads because what changes is atomic or behind the lock that its comment names.
public final class Keyspace: @unchecked Sendable {
  /// Its name in the store.
  public let name: String
  /// What it was created with.
  public let options: KeyspaceOptions
  /// Its number in the store's log and manifest.
  let id: UInt32
  /// The store it belongs to.
  let store: StoreID

  /// The version readers use; kept alive by `shape`.
  private let published: Atomic<UInt>
  /// What the next version is made of.
  let shape: Monitor<Shape>
  /// The memtable that takes entries; changes under the commit lock.
  var active: Memtable
  /// The log's first record that the active memtable holds, 0 for none; changes under the commit lock.
  var activeFirstLog: UInt64 = 0
  private let dropped = Atomic<Bool>(false)
  /// Values up to this sequence have expired.
  let expiredThrough = Atomic<UInt64>(0)
  /// The version of the tables that were taken in last.
  let lastIngested = Atomic<UInt64>(0)

  struct Shape {
    var version: Version
    /// What sealed memtables hold of the log, oldest first; as many as the version has.
    var sealed: [SealedMemtable]
  }

  init(id: UInt32, name: String, options: KeyspaceOptions, store: StoreID, active: Memtable, levels: Levels) {
    self.id = id
    self.name = name
    self.options = options
    self.store = store
    self.active = active
    let version = Version(active: active, sealed: [], levels: levels)
    published = Atomic(UInt(bitPattern: Unmanaged.passUnretained(version).toOpaque()))
    shape = Monitor(Shape(version: version, sealed: []))
  }

  /// Whether a value's time is over. Without a time to live no sequence has, 0 included.
  @inline(__always)
  func hasExpired(_ trailer: Trailer) -> Bool {
    let expired = expiredThrough.load(ordering: .relaxed)
    return expired > 0 && trailer.sequence <= expired
  }

  var isDropped: Bool { dropped.load(ordering: .acquiring) }
  func markDropped() { dropped.store(true, ordering: .releasing) }

  /// The present version, for use between `Epochs.enter` and `leave` only.
  @inline(__always)
  var pinned: Unmanaged<Version> {
    let word = published.load(ordering: .sequentiallyConsistent)
    guard let pointer = UnsafeRawPointer(bitPattern: word) else { preconditionFailure("a keyspace always has a version") }
    return Unmanaged.fromOpaque(pointer)
  }

  /// The present version, counted.
  var version: Version { shape.withLock { $0.version } }

  /// Publishes a changed shape.
  func publish(_ epochs: Epochs, _ change: (inout Shape) -> Void) {
    let old = shape.withLock { shape in
      let old = shape.version
      change(&shape)
      published.store(UInt(bitPattern: Unmanaged.passUnretained(shape.version).toOpaque()), ordering: .sequentiallyConsistent)
      return old
    }
    epochs.retire(old)
  }
}

/// A memtable that takes no more entries, and what it lets go of the log once it is in a table.
struct SealedMemtable: Sendable {
  var memtable: Memtable
  /// The log's first record with a change that only memory holds, 0 where it was all written without the log.
  var firstLog: UInt64
  /// Once flushed, tables hold every change of the keyspace up to this record.
  var throughLog: UInt64
}
