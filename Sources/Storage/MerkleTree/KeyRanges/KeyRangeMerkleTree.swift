public import StrataBytes

/// The keys of a replica with a hash of each one's contents, made to find the keys in which replicas differ.
///
/// The fingerprint of any range of keys takes O(log n) and depends on the keys in it and their contents alone, so replicas of any size and
/// history can compare any range. A B+tree whose nodes know count and sum of their items; about 60 bytes and the key for each item.
///
/// A value with one owner: a copy is a snapshot, safe to read on another thread; what is shared is copied when one of both is changed.
///
/// **Tombstones.** Deletions are items like others until both sides may forget them. ``purge(before:)`` takes out the tombstones below a
/// version both sides agree on, and keeps such ones out; a reconciliation refuses a peer with another agreement. While a session holds a
/// range, nothing may forget tombstones in it (``holder(of:)``), or the peer's older value would come back as news.
///
/// Sums are not made for adversaries: compare replicas of one owner, not those of strangers.
public struct KeyRangeMerkleTree: Sendable {
  /// The longest key.
  public static let keyBytesMax = 8192

  var nodes = KeyTreeNodes()
  /// Versions of the tombstones that are items, by key.
  private var tombstones: [[UInt8]: [UInt8]] = [:]
  private var holds: [UInt64: KeyRange] = [:]
  /// Tombstones of versions below this are no items. Versions are compared by their bytes.
  public private(set) var purgeBefore: [UInt8] = []

  /// Without keys.
  public init() {}

  /// How many keys there are, tombstones included.
  public var count: Int { nodes.total.count }

  /// The fingerprint of all keys. O(1). Equal exactly where keys and contents are.
  public var rootFingerprint: Fingerprint { nodes.total.fingerprint }

  /// How many bytes of memory the tree takes. O(n / 64). Tombstones take about 100 more each, for their versions.
  public var memoryBytes: Int { nodes.memoryBytes + tombstones.count * 100 }

  /// Sets what is under `key`, in place of what was. O(log n).
  ///
  /// - Parameters:
  ///   - key: at most ``keyBytesMax`` bytes.
  ///   - version: the item's version in an encoding whose order is that of its bytes, such as ``OrderedKey``'s.
  ///   - valueDigest: a digest of the value; of nothing where there is none.
  ///   - tombstone: whether the key is deleted at this version. One below ``purgeBefore`` is no item: the key is then taken out.
  /// - Throws: `.tooLarge` for a longer key.
  public mutating func set(_ key: [UInt8], version: [UInt8], valueDigest: Digest, tombstone: Bool) throws(MerkleError) {
    guard key.count <= Self.keyBytesMax else { throw .tooLarge(required: key.count, cap: Self.keyBytesMax) }
    if tombstone {
      guard !isLess(version, purgeBefore) else {
        remove(key)
        return
      }
      tombstones[key] = version
    } else if !tombstones.isEmpty {
      tombstones[key] = nil
    }
    _ = key.withUnsafeBytes {
      nodes.set($0) { Self.itemHash(key, version: version, valueDigest: valueDigest, tombstone: tombstone) }
    }
  }

  /// Takes `key` out; says whether it was there. O(log n). For keys that moved elsewhere: a deletion is a tombstone.
  @discardableResult
  public mutating func remove(_ key: [UInt8]) -> Bool {
    if !tombstones.isEmpty { tombstones[key] = nil }
    return key.withUnsafeBytes { nodes.remove($0) } != nil
  }

  /// The item hash under `key`, or nil. O(log n).
  public func itemHash(_ key: [UInt8]) -> Digest? { key.withUnsafeBytes { nodes.hash($0) } }

  /// The hash of an item: of key, version, flag and value digest, each behind its length, so that no two items share their bytes.
  public static func itemHash(_ key: [UInt8], version: [UInt8], valueDigest: Digest, tombstone: Bool) -> Digest {
    let (keyPrefix, versionPrefix) = (ByteWriter.varintLength(UInt64(key.count)), ByteWriter.varintLength(UInt64(version.count)))
    let versionAt = keyPrefix + key.count
    let flagAt = versionAt + versionPrefix + version.count
    return withUnsafeTemporaryAllocation(byteCount: flagAt + 1 + Digest.byteCount, alignment: 8) { message in
      putVarint(key.count, UnsafeMutableRawBufferPointer(rebasing: message[..<keyPrefix]))
      key.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: message[keyPrefix..<versionAt]).copyMemory(from: $0) }
      putVarint(version.count, UnsafeMutableRawBufferPointer(rebasing: message[versionAt..<versionAt + versionPrefix]))
      version.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: message[versionAt + versionPrefix..<flagAt]).copyMemory(from: $0) }
      message[flagAt] = tombstone ? 1 : 0
      valueDigest.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: message[(flagAt + 1)...]).copyMemory(from: $0) }
      return sha256(tag: MerkleTag.item, UnsafeRawBufferPointer(message), UnsafeRawBufferPointer(start: nil, count: 0))
    }
  }

  /// Fills `target`, which is as long as the varint of `value`.
  @inline(__always)
  private static func putVarint(_ value: Int, _ target: UnsafeMutableRawBufferPointer) {
    var rest = UInt64(value)
    for index in target.indices {
      target[index] = UInt8(truncatingIfNeeded: rest & 0x7F) | (index + 1 < target.count ? 0x80 : 0)
      rest >>= 7
    }
  }

  // MARK: Ranges

  /// The fingerprint of the keys in `range`. O(log n).
  public func fingerprint(_ range: KeyRange) -> Fingerprint { sum(range).fingerprint }

  /// Sum and count of the keys in `range`. O(log n).
  public func sum(_ range: KeyRange) -> RangeSum {
    guard !range.isEmpty else { return RangeSum() }
    return sum(below: range.upper) - sum(below: range.lower)
  }

  /// The sum of the keys below `bound`; of all where it is nil.
  func sum(below bound: [UInt8]?) -> RangeSum {
    guard let bound else { return nodes.total }
    return bound.isEmpty ? RangeSum() : bound.withUnsafeBytes { nodes.sum(below: $0) }
  }

  /// The items in `range`, ascending.
  func items(in range: KeyRange) -> KeyTreeCursor {
    guard !range.isEmpty else { return KeyTreeCursor(nodes, rank: 0, end: 0) }
    return KeyTreeCursor(nodes, rank: sum(below: range.lower).count, end: sum(below: range.upper).count)
  }

  /// Cuts `range` into at most `parts` ranges of about as many keys each, every one with its sum. O(parts · log n).
  func split(_ range: KeyRange, into parts: Int) -> [(range: KeyRange, sum: RangeSum)] {
    let begin = sum(below: range.lower)
    let end = sum(below: range.upper)
    let count = end.count - begin.count
    let parts = min(parts, count)
    guard parts > 1 else { return [(range, end - begin)] }
    var found: [(range: KeyRange, sum: RangeSum)] = []
    found.reserveCapacity(parts)
    var lower = range.lower
    var before = begin
    for part in 1..<parts {
      let (bound, sum) = nodes.bound(at: begin.count + count / parts * part + count % parts * part / parts)
      found.append((KeyRange(lower: lower, upper: bound), sum - before))
      lower = bound
      before = sum
    }
    found.append((KeyRange(lower: lower, upper: range.upper), end - before))
    return found
  }
}

// MARK: Tombstones

extension KeyRangeMerkleTree {
  /// Takes out the tombstones of versions below `version` and keeps such out from now on; says how many there were. O(tombstones).
  ///
  /// Both replicas of a reconciliation must have done this with the same version: the one that has forgotten a deletion would otherwise be
  /// told of it again and again. A version that is not above ``purgeBefore`` changes nothing.
  /// - Throws: `.rangeInSession` while a session holds a range of this tree, `.tooLarge` for a version longer than a key may be.
  @discardableResult
  public mutating func purge(before version: [UInt8]) throws(MerkleError) -> Int {
    guard version.count <= Self.keyBytesMax else { throw .tooLarge(required: version.count, cap: Self.keyBytesMax) }
    guard isLess(purgeBefore, version) else { return 0 }
    if let session = holds.keys.min() { throw .rangeInSession(session: session) }
    purgeBefore = version
    let purged = tombstones.filter { isLess($0.value, version) }
    for key in purged.keys { remove(key) }
    return purged.count
  }

  /// Notes that `session` compares `range`. A store asks ``holder(of:)`` before it forgets tombstones.
  public mutating func hold(_ range: KeyRange, for session: UInt64) { holds[session] = range }

  /// Ends what ``hold(_:for:)`` began.
  public mutating func release(_ session: UInt64) { holds[session] = nil }

  /// A session that compares a part of `range`, so that tombstones in it must stay; nil where there is none.
  public func holder(of range: KeyRange) -> UInt64? { holds.filter { $0.value.overlaps(range) }.keys.min() }
}
