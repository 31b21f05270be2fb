import StrataBytes
import StrataDisk
import SystemPackage

/// What a container file's writer can be told.
public struct AvroFileOptions: Sendable {
  /// How blocks are compressed.
  public var codec = AvroCodec.zstandard()
  /// After how many bytes of data a block ends.
  public var blockBytes = 64 << 10
  /// The marker between blocks, 16 bytes; random where none is given.
  public var syncMarker: [UInt8]?
  /// More entries of the header. Names that begin with `avro.` are the format's own.
  public var metadata: [(String, [UInt8])] = []

  /// Zstandard, blocks of 64 KiB.
  public init() {}
}

/// Writes an object container file.
///
/// A new file is written under a temporary name and becomes visible, whole and durable, by ``close()``; until then a crash leaves what was
/// there before. Appending goes into the file itself, behind its last whole block; ``sync()`` makes what is there durable. One owner, one
/// thread at a time. After an error of the file system nothing more is written.
public struct AvroFileWriter: ~Copyable {
  private let encoder: AvroEncoder
  private let fileSystem: any FileSystem
  private let path: FilePath
  private let temporary: FilePath?
  private let file: any File
  private let options: AvroFileOptions
  private let marker: [UInt8]
  private var end: UInt64
  private var block = ByteWriter()
  private var items: Int64 = 0
  private var entries: [Sidecar.Entry]
  private var isOpen = true

  /// How many bytes the file has so far, without the block that is being filled.
  public var bytesWritten: UInt64 { end }

  /// Begins a new file that takes the place of what is at `path` when it is closed.
  public static func create(
    _ path: FilePath, schema: AvroSchema, options: AvroFileOptions = AvroFileOptions(), on fileSystem: any FileSystem
  ) throws(AvroFileError) -> AvroFileWriter {
    if case .bzip2 = options.codec { throw .unwritableCodec("bzip2") }
    if case .xz = options.codec { throw .unwritableCodec("xz") }
    var random = SystemRandomNumberGenerator()
    let sync = options.syncMarker ?? (0..<ContainerHeader.syncBytes).map { _ in UInt8.random(in: 0...255, using: &random) }
    precondition(sync.count == ContainerHeader.syncBytes, "a marker has 16 bytes")
    let metadata = [("avro.schema", Array(schema.fullJSON.utf8)), ("avro.codec", Array(options.codec.name.utf8))] + options.metadata
    let header = ContainerHeader(metadata: metadata, sync: sync).encoded()
    let temporary = FilePath(path.string + ".tmp")
    do throws(DiskError) {
      let file = try fileSystem.open(temporary, .create)
      try file.truncate(to: 0)
      try file.write(header, at: 0)
      return AvroFileWriter(schema, fileSystem, path, temporary, file, options, sync, end: UInt64(header.count), entries: [])
    } catch { throw .disk(error) }
  }

  /// Opens a file to write behind its last whole block. A block that was cut off or damaged at the end is cut away first.
  /// - Throws: `.otherSchema` where the file's schema is not `schema`; errors of the header; `.damagedBlock` and its kin where a block
  ///   before the last is damaged.
  public static func append(
    _ path: FilePath, schema: AvroSchema, options: AvroFileOptions = AvroFileOptions(), on fileSystem: any FileSystem
  ) throws(AvroFileError) -> AvroFileWriter {
    var reader = try AvroFileReader(path, on: fileSystem)
    guard reader.schema == schema else { throw .otherSchema(path) }
    var options = options
    options.codec = reader.codec
    options.syncMarker = reader.syncMarker
    var end = reader.headerLength
    var entries: [Sidecar.Entry] = []
    do throws(AvroFileError) {
      while let block = try reader.nextBlock() {
        end = block.end
        entries.append(try reader.sidecarEntry(block))
      }
    } catch {
      // Damage that nothing whole follows is a torn tail; damage before whole blocks is not for an appender to cut away.
      guard try reader.hasBlock(after: end) == false else { throw error }
    }
    do throws(DiskError) {
      let file = try fileSystem.open(path, .readWrite)
      if try file.size() > end {
        try file.truncate(to: end)
        try file.sync(.full)
      }
      return AvroFileWriter(schema, fileSystem, path, nil, file, options, reader.syncMarker, end: end, entries: entries)
    } catch { throw .disk(error) }
  }

  private init(
    _ schema: AvroSchema, _ fileSystem: any FileSystem, _ path: FilePath, _ temporary: FilePath?, _ file: any File,
    _ options: AvroFileOptions, _ sync: [UInt8], end: UInt64, entries: [Sidecar.Entry]
  ) {
    encoder = AvroEncoder(schema)
    self.fileSystem = fileSystem
    self.path = path
    self.temporary = temporary
    self.file = file
    self.options = options
    marker = sync
    self.end = end
    self.entries = entries
  }

  /// Adds a value; it is in the file once its block is.
  public mutating func append(_ value: AvroValue) throws(AvroFileError) {
    guard isOpen else { throw .closed(path) }
    do throws(AvroEncodeError) { try encoder.encode(value, into: &block) } catch { throw .value(error) }
    try added()
  }

  /// Adds a value; it is in the file once its block is.
  public mutating func append<T: AvroEncodable>(_ value: T) throws(AvroFileError) {
    guard isOpen else { throw .closed(path) }
    do throws(AvroEncodeError) { try encoder.encode(value, into: &block) } catch { throw .value(error) }
    try added()
  }

  private mutating func added() throws(AvroFileError) {
    items += 1
    if block.count >= options.blockBytes { try flush() }
  }

  /// Ends the block that is being filled and hands it to the kernel.
  public mutating func flush() throws(AvroFileError) {
    guard isOpen else { throw .closed(path) }
    guard items > 0 else { return }
    let data = try options.codec.compress(block.bytes)
    var whole = ByteWriter(capacity: data.count + 64)
    whole.writeZigzag64(items)
    whole.writeZigzag64(Int64(data.count))
    whole.writeBytes(data)
    whole.writeBytes(marker)
    do throws(DiskError) { try file.write(whole.bytes, at: end) } catch {
      isOpen = false
      throw .disk(error)
    }
    let length = UInt64(whole.count)
    if options.codec.needsSidecar { entries.append(.init(offset: end, length: length, checksum: crc32c(whole.bytes))) }
    end += length
    items = 0
    block.removeAll()
  }

  /// Ends the block and makes all so far durable; of a new file only once it is closed has the content its name.
  public mutating func sync() throws(AvroFileError) {
    try flush()
    do throws(DiskError) { try file.sync(.full) } catch {
      isOpen = false
      throw .disk(error)
    }
  }

  /// Ends the file. On return it is whole, durable and has its name.
  public mutating func close() throws(AvroFileError) {
    try sync()
    isOpen = false
    do throws(DiskError) {
      try file.close()
      if let temporary { try fileSystem.rename(temporary, to: path, replacing: true) }
      try fileSystem.syncDirectory(path.parentDirectory)
      // The checksums come after what they are of: a crash between leaves a file without, never one that its checksums belie.
      if options.codec.needsSidecar {
        try fileSystem.atomicReplace(Sidecar.path(of: path), with: Sidecar(sync: marker, entries: entries).encoded())
      }
    } catch { throw .disk(error) }
  }

  /// Gives up. A new file is removed, what was there before stays; of an appended file what was flushed stays.
  public mutating func discard() throws(AvroFileError) {
    guard isOpen else { return }
    isOpen = false
    do throws(DiskError) {
      try file.close()
      if let temporary { try fileSystem.remove(temporary) }
    } catch { throw .disk(error) }
  }
}
