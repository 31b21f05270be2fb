import StrataBytes
import StrataDisk
import StrataSSTable
import StrataWriteAheadLog
import SystemPackage

/// Rebuilds a manifest out of the tables there are.
struct Repair {
  let directory: FilePath
  let options: LSMOptions
  let fileSystem: any FileSystem

  /// - Returns: what was left out and why.
  func run() throws(LSMError) -> [String] {
    let lock: any FileLock
    let names: [String]
    do throws(DiskError) {
      lock = try fileSystem.lock(FileName.lock.path(in: directory))
      names = try fileSystem.list(directory)
    } catch { throw LSMError(error) }
    defer { lock.unlock() }
    var left: [String] = []
    var state = ManifestState(store: StoreID(high: options.entropy(), low: options.entropy()))
    let stored = options.takesStoredKeyspaceOptions ? Self.storedRecord(names, directory, fileSystem) : nil
    var keyspace = ManifestState.KeyspaceState(record: stored ?? KeyspaceRecord(0, "", options.defaultKeyspace))
    for name in names {
      guard let number = FileName(name)?.tableNumber else { continue }
      do throws(TableError) {
        var metadata = try TableReader.open(directory.appending(name), on: fileSystem).metadata
        guard metadata.fileID == number else { throw .foreignTable(directory.appending(name), reason: "it is table \(metadata.fileID)") }
        metadata.level = 0
        keyspace.tables[number] = metadata
        state.lastSequence = max(state.lastSequence, metadata.maxSequence)
        state.nextFile = max(state.nextFile, number + 1)
      } catch { left.append("\(name): \(error)") }
    }
    keyspace.flushedLog = try logMark(through: state.lastSequence)
    state.keyspaces[0] = keyspace
    let number = names.compactMap { FileName($0)?.manifestNumber }.max() ?? 0
    do throws(DiskError) {
      _ = try Manifest(state, number: number + 1, floorBytes: options.manifestRewriteBytes, in: directory, on: fileSystem)
    } catch { throw LSMError(error) }
    return left
  }

  /// What the default keyspace was created with, by the first edit of the newest manifest that has a sound one; `nil` where none has. That edit is
  /// the state as of the file's beginning, and what a keyspace was created with never changes.
  static func storedRecord(_ names: [String], _ directory: FilePath, _ fileSystem: any FileSystem) -> KeyspaceRecord? {
    for number in names.compactMap({ FileName($0)?.manifestNumber }).sorted(by: >) {
      let path = FileName.manifest(number).path(in: directory)
      guard let bytes = try? fileSystem.readAll(path, limit: ManifestFormat.maxBytes), bytes.count > ManifestFormat.headerBytes else { continue }
      let span = bytes.span.bytes
      guard let frame = ManifestFormat.frame(span, at: ManifestFormat.headerBytes, file: number),
        let edit = try? ManifestFormat.decode(span.extracting(frame.payload), base: frame.payload.lowerBound),
        let record = edit.created.first(where: { $0.id == 0 })
      else { continue }
      return record
    }
    return nil
  }

  /// The last record whose changes are all in tables: memtables are flushed in order, so every record up to the newest sequence of any table is.
  private func logMark(through sequence: UInt64) throws(LSMError) -> UInt64 {
    let log: WriteAheadLog
    do throws(WALError) { (log, _) = try WriteAheadLog.open(FileName.log.path(in: directory), on: fileSystem) } catch { throw LSMError(error) }
    var mark = log.firstSequence - 1
    do {
      try log.replay(after: 0).forEach { (number, _, payload, _) throws(LSMError) in
        var reader = ByteReader(payload)
        if let header = try? BatchFormat.readHeader(&reader), header.last <= sequence { mark = number }
      }
      try log.close()
    } catch let error as WALError {
      throw LSMError(error)
    } catch { throw .corruptLog(reason: "\(error)") }
    return mark
  }
}
