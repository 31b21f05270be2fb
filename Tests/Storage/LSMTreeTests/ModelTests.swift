import StrataDisk
import StrataNodes
import StrataRequirements
import StrataSSTable
import StrataSimulation
import Testing

@testable import StrataLSMTree

/// Random operations against a sorted map, under random options: what the store shows never depends on when something is flushed or merged.
@Suite struct ModelTests {
  /// A store and what it should hold.
  final class Run {
    let disk = SimulatedFileSystem()
    var random: Random
    let options: LSMOptions
    var store: LSMTree
    var state: [String: String] = [:]
    var snapshots: [(snapshot: Snapshot, state: [String: String])] = []
    let keys: Int
    var log: [String] = []
    /// The shape that was looked at last.
    var checked: Levels?

    init(seed: UInt64) throws {
      var random = Random(seed: seed)
      keys = [5, 30, 200][random.below(3)]
      options = tinyOptions { options in
        options.memtableBytes = [1024, 2048, 8192][random.below(3)]
        options.maxSealedMemtables = random.within(1...3)
        options.levelZeroTrigger = random.within(1...4)
        options.compactsAutomatically = random.chance(3, in: 4)
        options.maxSubCompactions = random.within(1...4)
        options.readTriggeredEntries = [nil, 64, 512][random.below(3)]
        options.flushesOnClose = random.chance(1, in: 2)
        options.blockCacheBytes = [0, 4096, 1 << 20][random.below(3)]
        options.durability = random.chance(1, in: 2) ? .none : .everyWrite
        options.defaultKeyspace.style = [.leveled, .leveled, .sizeTiered, .timeWindow][random.below(4)]
        options.defaultKeyspace.targetTableBytes = [512, 2048, 16384][random.below(3)]
        options.defaultKeyspace.baseLevelBytes = [512, 4096][random.below(2)]
        options.defaultKeyspace.fanOut = random.within(2...4)
        options.defaultKeyspace.table.blockSize = [64, 256][random.below(2)]
        options.defaultKeyspace.table.restartInterval = random.within(1...4)
        options.defaultKeyspace.table.filterBitsPerKey = random.chance(3, in: 4) ? 10 : nil
        options.defaultKeyspace.table.hashIndexRatio = [nil, nil, 0.75, 3][random.below(4)]
      }
      self.random = random
      store = try LSMTree.open(home, options: options, on: disk)
    }

    func step() throws {
      switch random.below(100) {
      case 0..<60: try write()
      case 60..<70: try get()
      case 70..<78: try scan()
      case 78..<82: try walk()
      case 82..<88:
        for _ in 0..<random.below(20) { if !store.stepBackground(budget: random.below(300), pick: { self.random.below($0) }) { break } }
      case 88..<91: snapshots.append((store.snapshot(), state))
      case 91..<94: if !snapshots.isEmpty { snapshots.remove(at: random.below(snapshots.count)) }
      case 94: try store.flush(wait: random.chance(1, in: 2))
      case 95: try ingest()
      case 96: try store.compact()
      case 97: try store.compact(KeyBounds(from: bytes("1"), to: bytes("k2")))
      default: try reopen()
      }
      let levels = store.defaultKeyspace.version.levels
      if levels !== checked { try store.checkShape() }
      checked = levels
    }

    private func write() throws {
      let count = random.chance(1, in: 4) ? random.within(1...12) : 1
      let changes = (0..<count).map { _ in Change.random(&random, keys: keys) }
      log.append("\(changes)")
      if count == 1 {
        switch changes[0] {
        case .put(let key, let value): try store.put(key, value)
        case .delete(let key): try store.delete(key)
        case .deleteRange(let from, let to): try store.deleteRange(from, to)
        case .merge(let key, let operand): try store.merge(key, operand)
        }
      } else {
        var batch = WriteBatch()
        for change in changes { try change.add(to: &batch, store.defaultKeyspace) }
        let before = store.lastVersion
        let version = try store.write(batch)
        guard version == before + UInt64(count) else { throw Unexpected("version \(version) after \(before) and \(count) changes") }
      }
      for change in changes { change.apply(to: &state) }
    }

    /// A table made elsewhere, of a few keys in a row.
    private func ingest() throws {
      var changes: [String: String?] = [:]
      let first = random.below(keys)
      for number in first..<(first + random.within(1...10)) {
        changes["k\(number % keys)"] = random.chance(3, in: 4) ? "ingested \(log.count)" : String?.none
      }
      let path = try writeTable(changes, "\(log.count)", on: disk)
      let before = store.lastVersion
      let version = try store.ingest([path])
      guard version > before, store.lastVersion == version else { throw Unexpected("version \(version) after \(before)") }
      log.append("ingest \(changes)")
      for (key, value) in changes { state[key] = value }
    }

    private func view() -> (Snapshot?, [String: String]) {
      guard !snapshots.isEmpty, random.chance(1, in: 3) else { return (nil, state) }
      let chosen = snapshots[random.below(snapshots.count)]
      return (chosen.snapshot, chosen.state)
    }

    private func get() throws {
      let (snapshot, state) = view()
      for key in 0..<keys where random.chance(8, in: keys) || keys < 8 {
        for name in ["\(key)", "k\(key)", "kk\(key)"] {
          let value = try store.get(name, at: snapshot)
          guard value == state[name] else { throw Unexpected("\(name) is \(value ?? "absent"), not \(state[name] ?? "absent")") }
        }
      }
    }

    private func scan() throws {
      let (snapshot, state) = view()
      var (from, to) = ("\(random.below(keys))", "kk\(random.below(keys))")
      if random.chance(1, in: 8) { swap(&from, &to) }
      let bounds = KeyBounds(from: random.chance(1, in: 2) ? bytes(from) : nil, to: random.chance(1, in: 2) ? bytes(to) : nil)
      let wanted = sorted(state).filter { row in
        (bounds.from == nil || row[0] >= from) && (bounds.to == nil || row[0] < to)
      }
      let found = try store.rows(bounds, at: snapshot)
      guard found == wanted else {
        throw Unexpected("scan \(bounds.from == nil ? "" : from)..<\(bounds.to == nil ? "" : to): \(found), not \(wanted)")
      }
    }

    /// Random moves of one iterator, beside writes and background work.
    private func walk() throws {
      let (snapshot, state) = view()
      let rows = sorted(state)
      var iterator = try store.iterator(at: snapshot)
      var place: Int?
      for _ in 0..<20 {
        switch random.below(6) {
        case 0:
          try iterator.first()
          place = rows.isEmpty ? nil : 0
        case 1:
          try iterator.last()
          place = rows.isEmpty ? nil : rows.count - 1
        case 2:
          let key = "k\(random.below(keys))"
          try iterator.seek(bytes(key).span.bytes)
          place = rows.firstIndex { $0[0] >= key }
        case 3:
          let key = "k\(random.below(keys))"
          try iterator.seekBefore(bytes(key).span.bytes)
          place = rows.lastIndex { $0[0] < key }
        case 4:
          try iterator.next()
          if let now = place { place = now + 1 < rows.count ? now + 1 : nil }
        default:
          try iterator.previous()
          if let now = place { place = now > 0 ? now - 1 : nil }
        }
        guard iterator.isValid == (place != nil), place.map({ iterator.row == rows[$0] }) ?? true else {
          throw Unexpected("walk: \(iterator.isValid ? "\(iterator.row)" : "nothing"), not \(place.map { "\(rows[$0])" } ?? "nothing")")
        }
        if random.chance(1, in: 4) { _ = store.stepBackground(budget: 1 << 16) }
        if random.chance(1, in: 6) { try write() }
      }
    }

    private func reopen() throws {
      snapshots = []
      let levels = store.statistics.tablesByLevel
      let closes = random.chance(1, in: 2)
      if closes { try store.close() }
      let after = closes ? store.statistics.tablesByLevel : nil
      // A store that is not closed goes with its last reference, as in a process that ends.
      store = try reopened(options)
      if let after, store.statistics.tablesByLevel != after { throw Unexpected("shape \(store.statistics.tablesByLevel) after \(after), \(levels)") }
    }

    private func reopened(_ options: LSMOptions) throws -> LSMTree {
      store.core.abandon()
      return try LSMTree.open(home, options: options, on: disk)
    }
  }

  @Test(
    .requirement(
      "LSMTree.keep.1", "LSMTree.keep.2", "LSMTree.keep.4", "LSMTree.keep.6", "LSMTree.keep.8", "LSMTree.never.3", "LSMTree.never.8",
      "LSMTree.never.17"))
  func anyOptions() throws {
    for seed in 0..<UInt64(24 * testDepth) {
      let run = try Run(seed: seed)
      do {
        for _ in 0..<300 { try run.step() }
        for (snapshot, state) in run.snapshots { #expect(try run.store.rows(at: snapshot) == sorted(state), "seed \(seed)") }
        #expect(try run.store.rows() == sorted(run.state), "seed \(seed)")
        run.snapshots = []
        try run.store.compact()
        #expect(try run.store.rows() == sorted(run.state), "seed \(seed)")
        try run.store.close()
      } catch {
        Issue.record("seed \(seed): \(error)")
        return
      }
    }
  }
}
