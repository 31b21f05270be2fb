import StrataBytes
import StrataCompression
import StrataDisk
import SystemPackage

/// Brings blocks of one file into memory: reads, checks the checksum and the context, decompresses, checks every entry once.
struct BlockSource: Sendable {
  let file: any File
  let path: FilePath
  let fileID: UInt64
  /// Where the blocks end: the footer's beginning.
  let end: UInt64

  private func corrupt(_ handle: BlockHandle, _ kind: BlockKind, _ reason: String) -> TableError {
    .corruptBlock(path, offset: handle.offset, kind: kind.name, reason: reason)
  }

  /// Reads the block at `handle`.
  /// - Parameter isKept: whether the block will be asked more than once: a data block then gets a guide to its entries.
  /// - Throws: `.corruptBlock` where it is not as written or lies beyond the file; nothing is taken for lengths that cannot be.
  func read(_ handle: BlockHandle, _ kind: BlockKind, isKept: Bool = false) throws(TableError) -> BlockPin {
    guard handle.offset <= end, UInt64(handle.fileBytes) <= end - handle.offset else { throw corrupt(handle, kind, "it would end beyond the table") }
    // An uncompressed block, the most frequent one, is read to where it stays.
    let hasGuide = isKept && kind == .data
    let room = hasGuide ? BlockGuide.room(for: handle.fileBytes) : 0
    let pin = BlockPin.allocate(handle.fileBytes, guide: room, file: fileID, offset: handle.offset, isImportant: kind != .data)
    do throws(TableError) {
      try fill(pin.writable, from: handle.offset)
      return try unpack(UnsafeRawBufferPointer(pin.writable), handle, kind, reusing: pin, hasGuide: hasGuide)
    } catch {
      pin.release()
      throw error
    }
  }

  /// Reads raw bytes of the file, which must be there.
  func fill(_ buffer: UnsafeMutableRawBufferPointer, from offset: UInt64) throws(TableError) {
    do throws(DiskError) {
      var output = OutputRawSpan(buffer: buffer, initializedCount: 0)
      try file.read(at: offset, into: &output)
      let got = output.finalize(for: buffer)
      guard got == buffer.count else { throw .shortRead(path, at: offset, got: got, wanted: buffer.count) }
    } catch {
      if case .shortRead = error { throw .truncated(path, expected: offset + UInt64(buffer.count), actual: offset) }
      throw .disk(error)
    }
  }

  /// The checked payload of a whole block in memory, as a block of its own.
  /// - Parameter reusing: the pin that holds `block`, which becomes the result where the payload is stored uncompressed.
  func unpack(
    _ block: UnsafeRawBufferPointer, _ handle: BlockHandle, _ kind: BlockKind, reusing: BlockPin?, hasGuide: Bool = false
  ) throws(TableError) -> BlockPin {
    let (header, reason) = BlockHeader.verify(block, kind: kind, file: fileID, offset: handle.offset)
    guard let header else { throw corrupt(handle, kind, reason) }
    let stored = UnsafeRawBufferPointer(rebasing: block[BlockHeader.bytes...])
    let result: BlockPin
    if header.codec == .none, let reusing {
      reusing.dropFront(BlockHeader.bytes)
      result = reusing
    } else {
      let room = hasGuide ? BlockGuide.room(for: header.rawBytes) : 0
      result = BlockPin.allocate(header.rawBytes, guide: room, file: fileID, offset: handle.offset, isImportant: kind != .data)
      do throws(CompressionError) { try header.codec.decompress(stored, filling: result.writable) } catch {
        result.release()
        throw corrupt(handle, kind, "\(error)")
      }
    }
    if kind == .data || kind == .index || kind == .topIndex {
      let (view, fault) = BlockView.checked(result.payload, isIndex: kind != .data)
      if view == nil {
        if header.codec != .none || reusing == nil { result.release() }
        throw corrupt(handle, kind, fault)
      }
      if let view, hasGuide { result.makeGuide(view) }
    }
    if header.codec != .none { reusing?.release() }
    return result
  }
}
