import StrataBytes
import StrataCompression
import SystemPackage

/// The fixed parts of LevelDB's table format (https://github.com/google/leveldb/blob/main/doc/table_format.md): blocks, each with a trailer of
/// a codec's byte and a masked checksum, named by handles, the handles of the last two in a footer. See Docs/Formats/LevelDBTable.md.
enum LevelDBFormat {
  static let magic: UInt64 = 0xDB47_7524_8B80_FB57
  static let footerBytes = 48
  static let trailerBytes = 5
  /// Sequence and kind behind a user key.
  static let keyTailBytes = 8
  /// Snappy's longest copy is 64 bytes of three: a block that claims to grow more was not written by it.
  static let growthLimit = 32

  /// Where a block lies, without its trailer.
  struct Handle: Hashable {
    var offset: UInt64
    var bytes: UInt64

    func encode(to writer: inout ByteWriter) {
      writer.writeVarint64(offset)
      writer.writeVarint64(bytes)
    }

    init(offset: UInt64, bytes: UInt64) {
      self.offset = offset
      self.bytes = bytes
    }

    init(from reader: inout ByteReader) throws(DecodeError) {
      offset = try reader.readVarint64()
      bytes = try reader.readVarint64()
    }
  }

  /// The byte that stands for a codec, where LevelDB knows it.
  static func code(_ codec: Codec) -> UInt8? {
    switch codec {
    case .none: 0
    case .snappy: 1
    case .lz4, .zstd, .deflate: nil
    }
  }

  static func checksum(_ stored: RawSpan, code: UInt8) -> UInt32 {
    let sum = crc32c(stored)
    return maskedCRC(crc32c([code].span.bytes, continuing: sum))
  }

  static func footer(metaindex: Handle, index: Handle) -> [UInt8] {
    var writer = ByteWriter()
    metaindex.encode(to: &writer)
    index.encode(to: &writer)
    writer.writeZeros(footerBytes - 8 - writer.count)
    writer.writeUInt64(magic)
    return writer.finish()
  }

  /// The handle of the index, as the last 48 bytes of a file name it.
  static func decodeIndex(footer: [UInt8], _ path: FilePath) throws(TableError) -> Handle {
    do throws(DecodeError) {
      var tail = ByteReader(footer.span.bytes.extracting(footerBytes - 8..<footerBytes))
      let found = try tail.readUInt64()
      guard found == magic else { throw .badMagic(at: footerBytes - 8) }
      var reader = ByteReader(footer.span.bytes)
      _ = try Handle(from: &reader)
      return try Handle(from: &reader)
    } catch {
      throw .notATable(path, reason: "its last 48 bytes are not the footer of a LevelDB table")
    }
  }
}

/// Builds LevelDB's blocks: entries that leave out what their key shares with the one before, then where whole keys lie.
struct LevelDBBlockBuilder: ~Copyable {
  private var writer = ByteWriter()
  private var restarts: [UInt32] = [0]
  private var count = 0
  private let restartInterval: Int
  private(set) var lastKey: [UInt8] = []

  init(restartInterval: Int) { self.restartInterval = restartInterval }

  var isEmpty: Bool { count == 0 }
  /// How long the block would be now.
  var estimatedBytes: Int { writer.count + restarts.count * 4 + 4 }

  /// Adds an entry behind all others.
  mutating func add(_ key: [UInt8], _ value: RawSpan) {
    var shared = 0
    if count > 0, count % restartInterval == 0 {
      restarts.append(UInt32(truncatingIfNeeded: writer.count))  // blocks end long before 4 GiB
    } else {
      shared = lastKey.withUnsafeBytes { last in key.withUnsafeBytes { commonPrefix(last, $0) } }
    }
    writer.writeVarint32(UInt32(shared))
    writer.writeVarint32(UInt32(key.count - shared))
    writer.writeVarint32(UInt32(value.byteCount))
    writer.writeBytes(key.span.bytes.extracting(shared..<key.count))
    writer.writeBytes(value)
    lastKey = key
    count += 1
  }

  /// The block; the builder then begins the next.
  mutating func finish() -> [UInt8] {
    for restart in restarts { writer.writeUInt32(restart) }
    writer.writeUInt32(UInt32(restarts.count))
    let bytes = writer.bytes.withUnsafeBytes { [UInt8]($0) }
    writer.removeAll()
    restarts = [0]
    count = 0
    lastKey = []
    return bytes
  }
}

/// Goes through the entries of one of LevelDB's blocks; every length is checked before it is used.
struct LevelDBBlockReader {
  private let bytes: [UInt8]
  private let entriesEnd: Int
  private var offset = 0
  private(set) var key: [UInt8] = []
  /// Where the value of the present entry lies.
  private(set) var value = 0..<0

  /// A reader before the first entry; `nil` for bytes that are no block.
  init?(_ bytes: [UInt8]) {
    guard bytes.count >= 4 else { return nil }
    let restarts = Int(bytes.load(UInt32.self, at: bytes.count - 4))
    guard restarts <= (bytes.count - 4) / 4 else { return nil }
    self.bytes = bytes
    entriesEnd = bytes.count - 4 - restarts * 4
  }

  /// The value of the present entry.
  var valueBytes: RawSpan {
    @_lifetime(borrow self) get { bytes.span.bytes.extracting(value) }
  }

  /// Makes the present entry's value empty.
  mutating func dropValue() { value = value.lowerBound..<value.lowerBound }

  /// Moves to the next entry; `false` at the end.
  /// - Throws: where the entry does not fit the block.
  mutating func next() throws(DecodeError) -> Bool {
    guard offset < entriesEnd else { return false }
    // A reader of the local array borrows that, so that the key may change meanwhile.
    let bytes = bytes
    var reader = ByteReader(bytes.span.bytes.extracting(offset..<entriesEnd), base: offset)
    let shared = Int(try reader.readVarint32())
    let unshared = Int(try reader.readVarint32())
    let valueCount = Int(try reader.readVarint32())
    guard shared <= key.count, shared + unshared <= TableLimits.keyBytes + LevelDBFormat.keyTailBytes else {
      throw .limitExceeded(at: offset, field: "key length", limit: TableLimits.keyBytes)
    }
    key.removeLast(key.count - shared)
    try reader.readBytes(unshared).withUnsafeBytes { key.append(contentsOf: $0) }
    let start = reader.offset
    try reader.skip(valueCount)
    value = start..<start + valueCount
    offset = start + valueCount
    return true
  }
}
