import StrataSSTable

extension Levels {
  /// Cursors over the inputs of a compaction, newest first as they are: one for each table of level 0 and one for each deeper level, whose tables do
  /// not overlap and are read one after another. So a merge of any number of tables has few of them open, each with a buffer of its own.
  static func cursors(overInputs inputs: [TableHandle]) -> [Cursor] {
    var cursors: [Cursor] = []
    var seen: Set<UInt8> = []
    for input in inputs {
      let level = input.metadata.level
      if level > 0, !seen.insert(level).inserted { continue }
      let tables = level == 0 ? [input] : inputs.filter { $0.metadata.level == level }.sorted { $0.metadata.smallest < $1.metadata.smallest }
      if tables.count == 1 {
        cursors.append(input.reader.cursor(fillCache: false))
      } else {
        let reading = RunReading(fillCache: false, filter: nil, older: [])
        cursors.append(LevelCursor(SortedRun(tables, level: Int(level)), bounds: .all, reading))
      }
    }
    return cursors
  }
}
