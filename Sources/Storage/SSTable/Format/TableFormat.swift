import StrataBytes
import SystemPackage

/// The fixed parts of a table file: its head and its footer. Offsets are those of Docs/Formats/SSTable.md.
enum TableFormat {
  static let magic: [UInt8] = Array("STRATSST".utf8)
  static let version: UInt16 = 1
  static let headBytes = 64
  static let footerBytes = 96

  /// What the head says.
  struct Head {
    var fileID: UInt64
    var databaseID: (UInt64, UInt64)
    var createdAt: UInt64
    var features: UInt16 = 0
  }

  /// The feature of tables whose data blocks may have hash indexes.
  static let hashedBlocks: UInt16 = 1
  private static let knownFeatures = hashedBlocks

  static func encode(_ head: Head) -> [UInt8] {
    var bytes = magic + [UInt8](repeating: 0, count: headBytes - magic.count)
    bytes.withUnsafeMutableBytes { out in
      out.store(version, at: 8)
      out.store(head.features, at: 10)  // what a reader must know
      out.store(UInt32(headBytes), at: 12)
      out.store(head.fileID, at: 16)
      out.store(head.databaseID.0, at: 24)
      out.store(head.databaseID.1, at: 32)
      out.store(head.createdAt, at: 40)
      out.store(crc32c(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(out)[..<60])), at: 60)
    }
    return bytes
  }

  static func decodeHead(_ bytes: [UInt8], _ path: FilePath) throws(TableError) -> Head {
    guard bytes.count == headBytes, bytes.starts(with: magic) else { throw .notATable(path, reason: "it does not begin with STRATSST") }
    guard bytes.load(UInt32.self, at: 60) == crc32c(bytes.span.bytes.extracting(0..<60)) else {
      throw .notATable(path, reason: "its head is damaged")
    }
    let found = bytes.load(UInt16.self, at: 8)
    let features = bytes.load(UInt16.self, at: 10)
    guard found == version, features & ~knownFeatures == 0 else {
      throw .unsupportedFormat(
        path, found: "format \(found) with features \(features)", supported: "format \(version) with features \(knownFeatures) or fewer")
    }
    return Head(
      fileID: bytes.load(UInt64.self, at: 16), databaseID: (bytes.load(UInt64.self, at: 24), bytes.load(UInt64.self, at: 32)),
      createdAt: bytes.load(UInt64.self, at: 40), features: features)
  }

  /// The parts of a table, as its footer names them; a handle of offset 0 names nothing.
  struct Footer {
    var index = BlockHandle(offset: 0, storedBytes: 0)
    var filter = BlockHandle(offset: 0, storedBytes: 0)
    var rangeDeletions = BlockHandle(offset: 0, storedBytes: 0)
    var properties = BlockHandle(offset: 0, storedBytes: 0)
    var fileBytes: UInt64 = 0
    var entryCount: UInt64 = 0
    var rangeDeletionCount: UInt64 = 0
    /// 1: the index is one block. 2: its blocks are named by another.
    var indexLevels: UInt8 = 1
    var filterHashes: UInt8 = 0
  }

  static func encode(_ footer: Footer, head: [UInt8]) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: footerBytes - magic.count) + magic.reversed()
    bytes.withUnsafeMutableBytes { out in
      for (index, handle) in [footer.index, footer.filter, footer.rangeDeletions, footer.properties].enumerated() {
        out.store(handle.offset, at: index * 12)
        out.store(handle.storedBytes, at: index * 12 + 8)
      }
      out.store(footer.fileBytes, at: 48)
      out.store(footer.entryCount, at: 56)
      out.store(footer.rangeDeletionCount, at: 64)
      out.store(version, at: 72)
      out.store(footer.indexLevels, at: 74)
      out.store(footer.filterHashes, at: 75)
      let sum = crc32c(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(out)[..<84]), continuing: crc32c(head.span.bytes))
      out.store(sum, at: 84)
    }
    return bytes
  }

  static func decodeFooter(_ bytes: [UInt8], head: [UInt8], _ path: FilePath) throws(TableError) -> Footer {
    guard bytes.count == footerBytes, bytes.suffix(8).elementsEqual(magic.reversed()) else {
      throw .notATable(path, reason: "it does not end with a footer: it was never finished or has been cut")
    }
    let sum = crc32c(bytes.span.bytes.extracting(0..<84), continuing: crc32c(head.span.bytes))
    guard bytes.load(UInt32.self, at: 84) == sum else { throw .notATable(path, reason: "its footer is damaged") }
    func handle(_ index: Int) -> BlockHandle {
      BlockHandle(offset: bytes.load(UInt64.self, at: index * 12), storedBytes: bytes.load(UInt32.self, at: index * 12 + 8))
    }
    var footer = Footer(index: handle(0), filter: handle(1), rangeDeletions: handle(2), properties: handle(3))
    footer.fileBytes = bytes.load(UInt64.self, at: 48)
    footer.entryCount = bytes.load(UInt64.self, at: 56)
    footer.rangeDeletionCount = bytes.load(UInt64.self, at: 64)
    let found = bytes.load(UInt16.self, at: 72)
    footer.indexLevels = bytes[74]
    footer.filterHashes = bytes[75]
    guard found == version, (1...2).contains(footer.indexLevels) else {
      throw .unsupportedFormat(path, found: "format \(found) with \(footer.indexLevels) levels of index", supported: "format \(version)")
    }
    return footer
  }
}

extension UnsafeMutableRawBufferPointer {
  /// Stores an integer, least significant byte first.
  func store<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, at offset: Int) {
    storeBytes(of: value.littleEndian, toByteOffset: offset, as: T.self)
  }
}

extension [UInt8] {
  /// An integer, least significant byte first; the caller has checked the length.
  func load<T: FixedWidthInteger & BitwiseCopyable>(_: T.Type, at offset: Int) -> T {
    withUnsafeBytes { T(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: T.self)) }
  }
}
