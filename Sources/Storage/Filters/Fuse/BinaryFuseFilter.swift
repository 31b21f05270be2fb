/// A static set of keys in about 9 (or 18) bits each that answers "surely absent" or "perhaps present" from three places in memory.
///
/// Never answers absent for a key it was built of. Answers present for an absent key once in 256 times with fingerprints of 8 bits (0.39 %), once in
/// 65 536 with 16 bits. Built once from the 64-bit hashes of all keys; keys cannot be added later. A value: safe to share between threads.
///
/// T. M. Graf, D. Lemire, "Binary Fuse Filters: Fast and Smaller Than Xor Filters", ACM JEA 27 (2022). Every key has one slot in each of
/// three consecutive segments; the fingerprints in its slots, combined by exclusive or, give the key's own.
public struct BinaryFuseFilter<Fingerprint: FixedWidthInteger & UnsignedInteger & BitwiseCopyable & Sendable>: MembershipFilter, Hashable {
  /// What a filter is made of.
  public typealias Kind = FuseKind

  /// What this filter is made of.
  public let kind: FuseKind
  /// How many distinct hashes it was built of.
  public let keyCount: Int
  /// The seed the hashes were made with; the filter mixes them with others of its own.
  public let seed: UInt64
  @usableFromInline let shape: FuseShape
  /// The seed of the mixing, of those tried the first that gave an arrangement.
  @usableFromInline let mixing: UInt64
  @usableFromInline let memory: FilterMemory
  /// The bits of the difference that count, and what they must be: all and 0, or for the kinds without fingerprints none and 1 or 0.
  @usableFromInline let mask: Fingerprint
  @usableFromInline let wanted: Fingerprint

  /// The filter over the keys with these hashes; hashes may repeat and come in any order.
  ///
  /// Deterministic: the same set of hashes and the same seed give the same bytes on every machine. Takes O(n) time, at most 24 bytes per
  /// hash while building, 9 (18) bits per distinct hash afterwards. Never fails, see ``FuseKind/everything``; more than 2^30 hashes give it at once.
  public init(hashes: [UInt64], seed: UInt64 = 0) { self.init(hashes: hashes, seed: seed, attempts: 100) }

  init(hashes: [UInt64], seed: UInt64, attempts: Int) {
    let made = hashes.withUnsafeBufferPointer { Self.build([$0], seed: seed, attempts: attempts) }
    self = made ?? Self(kind: .everything, seed: seed)
  }

  /// A filter without fingerprints.
  init(kind: FuseKind, seed: UInt64) {
    guard let memory = try? FilterMemory(zeroed: 0, limit: 0) else { preconditionFailure("no memory for an empty filter") }
    self.init(kind: kind, keyCount: 0, seed: seed, shape: FuseShape(), mixing: 0, memory: memory)
  }

  init(kind: FuseKind, keyCount: Int, seed: UInt64, shape: FuseShape, mixing: UInt64, memory: FilterMemory) {
    self.kind = kind
    self.keyCount = keyCount
    self.seed = seed
    self.shape = shape
    self.mixing = mixing
    self.memory = memory
    mask = kind == .fuse ? .max : 0
    wanted = kind == .nothing ? 1 : 0
  }

  /// Whether the key with this hash may be among those the filter was built of; false means it surely is not.
  ///
  /// O(1): three reads.
  @inlinable
  @inline(__always)
  public func contains(hash: UInt64) -> Bool { mayContain(hash: hash) }

  @inlinable
  @inline(__always)
  public func mayContain(hash: UInt64) -> Bool {
    // Wraps: any bijection of the hashes will do. A filter without fingerprints is asked as well, about the bytes that all memory has behind its
    // last, and the answer is masked: a branch would be taken for every filter and split the loops that ask.
    Self.difference(FuseMix.mix(hash &+ mixing), shape, UnsafeRawPointer(memory.base)) & mask == wanted
  }

  /// Whether the fingerprints of a mixed hash agree. Slots are below the shape's number of slots, for which `base` has room.
  @inlinable
  @inline(__always)
  static func test(_ mixed: UInt64, _ shape: FuseShape, _ base: UnsafeRawPointer) -> Bool { difference(mixed, shape, base) == 0 }

  /// In which bits the fingerprints of a mixed hash do not agree.
  @inlinable
  @inline(__always)
  static func difference(_ mixed: UInt64, _ shape: FuseShape, _ base: UnsafeRawPointer) -> Fingerprint {
    let slots = shape.slots(mixed)
    let size = MemoryLayout<Fingerprint>.size
    let a = base.loadUnaligned(fromByteOffset: slots.0 &* size, as: Fingerprint.self)
    let b = base.loadUnaligned(fromByteOffset: slots.1 &* size, as: Fingerprint.self)
    let c = base.loadUnaligned(fromByteOffset: slots.2 &* size, as: Fingerprint.self)
    return a ^ b ^ c ^ fingerprint(mixed)
  }

  @inlinable
  @inline(__always)
  public func mayContain(hashes: Span<UInt64>, into answers: inout BitMask) {
    guard kind == .fuse else { return answers.fill(hashes.count) { _ in kind == .everything } }
    Self.test(hashes, shape, mixing, UnsafeRawPointer(memory.base), &answers)
  }

  /// The fingerprint as it is stored: little-endian.
  @inlinable
  @inline(__always)
  static func fingerprint(_ mixed: UInt64) -> Fingerprint { Fingerprint(truncatingIfNeeded: mixed ^ (mixed >> 32)).littleEndian }

  /// How many bytes of memory the fingerprints take.
  public var memoryBytes: Int { memory.byteCount }
  /// The number of bits the fingerprints take.
  public var bitCount: UInt64 { UInt64(memory.byteCount) * 8 }
  /// How many places are read for a key.
  public var hashCount: Int { 3 }
  /// The distinct keys it was built of.
  public var insertions: UInt64 { UInt64(keyCount) }
  /// The distinct keys it was built of: exact.
  public var estimatedCount: Double { Double(keyCount) }
  /// How often an absent key is answered with "perhaps".
  public var estimatedFalsePositiveRate: Double {
    switch kind {
    case .nothing: 0
    case .fuse: Elementary.power(0.5, Fingerprint.bitWidth)
    case .everything: 1
    }
  }

  public static func == (a: Self, b: Self) -> Bool {
    a.kind == b.kind && a.keyCount == b.keyCount && a.seed == b.seed && a.shape == b.shape && a.mixing == b.mixing && a.memory.equals(b.memory)
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(kind)
    hasher.combine(keyCount)
    hasher.combine(mixing)
  }
}
