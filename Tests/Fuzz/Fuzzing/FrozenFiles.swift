import StrataDisk
import SystemPackage

/// Files in memory that are read and never written: what a decoder of files is given.
struct FrozenFiles: FileSystem {
  let files: [FilePath: [UInt8]]

  init(_ files: [FilePath: [UInt8]]) { self.files = files }

  func open(_ path: FilePath, _ mode: OpenMode) throws(DiskError) -> any File {
    guard mode == .read else { throw .readOnly(path) }
    guard let bytes = files[path] else { throw .notFound(path) }
    return FrozenFile(path, bytes)
  }

  func list(_ directory: FilePath) throws(DiskError) -> [String] {
    files.keys.filter { $0.removingLastComponent() == directory }.compactMap { $0.lastComponent?.string }.sorted()
  }

  func status(_ path: FilePath) throws(DiskError) -> FileStatus? {
    if let bytes = files[path] { return FileStatus(size: UInt64(bytes.count), isDirectory: false) }
    return files.keys.contains { $0.starts(with: path) } ? FileStatus(size: 0, isDirectory: true) : nil
  }

  func rename(_ source: FilePath, to target: FilePath, replacing: Bool) throws(DiskError) { throw .readOnly(source) }
  func link(_ existing: FilePath, to target: FilePath) throws(DiskError) { throw .readOnly(existing) }
  func remove(_ path: FilePath) throws(DiskError) { throw .readOnly(path) }
  func makeDirectory(_ path: FilePath) throws(DiskError) { throw .readOnly(path) }
  func removeDirectory(_ path: FilePath) throws(DiskError) { throw .readOnly(path) }
  func syncDirectory(_ directory: FilePath) throws(DiskError) { throw .readOnly(directory) }
  func lock(_ path: FilePath) throws(DiskError) -> any FileLock { throw .readOnly(path) }
  func freeSpace(_ directory: FilePath) throws(DiskError) -> UInt64 { 0 }
}

private final class FrozenFile: File {
  let path: FilePath
  private let bytes: [UInt8]

  init(_ path: FilePath, _ bytes: [UInt8]) {
    self.path = path
    self.bytes = bytes
  }

  func size() throws(DiskError) -> UInt64 { UInt64(bytes.count) }

  func read(at offset: UInt64, into buffer: inout OutputRawSpan) throws(DiskError) {
    guard offset < UInt64(bytes.count) else { return }
    for byte in bytes[Int(offset)...].prefix(buffer.freeCapacity) { buffer.append(byte, as: UInt8.self) }
  }

  func readIfCached(at offset: UInt64, into buffer: inout OutputRawSpan) throws(DiskError) -> Bool {
    try read(at: offset, into: &buffer)
    return true
  }

  func write(_ bytes: RawSpan, at offset: UInt64) throws(DiskError) { throw .readOnly(path) }
  func writeVectored(_ pieces: [[UInt8]], at offset: UInt64) throws(DiskError) { throw .readOnly(path) }
  func truncate(to size: UInt64) throws(DiskError) { throw .readOnly(path) }
  func allocate(_ range: Range<UInt64>) throws(DiskError) { throw .readOnly(path) }
  func sync(_ level: SyncLevel) throws(DiskError) { throw .readOnly(path) }
  func close() throws(DiskError) {}
}
