import StrataBytes
public import StrataDisk
public import StrataJobs
public import SystemPackage

/// Where a merge writes and where it cuts.
public struct TableOutput: Sendable {
  /// Directory of the new tables.
  public var directory: FilePath
  /// Gives each new table its number; the file's name follows from it by ``fileName``.
  public var nextFileID: @Sendable () -> UInt64
  /// The name of table `id` in `directory`.
  public var fileName: @Sendable (_ id: UInt64) -> String = { id in
    let digits = String(id)
    return String(repeating: "0", count: max(0, 10 - digits.count)) + digits + ".sst"
  }
  /// How tables are laid out.
  public var options: TableOptions
  /// A table ends at about this size, always between two user keys.
  public var targetFileSize: UInt64 = 64 << 20
  /// The tables two levels down: an output ends before it overlaps more than ten target sizes of them.
  public var grandparents: [TableMetadata] = []

  public init(directory: FilePath, options: TableOptions = TableOptions(), nextFileID: @escaping @Sendable () -> UInt64) {
    self.directory = directory
    self.options = options
    self.nextFileID = nextFileID
  }
}

/// Merges sorted sources into new tables, in steps of bounded size: flushes, compactions and stand-alone merges are this.
///
/// ```swift
/// let merge = try TableMerge([newer.cursor(fillCache: false), older.cursor(fillCache: false)], ranges: ..., to: output, policy, on: disk)
/// while case .progress = try merge.step(budget: 1 << 20) {}
/// let tables = try merge.finish()
/// ```
/// Inputs are never changed. Until ``finish()`` has returned nothing counts; a merge that is dropped, abandoned or has thrown removes what it wrote.
/// Memory: a block per input, the read-ahead of each, the writer's. Belongs to one thread at a time.
public final class TableMerge {
  private let fileSystem: any FileSystem
  private let output: TableOutput
  private let source: Cursor
  private let iterator: CompactionIterator
  // Belongs to one thread: no access of the writer can overlap another.
  @exclusivity(unchecked) private var writer: TableWriter?
  private var writerID: UInt64 = 0
  private var tables: [TableMetadata] = []
  private var paths: [FilePath] = []
  /// Where the present output begins among the retained range deletions; `nil` before the first.
  private var lowerBound: [UInt8]?
  private var hasStarted = false
  private var isEnded = false
  private var isKept = false
  private var grandparent = 0
  private var overlap: UInt64 = 0

  /// - Parameters:
  ///   - inputs: newest first; not positioned yet.
  ///   - ranges: the range deletions of all inputs.
  public init(
    _ inputs: [Cursor], ranges: RangeTombstones, to output: TableOutput, _ policy: GarbagePolicy, on fileSystem: any FileSystem
  ) throws(TableError) {
    self.output = output
    self.fileSystem = fileSystem
    source = inputs.count == 1 ? inputs[0] : MergingCursor(inputs)
    try source.first()
    iterator = CompactionIterator(source, ranges: ranges, policy)
  }

  deinit { if !isKept { removeOutputs() } }

  /// What was read, written and let go so far.
  public var report: MergeReport { iterator.report }

  /// Merges about `budget` bytes; at least one entry.
  /// - Throws: `.corruptBlock` of an input, `.missingMergeOperator`, `.disk`. The merge is then over and leaves no file.
  public func step(budget: Int) throws(TableError) -> JobStep {
    guard !isEnded else { return .done }
    let before = iterator.report.bytesIn
    do throws(TableError) {
      while iterator.report.bytesIn - before < UInt64(max(budget, 1)) {
        guard try iterator.next() else {
          try end()
          return .done
        }
        try add(iterator.entry)
      }
    } catch {
      abandon()
      throw error
    }
    return .progress(bytes: Int(clamping: iterator.report.bytesIn - before))
  }

  @inline(__always)
  private func add(_ entry: CursorEntry) throws(TableError) {
    if iterator.isNewKey, writer != nil, mustCut(before: entry.key) { try endTable(before: [UInt8](entry.key)) }
    if writer == nil { try beginTable() }
    try writer?.add(entry.key, entry.trailer, entry.value, hash: nil)
  }

  private func mustCut(before key: UnsafeRawBufferPointer) -> Bool {
    if let size = writer?.estimatedFileSize, size >= output.targetFileSize { return true }
    guard grandparent < output.grandparents.count else { return false }
    while grandparent < output.grandparents.count,
      output.grandparents[grandparent].largest.userKey.withUnsafeBytes({ compare($0, key) }) < 0
    {
      overlap += output.grandparents[grandparent].fileSize
      grandparent += 1
    }
    return overlap > output.targetFileSize * 10
  }

  private func beginTable() throws(TableError) {
    writerID = output.nextFileID()
    overlap = 0
    let path = output.directory.appending(output.fileName(writerID))
    writer = try TableWriter(path, fileID: writerID, options: output.options, on: fileSystem)
    hasStarted = true
  }

  /// Ends the present output; `next` is the first user key of the one that follows, `nil` for none.
  private func endTable(before next: [UInt8]?) throws(TableError) {
    let taken = writer.take()
    guard var ending = taken else { return }
    for range in iterator.retained.clipped(from: lowerBound, to: next).deletions {
      try ending.addRangeDeletion(from: range.start, to: range.end, sequence: range.sequence)
    }
    lowerBound = next
    let path = output.directory.appending(output.fileName(writerID))
    // Named before it exists, so that a failure half-way removes it.
    paths.append(path)
    tables.append(try ending.finish())
  }

  private func end() throws(TableError) {
    if writer == nil, !iterator.retained.clipped(from: lowerBound, to: nil).isEmpty { try beginTable() }
    try endTable(before: nil)
    let report = iterator.report
    guard report.entriesIn == report.entriesOut + report.dropped else {
      throw .miscounted(entriesIn: report.entriesIn, entriesOut: report.entriesOut, dropped: report.dropped)
    }
    isEnded = true
  }

  /// Runs the merge to its end and gives the new tables, in key order; each is durable under its name. None where nothing stayed.
  /// - Throws: as ``step(budget:)``.
  public func finish() throws(TableError) -> [TableMetadata] {
    while !isEnded { _ = try step(budget: 1 << 20) }
    isKept = true
    return tables
  }

  /// Drops what was written.
  public func abandon() {
    isEnded = true
    writer = nil
    removeOutputs()
  }

  private func removeOutputs() {
    for path in paths { try? fileSystem.remove(path) }
    paths = []
    tables = []
  }
}

/// Merges whole tables, newest first, in one call. The inputs stay as they are.
/// - Throws: as ``TableMerge/step(budget:)``; then nothing was made.
public func mergeTables(
  _ inputs: [TableReader], to output: TableOutput, _ policy: GarbagePolicy = GarbagePolicy(), on fileSystem: any FileSystem
) throws(TableError) -> (tables: [TableMetadata], report: MergeReport) {
  let ranges = RangeTombstones(inputs.flatMap(\.rangeTombstones.deletions))
  var output = output
  if output.options.newestTime == nil { output.options.newestTime = inputs.map(\.metadata.newestTime).max() }
  let merge = try TableMerge(inputs.map { $0.cursor(fillCache: false) }, ranges: ranges, to: output, policy, on: fileSystem)
  let tables = try merge.finish()
  return (tables, merge.report)
}
