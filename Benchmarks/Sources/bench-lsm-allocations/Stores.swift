import StrataLSMTree
import SystemPackage

struct Unusable: Error, CustomStringConvertible {
  var what: String
  var description: String { what }
}

/// Sixteen bytes in memory of their own, so that making a key asks for nothing.
struct Key: ~Copyable {
  private let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 16, alignment: 8)

  deinit { memory.deallocate() }

  /// Numbers of absent keys lie between those of keys that are there.
  mutating func set(_ number: Int, _ presence: Presence) {
    memory.storeBytes(of: UInt64(number).bigEndian, as: UInt64.self)
    memory.storeBytes(of: presence == .present ? 0 : UInt64.max, toByteOffset: 8, as: UInt64.self)
  }

  var bytes: RawSpan { @_lifetime(borrow self) get { _overrideLifetime(UnsafeRawBufferPointer(memory).bytes, borrowing: self) } }
}

/// Stores of as many keys as a load has operations. Nobody works in their background: what is counted is the reader's.
final class Stores {
  static let keys = Load.operations

  /// Everything in one memtable.
  let memory: LSMTree
  /// Everything in one table of the last level.
  let bottom: LSMTree
  /// A half below, a quarter in level 0 and a quarter in a memtable, mixed through all keys.
  let mixed: LSMTree
  /// The same keys again, in a keyspace of `mixed`.
  let keyspace: Keyspace
  let snapshot: Snapshot

  init(_ directory: FilePath) throws {
    var options = LSMOptions()
    options.background = .manual
    options.compactsAutomatically = false
    options.logUsesThread = false
    options.durability = .none
    options.memtableBytes = 64 << 20
    options.blockCacheBytes = 256 << 20
    memory = try LSMTree.open(directory.appending("memory"), options: options)
    bottom = try LSMTree.open(directory.appending("bottom"), options: options)
    mixed = try LSMTree.open(directory.appending("mixed"), options: options)
    keyspace = try mixed.keyspace("other", create: KeyspaceOptions())
    try Self.fill(memory) { _ in true }
    try Self.fill(bottom) { _ in true }
    try bottom.compact()
    try Self.fill(mixed) { $0 % 4 < 2 }
    try Self.fill(mixed, keyspace) { $0 % 4 < 2 }
    try mixed.compact()
    try mixed.compact(in: keyspace)
    try Self.fill(mixed) { $0 % 4 == 2 }
    try Self.fill(mixed, keyspace) { $0 % 4 == 2 }
    try mixed.flush()
    try Self.fill(mixed) { $0 % 4 == 3 }
    try Self.fill(mixed, keyspace) { $0 % 4 == 3 }
    snapshot = mixed.snapshot()
  }

  private static func fill(_ store: LSMTree, _ keyspace: Keyspace? = nil, where isWanted: (Int) -> Bool) throws {
    let value = [UInt8](repeating: 0x76, count: 100)
    var key = Key()
    for number in 0..<keys where isWanted(number) {
      key.set(number, .present)
      try store.put(key.bytes, value.span.bytes, in: keyspace)
    }
  }

  func close() throws {
    for store in [memory, bottom, mixed] { try store.close() }
  }
}
