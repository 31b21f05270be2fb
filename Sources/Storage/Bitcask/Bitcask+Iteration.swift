import StrataDisk
import StrataJobs

/// Keys and values one after another, in the order of the keys' hashes. Not `Sendable`: one reader's own.
///
/// Without a snapshot, a key present throughout is visited exactly once; one that changes meanwhile, as it is when visited; one that
/// comes or goes, perhaps. Takes memory for a few hundred keys and one value.
public struct ItemCursor {
  /// A key and its value.
  public struct Item: Sendable, Hashable {
    /// The key.
    public var key: [UInt8]
    /// Its value.
    public var value: [UInt8]
  }

  private static let pageKeys = 256

  private let store: Bitcask
  private let snapshot: BitcaskSnapshot?
  private var keys: [[UInt8]] = []
  private var position = 0
  private var cursor: UInt64? = 0

  init(store: Bitcask, snapshot: BitcaskSnapshot?) {
    self.store = store
    self.snapshot = snapshot
  }

  /// The next item; `nil` at the end. Deleted and expired keys are skipped.
  /// - Throws: `.corrupt` for an item that cannot be read; the next call goes on behind it.
  public mutating func next() throws(BitcaskError) -> Item? {
    while true {
      while position < keys.count {
        let key = keys[position]
        position += 1
        let value: [UInt8]?
        if let snapshot { value = try snapshot.get(key) } else { value = try store.get(key) }
        if let value { return Item(key: key, value: value) }
      }
      guard let from = cursor else { return nil }
      if let snapshot {
        (keys, cursor) = try snapshot.page(from: from, wanted: Self.pageKeys)
      } else {
        (keys, cursor) = try store.scanKeys(from: from, count: Self.pageKeys)
      }
      position = 0
    }
  }

  /// The next key without its value; `nil` at the end. From memory alone but in fingerprint mode.
  public mutating func nextKey() throws(BitcaskError) -> [UInt8]? {
    while true {
      while position < keys.count {
        position += 1
        if snapshot == nil { return keys[position - 1] }
        if try snapshot?.get(keys[position - 1]) != nil { return keys[position - 1] }
      }
      guard let from = cursor else { return nil }
      if let snapshot {
        (keys, cursor) = try snapshot.page(from: from, wanted: Self.pageKeys)
      } else {
        (keys, cursor) = try store.scanKeys(from: from, count: Self.pageKeys)
      }
      position = 0
    }
  }
}

/// A part of the key set.
public struct ScanPage: Sendable, Hashable {
  /// The keys found.
  public var keys: [[UInt8]]
  /// Where to go on; 0 at the end.
  public var next: UInt64
}

extension Bitcask {
  /// Every key; see ``ItemCursor``.
  public func keys() throws(BitcaskError) -> [[UInt8]] {
    var cursor = items()
    var keys: [[UInt8]] = []
    while let key = try cursor.nextKey() { keys.append(key) }
    return keys
  }

  /// Every key and value; see ``ItemCursor``.
  public func items() -> ItemCursor { ItemCursor(store: self, snapshot: nil) }

  /// Some of the keys from position `cursor` (0 to begin) on, at least `count` of them where that many are left.
  ///
  /// Stateless: a key present throughout a row of calls, each with the `next` of the one before, is returned exactly once, whatever else is
  /// written and across restarts. A number no call has returned is as good a cursor as any.
  public func scan(from cursor: UInt64, count: Int) throws(BitcaskError) -> ScanPage {
    try checkOpen()
    let (keys, next) = try scanKeys(from: cursor, count: max(1, count))
    return ScanPage(keys: keys, next: next ?? 0)
  }

  /// A key that exists, found from a random place; not exactly uniform. `nil` where there is none.
  public func randomKey(_ random: UInt64 = .random(in: .min ... .max)) throws(BitcaskError) -> [UInt8]? {
    try checkOpen()
    var position = random
    for _ in 0..<64 {
      guard let (key, entry) = index.entry(near: position) else { return nil }
      if let key = try self.key(key, entry) { return key }
      position = position &* 0x9E37_79B9_7F4A_7C15 &+ 1
    }
    // Many expired keys: walk.
    var cursor = items()
    return try cursor.nextKey()
  }

  func scanKeys(from cursor: UInt64, count: Int) throws(BitcaskError) -> (keys: [[UInt8]], next: UInt64?) {
    let page = index.page(from: cursor, wanted: count)
    var keys: [[UInt8]] = []
    keys.reserveCapacity(page.count)
    for number in 0..<page.count {
      if let key = try key(page.key(number), page.entries[number]) { keys.append(key) }
    }
    return (keys, page.next)
  }

  /// The key of a directory entry; `nil` where it has expired or gone meanwhile.
  private func key(_ stored: [UInt8], _ entry: DirectoryEntry) throws(BitcaskError) -> [UInt8]? {
    if index.keepsKeys { return hasExpired(entry.expiry) ? nil : stored }
    guard let segment = table.segment(entry.location.segment) else { return nil }
    guard let key = try recordKey(entry.location, segment), try resolve(key).isLive else { return nil }
    return key
  }

  /// The key of a record, from the bytes on their way to the disk or from the file.
  func recordKey(_ location: Location, _ segment: Segment) throws(BitcaskError) -> [UInt8]? {
    guard segment.isActive else { return try disk { () throws(DiskError) in try segment.readKey(at: location) } }
    var bytes = [UInt8](repeating: 0, count: Int(location.length))
    let range = location.offset..<(location.offset + UInt64(location.length))
    let found = bytes.withUnsafeMutableBytes { buffer in
      buffer.baseAddress.map { commit.readPending(segment: UInt64(segment.id), range, into: $0) } ?? false
    }
    guard found else { return try disk { () throws(DiskError) in try segment.readKey(at: location) } }
    guard let header = bytes.withUnsafeBytes({ segment.verify($0, at: location) }) else { return nil }
    return Array(bytes[RecordHeader.bytes..<(RecordHeader.bytes + header.keyLength)])
  }
}
