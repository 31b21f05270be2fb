import CStrataMemory
import StrataBytes

/// A cursor over the entries of one table.
///
/// Holds one data block and, of a large table, one block of the index. Forward it decodes one entry a step; backward it decodes the run of entries
/// since a restart once and then steps through what it has kept. Belongs to one thread at a time; keeps the reader open.
public final class TableCursor: Cursor {
  // A cursor belongs to one thread and calls nobody back: its state is checked for overlapping access nowhere.
  private let reader: TableReader
  private let fillCache: Bool
  @exclusivity(unchecked) private var ahead: ReadAhead?
  /// The blocks of the index that lead here: the top, and the part where there are two levels.
  @exclusivity(unchecked) private var top: IndexPlace
  @exclusivity(unchecked) private var part: IndexPlace?
  @exclusivity(unchecked) private(set) var blockPin: BlockPin?
  @exclusivity(unchecked) private var view: BlockView?
  @exclusivity(unchecked) private var offset = 0
  @exclusivity(unchecked) private var nextOffset = 0
  @exclusivity(unchecked) private var key = RawBuffer(capacity: 128)
  @exclusivity(unchecked) private var run: BackwardRun
  /// What is passed over; `nil` for nothing.
  private let passing: (filter: BlockFilter, property: Int)?
  /// Whether all of the table is.
  private let passesTable: Bool
  /// Whether all of the part of the index that is open is.
  @exclusivity(unchecked) private var isPartPassed = false

  /// A position in a block of the index, whose every entry is a restart.
  private struct IndexPlace {
    var view: BlockView
    /// `nil` for the top, which the reader keeps.
    var pin: BlockPin?
    var index = 0
  }

  init(_ reader: TableReader, fillCache: Bool, _ filter: BlockFilter? = nil) {
    let place = filter.flatMap { filter in reader.properties.firstIndex { $0.name == filter.property } }
    if let filter, let place {
      passing = (filter, place)
      passesTable = reader.properties[place].value.map { !$0.withUnsafeBytes(filter.mayHold) } ?? false
    } else {
      (passing, passesTable) = (nil, false)
    }
    self.reader = reader
    self.fillCache = fillCache
    guard let view = BlockView(unchecked: reader.topIndex.payload, isIndex: true) else { preconditionFailure("the reader has checked its index") }
    top = IndexPlace(view: view)
    run = BackwardRun()
    if !fillCache { ahead = ReadAhead(reader.source) }
    super.init()
  }

  deinit {
    blockPin?.release()
    part?.pin?.release()
  }

  // MARK: Moves

  public override func first() throws(TableError) {
    isValid = false
    if passesTable { return }
    try openTop(0)
    try openPart(0)
    if passing != nil, isPassed { return try toNextBlock() }
    try openBlock()
    try settle(at: 0)
  }

  public override func last() throws(TableError) {
    isValid = false
    if passesTable { return }
    try openTop(top.view.restarts - 1)
    try openPart((part?.view.restarts ?? 1) - 1)
    if passing != nil, isPassed { return try toPreviousBlock() }
    try openBlock()
    try settleAtEnd()
  }

  public override func seek(_ target: UnsafeRawBufferPointer, _ trailer: Trailer) throws(TableError) {
    isValid = false
    guard top.view.restarts > 0, !passesTable else { return }
    try openTop(Self.place(target, trailer, in: top.view))
    if reader.hasTwoLevels, let view = part?.view { try openPart(Self.place(target, trailer, in: view)) }
    if passing != nil, isPassed { return try toNextBlock() }
    try openBlock()
    guard let view else { return }
    guard let found = view.firstEntry(notBefore: target, trailer) else { return try toNextBlock() }
    try settle(at: found.offset)
  }

  public override func seekBefore(_ target: UnsafeRawBufferPointer, _ trailer: Trailer) throws(TableError) {
    try seek(target, trailer)
    if isValid { try previous() } else { try last() }
  }

  public override func next() throws(TableError) {
    guard let view, nextOffset < view.entriesEnd else {
      isValid = false
      return try toNextBlock()
    }
    step(view)
  }

  public override func previous() throws(TableError) {
    guard let view else {
      isValid = false
      return
    }
    guard offset > 0 else { return try toPreviousBlock() }
    if run.end != offset { run.fill(view, before: offset) }
    show(run.take(), view)
  }

  // MARK: Within a block

  /// Moves to the entry after the present one, which is in the block.
  @inline(__always)
  private func step(_ view: BlockView) {
    let decoded = view.decode(at: nextOffset)
    offset = nextOffset
    nextOffset = decoded.next
    let suffix = view.base + decoded.suffix
    if decoded.shared == 0 {
      entry.key = UnsafeRawBufferPointer(start: suffix, count: decoded.unshared)
    } else {
      let length = decoded.shared &+ decoded.unshared
      let room = length &+ copySlack
      if room > key.capacity || entry.key.baseAddress != UnsafeRawPointer(key.base) { moveKey(keeping: decoded.shared, room: room) }
      copyInPieces(suffix, to: key.base + decoded.shared, decoded.unshared)
      entry.key = UnsafeRawBufferPointer(start: key.base, count: length)
    }
    entry.head = keyHead(entry.key)
    entry.trailer = decoded.trailer
    entry.value = UnsafeRawBufferPointer(start: suffix + decoded.unshared, count: decoded.valueBytes)
  }

  /// Brings the beginning of the present key into the buffer, which then has room for a key of `room` bytes.
  private func moveKey(keeping count: Int, room: Int) {
    if entry.key.baseAddress == UnsafeRawPointer(key.base) {
      key.count = entry.key.count
      _ = key.reserve(max(0, room - key.count))
    } else {
      key.count = 0
      _ = key.reserve(room)
      key.base.copyMemory(from: entry.key.baseAddress ?? UnsafeRawPointer(key.base), byteCount: count)
    }
  }

  /// Moves to the entry at `target`, decoding from the restart before it.
  private func settle(at target: Int) throws(TableError) {
    guard let view, view.entryCount > 0 else {
      isValid = false
      return
    }
    nextOffset = view.restartOffset(view.restart(atOrBefore: target))
    repeat { step(view) } while offset < target
    isValid = true
  }

  private func settleAtEnd() throws(TableError) {
    guard let view, view.entryCount > 0 else {
      isValid = false
      return
    }
    // A block is walked against the direction in which processors look ahead: its last page is asked for at once.
    let near = min(view.entriesEnd, 4096)
    strata_prefetch_range(view.base + (view.entriesEnd - near), near)
    run.fill(view, before: view.entriesEnd)
    show(run.take(), view)
    isValid = true
  }

  private func show(_ saved: BackwardRun.Saved, _ view: BlockView) {
    offset = saved.offset
    nextOffset = saved.next
    entry.key = run.key(of: saved)
    entry.head = keyHead(entry.key)
    entry.trailer = saved.trailer
    entry.value = UnsafeRawBufferPointer(start: view.base + saved.value, count: saved.valueBytes)
  }

  // MARK: Between blocks

  /// The number of the index entry whose block holds the first entry at or after the target; beyond the last where none does.
  private static func place(_ target: UnsafeRawBufferPointer, _ trailer: Trailer, in view: BlockView) -> Int {
    let index = view.restart(before: target, trailer)
    let (key, last) = view.restartKey(index)
    let order = compare(key, target)
    return order < 0 || (order == 0 && last > trailer) ? index + 1 : index
  }

  /// Whether the filter passes over the block that the index stands on, of which there is one.
  private var isPassed: Bool {
    guard let place = reader.hasTwoLevels ? part : top, place.index >= 0, place.index < place.view.restarts else { return false }
    // Of a part that is passed over every block is, however the cursor has come there: the blocks alone may say less.
    return isPartPassed || isPassed(place.view, place.index)
  }

  private func isPassed(_ view: BlockView, _ index: Int) -> Bool {
    guard let passing else { return false }
    let entry = view.decode(at: view.restartOffset(index))
    let value = UnsafeRawBufferPointer(start: view.base + entry.value, count: entry.valueBytes)
    return BlockSummary.isPassed(value, property: passing.property, passing.filter)
  }

  /// Stands on entry `index` of the top, and opens the part it names where there are two levels.
  private func openTop(_ index: Int) throws(TableError) {
    top.index = index
    guard reader.hasTwoLevels else { return }
    part?.pin?.release()
    part = nil
    guard index >= 0, index < top.view.restarts else { return }
    if passing != nil { isPartPassed = isPassed(top.view, index) }
    let pin = try reader.block(try reader.handle(top.view, top.view.decode(at: top.view.restartOffset(index))), .index)
    do throws(TableError) { part = IndexPlace(view: try reader.view(pin, isIndex: true), pin: pin) } catch {
      pin.release()
      throw error
    }
  }

  private func openPart(_ index: Int) throws(TableError) { part?.index = index }

  /// Opens the data block the index stands on; none where it stands beyond its ends.
  private func openBlock() throws(TableError) {
    blockPin?.release()
    blockPin = nil
    view = nil
    isValid = false
    run.forget()
    let place = reader.hasTwoLevels ? part : top
    guard let place, place.index >= 0, place.index < place.view.restarts else { return }
    let handle = try reader.handle(place.view, place.view.decode(at: place.view.restartOffset(place.index)))
    if ahead != nil {
      view = try ahead?.view(handle)
      return
    }
    let pin = try reader.block(handle, .data)
    blockPin = pin
    view = try reader.view(pin)
  }

  private func toNextBlock() throws(TableError) {
    while true {
      try moveIndex(by: 1)
      if passing != nil, isPassed { continue }
      try openBlock()
      guard let view else {
        isValid = false
        return
      }
      if view.entryCount > 0 { return try settle(at: 0) }
    }
  }

  private func toPreviousBlock() throws(TableError) {
    while true {
      try moveIndex(by: -1)
      if passing != nil, isPassed { continue }
      try openBlock()
      guard let view else {
        isValid = false
        return
      }
      if view.entryCount > 0 { return try settleAtEnd() }
    }
  }

  private func moveIndex(by step: Int) throws(TableError) {
    guard reader.hasTwoLevels else {
      top.index += step
      return
    }
    if let place = part, place.index + step >= 0, place.index + step < place.view.restarts {
      part?.index += step
      return
    }
    var next = top.index + step
    while passing != nil, next >= 0, next < top.view.restarts, isPassed(top.view, next) { next += step }
    try openTop(next)
    if let view = part?.view { try openPart(step > 0 ? 0 : view.restarts - 1) }
  }
}

/// Reads a table from front to back in long pieces that no cache sees; its views last until the next one.
struct ReadAhead: ~Copyable {
  private static let pieceBytes = 1 << 20
  private let source: BlockSource
  private var piece = RawBuffer(capacity: 64)
  private var start: UInt64 = 0
  private var unpacked: BlockPin?

  init(_ source: BlockSource) { self.source = source }

  deinit { unpacked?.release() }

  mutating func view(_ handle: BlockHandle) throws(TableError) -> BlockView {
    let wanted = handle.fileBytes
    guard handle.offset <= source.end, UInt64(wanted) <= source.end - handle.offset else {
      throw .corruptBlock(source.path, offset: handle.offset, kind: BlockKind.data.name, reason: "it would end beyond the table")
    }
    if handle.offset < start || handle.offset + UInt64(wanted) > start + UInt64(piece.count) {
      let count = Int(min(UInt64(max(Self.pieceBytes, wanted)), source.end - handle.offset))
      piece.count = 0
      let room = UnsafeMutableRawBufferPointer(start: piece.reserve(count), count: count)
      try source.fill(room, from: handle.offset)
      piece.count = count
      start = handle.offset
    }
    let block = UnsafeRawBufferPointer(start: piece.base + Int(handle.offset - start), count: wanted)
    unpacked?.release()
    unpacked = nil
    if block[13] == 0 { return try inPlace(block, handle) }
    let pin = try source.unpack(block, handle, .data, reusing: nil)
    unpacked = pin
    guard let view = BlockView(unchecked: pin.payload) else { preconditionFailure("unpacking has checked the block") }
    return view
  }

  /// A block that is not compressed is read where it lies.
  private func inPlace(_ block: UnsafeRawBufferPointer, _ handle: BlockHandle) throws(TableError) -> BlockView {
    let (header, reason) = BlockHeader.verify(block, kind: .data, file: source.fileID, offset: handle.offset)
    guard header != nil else { throw .corruptBlock(source.path, offset: handle.offset, kind: BlockKind.data.name, reason: reason) }
    let (view, fault) = BlockView.checked(UnsafeRawBufferPointer(rebasing: block[BlockHeader.bytes...]))
    guard let view else { throw .corruptBlock(source.path, offset: handle.offset, kind: BlockKind.data.name, reason: fault) }
    return view
  }
}
