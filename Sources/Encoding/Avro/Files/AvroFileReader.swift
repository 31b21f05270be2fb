import StrataBytes
import StrataDisk
import SystemPackage

/// What a reader does about a damaged block.
public enum AvroCorruption: Sendable, Hashable {
  /// Throws; blocks before it have been given.
  case `throw`
  /// Goes on behind the next marker that a whole block follows, and says so in ``AvroFileReader/damage``.
  case skipToNextSync
}

/// Bytes of a container file that no whole block is in.
public struct AvroDamage: Sendable, Hashable {
  /// Where they are.
  public var range: Range<UInt64>
  /// What was wrong at their beginning.
  public var reason: String
}

/// One block of a container file.
public struct AvroBlock: Sendable {
  /// Where it begins.
  public var offset: UInt64
  /// Where the next begins.
  public var end: UInt64
  /// How many values it has.
  public var count: Int
  /// Their bytes, restored.
  public var data: [UInt8]
}

/// Reads an object container file, block by block, on any file system.
///
/// A value type with its own place; the file is read by position, so that any number of readers share it. Memory is one block, restored.
/// Every block ends in the file's marker; Snappy and Zstandard blocks carry checksums, the others have theirs beside the file where Strata
/// wrote it. A reader of a part takes the blocks whose preceding marker begins in it, so that parts share no block and lose none.
public struct AvroFileReader {
  /// The schema the file was written with.
  public let schema: AvroSchema
  /// How the blocks are compressed.
  public let codec: AvroCodec
  /// The marker between blocks.
  public let syncMarker: [UInt8]
  /// The header's entries, the format's own included.
  public let metadata: [(String, [UInt8])]
  /// Where the first block begins.
  public let headerLength: UInt64
  /// What was passed over under `.skipToNextSync`.
  public private(set) var damage: [AvroDamage] = []

  private let plan: AvroPlan
  private let path: FilePath
  private let file: any File
  private let size: UInt64
  private let onCorruption: AvroCorruption
  private let checksums: [UInt64: Sidecar.Entry]
  private let lastChecked: UInt64
  private var position: UInt64
  private var stop: UInt64
  /// Bytes of the file from `windowStart` on, so that small blocks cost no read each.
  private var window: [UInt8] = []
  private var windowStart: UInt64 = 0
  private var current = AvroBlock(offset: 0, end: 0, count: 0, data: [])
  private var place = 0
  private var left = 0

  private static let windowBytes = 256 << 10

  /// Opens a file.
  /// - Parameters:
  ///   - reader: the schema of the values to give; the file's own where none is given.
  ///   - split: the part of the file whose blocks are read; all where none is given.
  public init(
    _ path: FilePath, reader: AvroSchema? = nil, split: Range<UInt64>? = nil, onCorruption: AvroCorruption = .throw,
    limits: AvroLimits = .default, on fileSystem: any FileSystem
  ) throws(AvroFileError) {
    self.path = path
    self.onCorruption = onCorruption
    do throws(DiskError) {
      file = try fileSystem.open(path, .read)
      size = try file.size()
    } catch { throw .disk(error) }
    let header = try Self.header(file, path, size)
    metadata = header.metadata
    syncMarker = header.sync
    headerLength = UInt64(header.length)
    guard let text = header.value("avro.schema") else { throw .damagedHeader(path, reason: "no avro.schema") }
    do throws(AvroSchemaError) { schema = try AvroSchema(json: text, rules: .lenient) } catch { throw .schema(path, error) }
    let name = header.value("avro.codec").map { String(decoding: $0, as: UTF8.self) } ?? "null"
    guard let codec = AvroCodec(name: name) else { throw .unknownCodec(path, name) }
    self.codec = codec
    do throws(AvroResolutionError) { plan = try AvroPlan(writer: schema, reader: reader, limits: limits) } catch {
      throw .irreconcilable(path, error)
    }
    let sidecar = codec.needsSidecar ? Self.sidecar(path, header.sync, fileSystem) : []
    checksums = Dictionary(sidecar.map { ($0.offset, $0) }, uniquingKeysWith: { first, _ in first })
    lastChecked = sidecar.map { $0.offset &+ $0.length }.max() ?? 0  // from a file whose own checksum held
    position = headerLength
    stop = split?.upperBound ?? .max
    if let split, split.lowerBound > 0 { position = try firstBlock(from: split.lowerBound) ?? size }
  }

  private static func header(_ file: any File, _ path: FilePath, _ size: UInt64) throws(AvroFileError) -> ContainerHeader {
    var count = 4096
    while true {
      let bytes: [UInt8]
      do throws(DiskError) { bytes = try file.read(at: 0, count: Int(Swift.min(size, UInt64(count)))) } catch { throw .disk(error) }
      do throws(ContainerHeader.Fault) { return try ContainerHeader(bytes) } catch {
        switch error {
        case .notAContainer: throw .notAContainer(path)
        case .damaged(let reason): throw .damagedHeader(path, reason: reason)
        case .truncated:
          guard bytes.count == count, count < ContainerHeader.maximumBytes else {
            throw bytes.count < 4 ? .notAContainer(path) : .damagedHeader(path, reason: "the file ends in it")
          }
          count *= 8
        }
      }
    }
  }

  private static func sidecar(_ path: FilePath, _ sync: [UInt8], _ fileSystem: any FileSystem) -> [Sidecar.Entry] {
    // What cannot be read says nothing about the container.
    guard let bytes = try? fileSystem.readAll(Sidecar.path(of: path), limit: Sidecar.maximumBytes) else { return [] }
    return Sidecar(bytes, sync: sync)?.entries ?? []
  }

  // MARK: Bytes

  /// Makes sure that the window has `count` bytes from `offset`, fewer where the file ends, and gives where they begin in it.
  private mutating func fill(_ offset: UInt64, _ count: Int) throws(AvroFileError) -> (start: Int, count: Int) {
    let available = Int(Swift.min(UInt64(count), size - Swift.min(offset, size)))
    if offset >= windowStart, offset - windowStart <= UInt64(window.count), UInt64(window.count) - (offset - windowStart) >= UInt64(available) {
      return (Int(offset - windowStart), available)
    }
    do throws(DiskError) {
      window = try file.read(at: offset, count: Swift.max(available, Int(Swift.min(UInt64(Self.windowBytes), size - offset))))
    } catch {
      throw .disk(error)
    }
    windowStart = offset
    return (0, Swift.min(available, window.count))
  }

  // MARK: Blocks

  /// A block's head and where its parts are.
  private struct Frame {
    var count: Int
    var data: UInt64
    var length: Int
    var end: UInt64
  }

  /// Reads a block's head and holds its end against the marker.
  private mutating func frame(at offset: UInt64) throws(AvroFileError) -> Frame {
    let (start, count) = try fill(offset, 20)
    var head: (count: Int64, length: Int64, bytes: Int) = (0, 0, 0)
    var failed: AvroDecodeError.Kind?
    window.withUnsafeBytes { bytes in
      var cursor = Cursor(UnsafeRawBufferPointer(rebasing: bytes[start..<start + count]), limits: plan.limits)
      do throws(Fault) { head = (try cursor.long(), try cursor.long(), cursor.consumed) } catch { failed = error.kind }
    }
    if let failed { throw failed == .endOfData ? .shortTail(path, offset: offset) : .damagedBlock(path, offset: offset, reason: "its head") }
    guard head.count >= 0, head.length >= 0 else { throw .damagedBlock(path, offset: offset, reason: "a length below zero") }
    guard head.length <= Int64(plan.limits.maxBlockSize) else {
      throw .blockTooLarge(path, offset: offset, bytes: head.length, limit: plan.limits.maxBlockSize)
    }
    let data = offset + UInt64(head.bytes)
    let end = data + UInt64(head.length) + UInt64(ContainerHeader.syncBytes)
    guard end <= size else { throw .shortTail(path, offset: offset) }
    let marker = try fill(data + UInt64(head.length), ContainerHeader.syncBytes)
    guard marker.count == 16, window[marker.start..<marker.start + 16].elementsEqual(syncMarker) else {
      throw .syncMismatch(path, offset: offset)
    }
    guard let items = Int(exactly: head.count) else { throw .damagedBlock(path, offset: offset, reason: "its count") }
    return Frame(count: items, data: data, length: Int(head.length), end: end)
  }

  private mutating func block(at offset: UInt64) throws(AvroFileError) -> AvroBlock {
    // One read for all of the block where it is larger than the window.
    let frame = try frame(at: offset)
    let (start, count) = try fill(offset, Int(frame.end - offset))
    guard UInt64(count) == frame.end - offset else { throw .shortTail(path, offset: offset) }
    let whole = window.span.bytes.extracting(start..<start + count)
    if let entry = checksums[offset], entry.length != UInt64(count) || entry.checksum != crc32c(whole) {
      throw .checksumMismatch(path, offset: offset)
    }
    let first = start + Int(frame.data - offset)
    let data: [UInt8]
    do throws(AvroCodec.BlockFault) {
      data = try codec.decompress(window.span.bytes.extracting(first..<first + frame.length), atMost: plan.limits.maxBlockSize)
    } catch {
      switch error {
      case .checksum: throw .checksumMismatch(path, offset: offset)
      case .damaged(let reason): throw .damagedBlock(path, offset: offset, reason: reason)
      }
    }
    // Values without bytes cost nothing in the file and as much as others to whoever reads them.
    guard plan.minimumSize > 0 || frame.count <= plan.limits.maxCollectionItems else {
      throw .damagedBlock(path, offset: offset, reason: "\(frame.count) values are not in \(data.count) bytes")
    }
    return AvroBlock(offset: offset, end: frame.end, count: frame.count, data: data)
  }

  /// The next block, restored and checked; `nil` at the end of the file or part.
  public mutating func nextBlock() throws(AvroFileError) -> AvroBlock? {
    while true {
      // A block belongs to the part that the marker before it begins in.
      guard position - UInt64(ContainerHeader.syncBytes) < stop else { return nil }
      if position >= size {
        guard lastChecked > size, onCorruption == .throw else { return nil }
        throw .shortTail(path, offset: size)
      }
      do throws(AvroFileError) {
        let block = try block(at: position)
        position = block.end
        return block
      } catch {
        try passOver(error)
      }
    }
  }

  /// Under `.skipToNextSync` notes the damage at `next` and moves behind it.
  private mutating func passOver(_ error: AvroFileError) throws(AvroFileError) {
    if case .disk = error { throw error }
    guard onCorruption == .skipToNextSync else { throw error }
    let target = try firstBlock(from: position) ?? size
    damage.append(AvroDamage(range: position..<target, reason: error.description))
    position = target
  }

  /// Where the first block begins whose preceding marker begins at `offset` or behind: a marker that a whole block, or nothing, follows.
  private mutating func firstBlock(from offset: UInt64) throws(AvroFileError) -> UInt64? {
    var scan = offset
    while scan + 16 <= size {
      let (start, count) = try fill(scan, Self.windowBytes)
      guard let found = Self.find(syncMarker, in: window, start..<start + count) else {
        // The marker may begin in the last bytes of what was looked at.
        if count < Self.windowBytes { return nil }
        scan += UInt64(count - 15)
        continue
      }
      let candidate = scan + UInt64(found - start) + 16
      if candidate == size { return nil }
      if let end = try? frame(at: candidate).end, end > candidate { return candidate }
      scan = candidate - 15
    }
    return nil
  }

  private static func find(_ marker: [UInt8], in bytes: [UInt8], _ range: Range<Int>) -> Int? {
    guard range.count >= 16 else { return nil }
    return bytes.withUnsafeBufferPointer { bytes in
      var index = range.lowerBound
      while index + 16 <= range.upperBound {
        if bytes[index] == marker[0], UnsafeBufferPointer(rebasing: bytes[index..<index + 16]).elementsEqual(marker) { return index }
        index += 1
      }
      return nil
    }
  }

  /// Whether a whole block lies behind `offset`, which no whole block begins at.
  mutating func hasBlock(after offset: UInt64) throws(AvroFileError) -> Bool { try firstBlock(from: offset) != nil }

  /// The checksum of a block that has just been read.
  mutating func sidecarEntry(_ block: AvroBlock) throws(AvroFileError) -> Sidecar.Entry {
    let (start, count) = try fill(block.offset, Int(block.end - block.offset))
    return Sidecar.Entry(offset: block.offset, length: UInt64(count), checksum: crc32c(window.span.bytes.extracting(start..<start + count)))
  }

  // MARK: Values

  /// The next value; `nil` at the end of the file or part.
  /// - Throws: ``AvroFileError``; after `.datum` the rest of the block is lost and the next call goes on behind it.
  public mutating func next() throws(AvroFileError) -> AvroValue? {
    try nextDatum { (plan, reader) throws(AvroDecodeError) in try plan.decode(&reader) }
  }

  /// The next value as a `T`; `nil` at the end of the file or part.
  public mutating func next<T: AvroDecodable>(_: T.Type) throws(AvroFileError) -> T? {
    try nextDatum { (plan, reader) throws(AvroDecodeError) in try plan.decode(T.self, &reader) }
  }

  /// Reads the next value into one that is there; `false` at the end of the file or part.
  public mutating func next<T: AvroDecodable>(into value: inout T) throws(AvroFileError) -> Bool {
    try nextDatum { (plan, reader) throws(AvroDecodeError) in try plan.decode(into: &value, &reader) } != nil
  }

  @inline(__always)
  private mutating func nextDatum<Result>(
    _ read: (AvroPlan, inout ByteReader) throws(AvroDecodeError) -> Result
  ) throws(AvroFileError) -> Result? {
    while true {
      while left == 0 {
        guard place == current.data.count else {
          let surplus = AvroFileError.damagedBlock(path, offset: current.offset, reason: "bytes are left behind its last value")
          place = current.data.count
          try lose(surplus)
          continue
        }
        guard let block = try nextBlock() else { return nil }
        current = block
        left = block.count
        place = 0
      }
      var reader = ByteReader(current.data.span.bytes.extracting(place...))
      let failure: AvroDecodeError
      do throws(AvroDecodeError) {
        let value = try read(plan, &reader)
        place = current.data.count - reader.remaining
        left -= 1
        return value
      } catch { failure = error }
      left = 0
      place = current.data.count
      try lose(.datum(path, block: current.offset, failure))
    }
  }

  private mutating func lose(_ error: AvroFileError) throws(AvroFileError) {
    guard onCorruption == .skipToNextSync else { throw error }
    damage.append(AvroDamage(range: current.offset..<current.end, reason: error.description))
  }
}

extension AvroFileReader: Sequence {
  /// Values one after another; the first failure is the last element.
  public func makeIterator() -> Values { Values(reader: self) }

  /// The values of a file, or why there are no more.
  public struct Values: IteratorProtocol {
    fileprivate var reader: AvroFileReader
    private var isOver = false

    fileprivate init(reader: AvroFileReader) { self.reader = reader }

    public mutating func next() -> Result<AvroValue, AvroFileError>? {
      if isOver { return nil }
      do throws(AvroFileError) {
        let value = try reader.next()
        isOver = value == nil
        return value.map { .success($0) }
      } catch {
        isOver = true
        return .failure(error)
      }
    }
  }
}
