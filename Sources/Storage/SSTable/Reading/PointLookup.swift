/// What a search for one key has found so far, on its way from the newest source to the oldest.
///
/// A source adds to it what it holds of the key at or below a sequence; the search ends when ``isSettled``. The value is borrowed: from the pinned
/// block, or from whatever memory the source named. Reused from search to search by ``reset()``, so that searching allocates nothing unless merge
/// operands turn up. Belongs to one thread at a time.
public struct PointLookup: ~Copyable {
  /// How the search stands.
  public enum State: UInt8, Sendable {
    /// Nothing decisive yet; operands may have been collected.
    case open
    /// A value ends the search.
    case value
    /// A deletion, of the key or of a range around it, ends the search.
    case deletion
    /// The search may not wait for the disk and would have to.
    case notCached
  }

  /// How the search stands.
  public private(set) var state = State.open
  /// Sequence and kind of the entry that settled the search, where one did.
  public private(set) var trailer = Trailer(word: 0)
  /// The value, while ``state`` is `.value`.
  public private(set) var value = UnsafeRawBufferPointer(start: nil, count: 0)
  /// The newest range deletion met so far that covers the key: entries below it are gone.
  public private(set) var coveringSequence: UInt64 = 0
  /// Merge operands collected so far, newest first, each with its sequence.
  public var operands: [(sequence: UInt64, bytes: [UInt8])] { collected?.pointee ?? [] }
  /// Whether there are operands.
  public var hasOperands: Bool { collected != nil }
  /// In memory of their own: to destroy an array, an empty one too, would cost every search a call through its type.
  private var collected: UnsafeMutablePointer<[(sequence: UInt64, bytes: [UInt8])]>?
  private var pin: BlockPin?
  /// Whether the search ends as `.notCached` where a block is not in the cache.
  public let onlyIfCached: Bool

  /// A search that has not begun.
  public init(onlyIfCached: Bool = false) { self.onlyIfCached = onlyIfCached }

  deinit {
    pin?.release()
    if let collected { Self.drop(collected) }
  }

  @inline(never)
  private static func drop(_ collected: UnsafeMutablePointer<[(sequence: UInt64, bytes: [UInt8])]>) {
    collected.deinitialize(count: 1)
    collected.deallocate()
  }

  @inline(never)
  private mutating func collect(_ operand: UnsafeRawBufferPointer, _ sequence: UInt64) {
    let list = collected ?? .allocate(capacity: 1)
    if collected == nil { list.initialize(to: []) }
    list.pointee.append((sequence, [UInt8](operand)))
    collected = list
  }

  /// Begins anew; what ``value`` showed may be gone.
  @inlinable
  public mutating func reset() { clear() }

  @usableFromInline
  mutating func clear() {
    pin?.release()
    pin = nil
    state = .open
    trailer = Trailer(word: 0)
    coveringSequence = 0
    if let collected { Self.drop(collected) }
    collected = nil
  }

  /// Whether nothing older can matter.
  public var isSettled: Bool { state != .open }

  /// Notes a range deletion that covers the key.
  public mutating func cover(_ sequence: UInt64) { coveringSequence = max(coveringSequence, sequence) }

  /// A block is needed that is not in memory.
  mutating func stopAtDisk() { state = .notCached }

  /// Takes the next older entry of the key and answers whether the search is settled. `pin`, where given, is retained for ``value``.
  @inline(__always)
  package mutating func take(_ found: Trailer, _ bytes: UnsafeRawBufferPointer, pinning block: BlockPin?) -> Bool {
    if found.sequence < coveringSequence {
      trailer = Trailer(coveringSequence, .rangeDeletion)
      state = .deletion
      return true
    }
    switch found.kind {
    case .value:
      block?.retain()
      pin?.release()
      pin = block
      value = bytes
      trailer = found
      state = .value
      return true
    case .merge:
      collect(bytes, found.sequence)
      return false
    case .deletion, .rangeDeletion, nil:
      trailer = found
      state = .deletion
      return true
    }
  }
}
