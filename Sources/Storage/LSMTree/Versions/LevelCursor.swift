import StrataBytes
import StrataSSTable

/// The entries of a sorted run of tables, one table open at a time: a level costs an iterator one cursor, not one per table.
final class LevelCursor: Cursor {
  private let run: SortedRun
  private let bounds: KeyBounds
  private let reading: RunReading
  private var table = -1
  private var cursor: TableCursor?

  init(_ run: SortedRun, bounds: KeyBounds, _ reading: RunReading) {
    self.run = run
    self.bounds = bounds
    self.reading = reading
  }

  private func open(_ index: Int) -> TableCursor? {
    guard index >= 0, index < run.count else {
      table = -1
      cursor = nil
      isValid = false
      return nil
    }
    if table != index {
      table = index
      cursor = reading.cursor(run.tables[index])
    }
    return cursor
  }

  /// Moves within the open table and takes over what its cursor stands on.
  @inline(__always)
  private func move(_ cursor: TableCursor, _ body: (TableCursor) throws(TableError) -> Void) throws(TableError) {
    isValid = false
    try body(cursor)
    entry = cursor.entry
    isValid = cursor.isValid
  }

  /// Goes on in the tables that follow until one has an entry. None beyond the upper bound is opened.
  private func goOn() throws(TableError) {
    while !isValid {
      let next = table + 1
      guard table >= 0, next < run.count else { return }
      if let to = bounds.to, order(run.tables[next].metadata.smallest.userKey, to) >= 0 { return }
      guard let cursor = open(next) else { return }
      try move(cursor) { (cursor) throws(TableError) in try cursor.first() }
    }
  }

  private func goBack() throws(TableError) {
    while !isValid {
      guard table > 0 else { return }
      if let from = bounds.from, order(run.tables[table - 1].metadata.largest.userKey, from) < 0 { return }
      guard let cursor = open(table - 1) else { return }
      try move(cursor) { (cursor) throws(TableError) in try cursor.last() }
    }
  }

  override func first() throws(TableError) {
    guard let cursor = open(0) else { return }
    try move(cursor) { (cursor) throws(TableError) in try cursor.first() }
    try goOn()
  }

  override func last() throws(TableError) {
    guard let cursor = open(run.count - 1) else { return }
    try move(cursor) { (cursor) throws(TableError) in try cursor.last() }
    try goBack()
  }

  override func seek(_ key: UnsafeRawBufferPointer, _ trailer: Trailer) throws(TableError) {
    guard let cursor = open(run.firstTable(notBelow: key, head: keyHead(key))) else { return }
    try move(cursor) { (cursor) throws(TableError) in try cursor.seek(key, trailer) }
    try goOn()
  }

  override func seekBefore(_ key: UnsafeRawBufferPointer, _ trailer: Trailer) throws(TableError) {
    // The table that may hold the key, or where all end before it the last.
    let index = min(run.firstTable(notBelow: key, head: keyHead(key)), run.count - 1)
    guard let cursor = open(index) else { return }
    try move(cursor) { (cursor) throws(TableError) in try cursor.seekBefore(key, trailer) }
    try goBack()
  }

  override func next() throws(TableError) {
    guard let cursor else { return }
    try move(cursor) { (cursor) throws(TableError) in try cursor.next() }
    if !isValid { try goOn() }
  }

  override func previous() throws(TableError) {
    guard let cursor else { return }
    try move(cursor) { (cursor) throws(TableError) in try cursor.previous() }
    if !isValid { try goBack() }
  }
}
