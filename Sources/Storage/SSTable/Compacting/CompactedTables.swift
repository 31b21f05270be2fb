public import StrataDisk
import StrataJobs
public import SystemPackage

/// A directory of sorted tables that is kept in shape by a strategy, for those who have tables and no store: spilled runs, derived views, backups.
///
/// ```swift
/// let set = try CompactedTables.open("/data/runs", on: POSIXFileSystem())
/// try set.add(newest)
/// while set.needsCompaction { _ = try set.run() }
/// ```
/// What ``add(_:)`` and ``run()`` have returned survives a power loss; a crash inside leaves what was before or what was to be. Versions decide which
/// entry of a key is the newest; tables are best added in order of age, and an entry older than a deletion that a merge has already let go comes
/// back if it is added after that. One process at a time has the directory; one thread at a time uses the object.
public final class CompactedTables {
  /// How tables are chosen and written. The strategy is not stored: another one may take over at any opening.
  public struct Options: Sendable {
    /// Says what is merged with what.
    public var strategy: any CompactionStrategy = LeveledStrategy()
    /// How new tables are laid out; `createdAt` is whatever its owner last set.
    public var table = TableOptions()
    /// What merges may let go: snapshots, history floor, operator. Its `others` are the tables of the directory, whatever they are set to.
    public var policy = GarbagePolicy()
    /// A table ends at about this size. Level 0, whose tables are runs, has none.
    public var targetFileSize: UInt64 = 64 << 20
    /// Where the readers' blocks are kept; `nil` reads each anew.
    public var cache: BlockCache?

    public init() {}
  }

  /// Levels of the shape that the strategy looks at.
  public static let levels = 7

  /// May be changed between calls.
  public var options: Options
  /// The directory.
  public let directory: FilePath
  private let fileSystem: any FileSystem
  private let lock: any FileLock
  private var list: TableList
  private var byID: [UInt64: TableReader] = [:]
  /// Why nothing is changed any more: what a failed edit has left on the device is unknown.
  private var failure: TableError?

  private init(_ directory: FilePath, _ options: Options, _ list: TableList, _ lock: any FileLock, _ fileSystem: any FileSystem) {
    self.directory = directory
    self.options = options
    self.list = list
    self.lock = lock
    self.fileSystem = fileSystem
  }

  deinit { lock.unlock() }

  /// Lets another open the directory; nothing is changed through this object any more. Readers go on. Twice is harmless; to drop the object does it.
  public func close() {
    failure = failure ?? .disk(.closed(directory))
    lock.unlock()
  }

  /// Opens a directory, which is made where it is missing; files of tables that its list does not name are removed.
  /// - Throws: `.corruptList` where the list is damaged; `.disk`, with a lock that is held among it; as ``TableReader`` for a table.
  public static func open(
    _ directory: FilePath, options: Options = Options(), on fileSystem: any FileSystem
  ) throws(TableError) -> CompactedTables {
    let lock: any FileLock
    do throws(DiskError) {
      try fileSystem.makeDirectories(directory)
      lock = try fileSystem.lock(directory.appending("LOCK"))
    } catch { throw .disk(error) }
    do throws(TableError) {
      let list = try TableList.load(directory, on: fileSystem)
      let set = CompactedTables(directory, options, list, lock, fileSystem)
      for table in list.tables { set.byID[table.fileID] = try set.open(table) }
      try set.removeOrphans()
      return set
    } catch {
      lock.unlock()
      throw error
    }
  }

  // MARK: Looking

  /// The tables: level 0 newest first, then each level by key. A value.
  public var tables: [TableMetadata] { list.tables }

  /// Readers of ``tables``, in their order: newest first where they overlap. They stay readable when the table is merged away.
  public var readers: [TableReader] { list.tables.compactMap { byID[$0.fileID] } }

  /// What the strategy would do next; changes nothing.
  public var plan: CompactionPlan? {
    guard failure == nil, let plan = options.strategy.plan(list.shape, busy: []) else { return nil }
    return plan.kind == .deleteOnly ? spared(plan) : plan
  }

  /// Whether ``run()`` would do anything; changes nothing.
  public var needsCompaction: Bool { plan != nil }

  // MARK: Changing

  /// Copies a table into the directory as the newest of level 0; durable on return. Its entries are written anew, as each block's checksum knows the
  /// number of its file. O(bytes).
  /// - Throws: as ``TableWriter``, and for damage in `table`; then nothing has changed.
  @discardableResult
  public func add(_ table: TableReader) throws(TableError) -> TableMetadata {
    if let failure { throw failure }
    let id = list.nextFile
    var layout = options.table
    (layout.level, layout.newestTime) = (0, table.metadata.newestTime)
    var writer = try TableWriter(TableList.path(id, directory), fileID: id, options: layout, on: fileSystem)
    let cursor = table.cursor(fillCache: false)
    try cursor.first()
    while cursor.isValid {
      try writer.add(cursor.entry.key, cursor.entry.trailer, cursor.entry.value, hash: nil)
      try cursor.next()
    }
    for range in table.rangeTombstones.deletions {
      try writer.addRangeDeletion(from: range.start, to: range.end, sequence: range.sequence)
    }
    let metadata = try writer.finish()
    var next = list
    next.levels[0].insert(metadata, at: 0)
    next.nextFile = id + 1
    try install(next, [metadata])
    return metadata
  }

  /// Carries out one plan and returns the new tables, none where nothing is due or nothing stayed; durable on return. Call it as long as
  /// ``needsCompaction``.
  /// - Throws: as ``TableMerge/step(budget:)``; then the tables are what they were.
  @discardableResult
  public func run() throws(TableError) -> [TableReader] {
    if let failure { throw failure }
    guard let plan else { return [] }
    let ids = plan.inputIDs
    let numbers = Monitor(list.nextFile)
    var outputs: [TableMetadata]
    switch plan.kind {
    case .merge: outputs = try merge(plan, numbers)
    case .trivialMove:
      outputs = plan.inputs.flatMap { $0 }
      for index in outputs.indices { outputs[index].level = UInt8(plan.outputLevel) }
    case .deleteOnly: outputs = []
    }
    var next = list
    next.nextFile = numbers.withLock { $0 }
    // Runs that are merged are neighbours in age: the output takes their place.
    let place = next.levels[0].firstIndex { ids.contains($0.fileID) } ?? 0
    for level in next.levels.indices { next.levels[level].removeAll { ids.contains($0.fileID) } }
    if plan.outputLevel == 0 {
      next.levels[0].insert(contentsOf: outputs, at: min(place, next.levels[0].count))
    } else {
      next.levels[plan.outputLevel] = (next.levels[plan.outputLevel] + outputs).sorted { $0.smallest < $1.smallest }
    }
    try install(next, plan.kind == .merge ? outputs : [])
    return outputs.compactMap { byID[$0.fileID] }
  }

  private func merge(_ plan: CompactionPlan, _ numbers: Monitor<UInt64>) throws(TableError) -> [TableMetadata] {
    let inputs = plan.inputs.flatMap { $0 }
    let ids = plan.inputIDs
    var output = TableOutput(directory: directory, options: options.table) {
      numbers.withLock { number in
        number += 1
        return number - 1
      }
    }
    output.options.level = UInt8(plan.outputLevel)
    output.options.newestTime = inputs.map(\.newestTime).max()
    output.targetFileSize = plan.outputLevel == 0 ? 1 << 50 : options.targetFileSize
    output.grandparents = plan.grandparents
    var policy = options.policy
    policy.others = list.tables.filter { !ids.contains($0.fileID) }
    // Tables may be added in any order: what is newer is told by the sequences alone.
    policy.keepsSequences = true
    return try mergeTables(inputs.compactMap { byID[$0.fileID] }, to: output, policy, on: fileSystem).tables
  }

  /// What of a plan that drops what can be seen may go: the oldest tables, as far as no snapshot sees them and no history needs them.
  private func spared(_ plan: CompactionPlan) -> CompactionPlan? {
    let (newest, floor) = (options.policy.snapshots.max(), options.policy.historyFloor ?? .max)
    let free = plan.inputs.joined().reversed().prefix { table in
      table.maxSequence <= floor && newest.map { $0 < table.minSequence } ?? true
    }
    guard !free.isEmpty else { return nil }
    var plan = plan
    plan.inputs = [free.reversed()]
    return plan
  }

  // MARK: Files

  private func open(_ table: TableMetadata) throws(TableError) -> TableReader {
    try TableReader.open(TableList.path(table.fileID, directory), expected: table, cache: options.cache, on: fileSystem)
  }

  /// Makes a list the truth, `made` being its new files; then what it no longer names goes.
  private func install(_ next: TableList, _ made: [TableMetadata]) throws(TableError) {
    var opened: [UInt64: TableReader] = [:]
    do throws(TableError) {
      for table in made { opened[table.fileID] = try open(table) }
    } catch {
      for table in made { try? fileSystem.remove(TableList.path(table.fileID, directory)) }
      throw error
    }
    do throws(DiskError) { try fileSystem.atomicReplace(TableList.path(directory), with: next.encoded) } catch {
      // The new list may be in force or not: both lists' files stay, and the next opening finds out.
      failure = .disk(error)
      throw .disk(error)
    }
    let live = Set(next.tables.map(\.fileID))
    let gone = list.tables.map(\.fileID).filter { !live.contains($0) }
    list = next
    byID.merge(opened) { $1 }
    for id in gone {
      byID[id] = nil
      // What cannot be removed now is an orphan of the next opening.
      try? fileSystem.remove(TableList.path(id, directory))
    }
  }

  private func removeOrphans() throws(TableError) {
    let live = Set(list.tables.map { TableList.name($0.fileID) })
    do throws(DiskError) {
      for name in try fileSystem.list(directory) where TableList.isOurs(name) && !live.contains(name) {
        try fileSystem.remove(directory.appending(name))
      }
    } catch { throw .disk(error) }
  }
}
