/// Levels that grow by a factor from one to the next, each one sorted run: few tables to look into and little dead weight, paid for with writing.
///
/// The targets follow from the bottom level alone: its own size, a tenth of it above, and so on up to the base, the first level small enough, where
/// level 0 is merged into. So a flood of flushes never makes the levels beneath look too small. None above the bottom is less than the base's
/// largest: a small base would be rewritten for every flush that comes down to it.
public struct LeveledStrategy: CompactionStrategy {
  public var name: String { "leveled" }
  /// Sub-levels of level 0 at which it is merged.
  public var level0Trigger = 4
  /// The base level's largest target.
  public var baseLevelBytes: UInt64 = 256 << 20
  /// The factor from level to level.
  public var fanOut: UInt64 = 10
  /// The most tables of one plan.
  public var maxInputs = 25
  /// About how large tables are.
  public var targetFileSize: UInt64 = 64 << 20
  /// Whether a table may change its level without being rewritten.
  public var allowsTrivialMoves = true
  /// Whether plans may write to two levels: see ``CompactionPlan/descent``. Off unless whoever carries them out can do so.
  public var allowsDescents = false

  public init() {}

  /// The level that level 0 is merged into, and the target of it and each below.
  public func targets(_ shape: LSMShape) -> (base: Int, targets: [UInt64]) {
    let last = shape.levels.count - 1
    var targets = [UInt64](repeating: 0, count: shape.levels.count)
    // What is being moved upward of the bottom counts as the bottom's once it is there; the deepest level with tables sets the scale.
    targets[last] = max(shape.levels.dropFirst().enumerated().map { shape.bytes($0.offset + 1) }.max() ?? 0, 1)
    var base = last
    while base > 1, targets[base] > baseLevelBytes {
      targets[base - 1] = max(targets[base] / fanOut, 1)
      base -= 1
    }
    for level in base..<last { targets[level] = max(targets[level], baseLevelBytes) }
    // Levels above the base that still hold tables, from when the tree was larger, are emptied downward.
    if let first = shape.levels.indices.dropFirst().first(where: { !shape.levels[$0].isEmpty }), first < base {
      for level in first..<base { targets[level] = 1 }
      base = first
    }
    return (base, targets)
  }

  public func plan(_ shape: LSMShape, busy: Set<UInt64>) -> CompactionPlan? {
    guard shape.levels.count > 1 else { return nil }
    let (base, targets) = targets(shape)
    let subLevels = shape.subLevels.count
    var candidates: [(score: Double, level: Int)] = []
    let level0 = Double(subLevels) / Double(level0Trigger)
    if level0 >= 1 { candidates.append((level0, 0)) }
    for level in base..<shape.levels.count - 1 where !shape.levels[level].isEmpty {
      let score = Double(shape.bytes(level, except: busy)) / Double(targets[level])
      if score >= 1 { candidates.append((score, level)) }
    }
    for (score, level) in candidates.sorted(by: { $0.score > $1.score || ($0.score == $1.score && $0.level < $1.level) }) {
      let found = level == 0 ? level0Plan(shape, base, targets[base], busy, score) : levelPlan(shape, level, busy, score)
      if let found { return found }
    }
    return tombstonePlan(shape, base, busy)
  }

  // MARK: Level 0

  /// The oldest table that nothing busy keeps back, everything newer that overlaps as far as it fits, and what they overlap in the base.
  private func level0Plan(_ shape: LSMShape, _ base: Int, _ target: UInt64, _ busy: Set<UInt64>, _ score: Double) -> CompactionPlan? {
    var chosen: [TableMetadata] = []
    var range: KeyRange?
    // From old to new: a newer table may only go down with every older one it overlaps; one that stays keeps those back that are newer.
    var skipped: [TableMetadata] = []
    for table in shape.levels[0].reversed() {
      let reaches = chosen.isEmpty || chosen.contains { $0.overlaps(table) }
      let isFree = !busy.contains(table.fileID) && chosen.count < maxInputs && !skipped.contains { $0.overlaps(table) }
      if reaches, isFree {
        chosen.append(table)
        range?.formUnion(KeyRange(table))
        range = range ?? KeyRange(table)
      } else {
        skipped.append(table)
      }
    }
    guard let range else { return insideLevel0(shape, busy, score) }
    let below = Array(shape.overlapping(base, range))
    guard !below.contains(where: { busy.contains($0.fileID) }) else { return insideLevel0(shape, busy, score) }
    if below.isEmpty, chosen.count == 1, allowsTrivialMoves, moveIsHarmless(shape, base, range) {
      return CompactionPlan(inputs: [chosen, []], outputLevel: base, kind: .trivialMove, reason: .level0, score: score)
    }
    var plan = CompactionPlan(
      inputs: [chosen.reversed(), below], outputLevel: base, kind: .merge, reason: .level0, score: score,
      grandparents: grandparents(shape, base, range))
    if allowsDescents { descend(&plan, shape, target, busy, range) }
    return plan
  }

  /// Lets what would exceed the base's target go to the level below at once.
  private func descend(_ plan: inout CompactionPlan, _ shape: LSMShape, _ target: UInt64, _ busy: Set<UInt64>, _ range: KeyRange) {
    let base = plan.outputLevel
    let (above, met) = (plan.inputs[0], plan.inputs[1])
    let bytes = shape.bytes(base) + above.reduce(0) { $0 + $1.fileSize }
    guard base + 1 < shape.levels.count, bytes > target else { return }
    var hull = range
    for table in met { hull.formUnion(KeyRange(table)) }
    let lower = Array(shape.overlapping(base + 1, hull))
    // Whoever works there may write between these tables.
    guard !lower.contains(where: { busy.contains($0.fileID) }) else { return }
    let chosen = DescentChoice(upper: above + met, lower: lower, excess: bytes - target, most: maxInputs - met.count).chosen()
    guard !chosen.isEmpty else { return }
    plan.inputs.append(Array(lower[chosen]))
    let bounds = KeyBounds(
      from: chosen.lowerBound == 0 ? nil : lower[chosen.lowerBound].smallest.userKey,
      to: chosen.upperBound == lower.count ? nil : lower[chosen.upperBound].smallest.userKey)
    plan.descent = Descent(level: base + 1, bounds: bounds)
  }

  /// While the base is busy, the newest flushes are merged among themselves, so that reads do not pay for the wait.
  private func insideLevel0(_ shape: LSMShape, _ busy: Set<UInt64>, _ score: Double) -> CompactionPlan? {
    guard score >= 2 else { return nil }
    let newest = shape.levels[0].prefix { !busy.contains($0.fileID) }.prefix(maxInputs)
    // Tables that do not overlap are one run already.
    guard LSMShape(levels: [Array(newest)]).subLevels.count >= max(2, level0Trigger) else { return nil }
    return CompactionPlan(inputs: [Array(newest)], outputLevel: 0, kind: .merge, reason: .level0, score: score)
  }

  // MARK: Deeper levels

  /// The table whose move costs the least for what it brings, with what it overlaps below; one that overlaps too many only where all do.
  private func levelPlan(_ shape: LSMShape, _ level: Int, _ busy: Set<UInt64>, _ score: Double) -> CompactionPlan? {
    var best: (wide: Int, ratio: Double, table: TableMetadata, below: [TableMetadata])?
    for table in shape.levels[level] where !busy.contains(table.fileID) {
      let below = shape.overlapping(level + 1, KeyRange(table))
      guard !below.contains(where: { busy.contains($0.fileID) }) else { continue }
      let cost = Double(below.reduce(0) { $0 + $1.fileSize })
      // Deletions free twice what they hold: themselves and what they delete.
      let dead = table.entryCount == 0 ? 0 : Double(table.fileSize) * Double(table.deletionCount) / Double(table.entryCount)
      let ratio = cost / (Double(table.fileSize) + 2 * dead + 1)
      let wide = below.count < maxInputs ? 0 : 1
      if best.map({ (wide, ratio) < ($0.wide, $0.ratio) }) ?? true { best = (wide, ratio, table, Array(below)) }
    }
    guard let best else { return nil }
    return plan(shape, level, [best.table], best.below, busy, .size, score)
  }

  private func plan(
    _ shape: LSMShape, _ level: Int, _ upper: [TableMetadata], _ below: [TableMetadata], _ busy: Set<UInt64>,
    _ reason: CompactionPlan.Reason, _ score: Double
  ) -> CompactionPlan {
    var upper = upper
    var range = KeyRange(upper[0])
    for table in upper.dropFirst() { range.formUnion(KeyRange(table)) }
    if below.isEmpty, upper.count == 1, allowsTrivialMoves, moveIsHarmless(shape, level + 1, range) {
      return CompactionPlan(inputs: [upper, []], outputLevel: level + 1, kind: .trivialMove, reason: reason, score: score)
    }
    // More of the upper level comes along where it costs nothing below.
    if let first = below.first, let last = below.last {
      var wide = KeyRange(first)
      wide.formUnion(KeyRange(last))
      wide.formUnion(range)
      let more = shape.overlapping(level, wide)
      var grown = KeyRange(upper[0])
      for table in more { grown.formUnion(KeyRange(table)) }
      let sameBelow = shape.overlapping(level + 1, grown).count == below.count
      if sameBelow, more.count + below.count <= maxInputs, !more.contains(where: { busy.contains($0.fileID) }) {
        upper = Array(more)
        range = grown
      }
    }
    return CompactionPlan(
      inputs: [upper, below], outputLevel: level + 1, kind: .merge, reason: reason, score: score,
      grandparents: grandparents(shape, level + 1, range))
  }

  /// A table that reads keep stumbling over goes one level down, where its deletions meet what they delete.
  private func tombstonePlan(_ shape: LSMShape, _ base: Int, _ busy: Set<UInt64>) -> CompactionPlan? {
    for level in base..<shape.levels.count - 1 {
      for table in shape.levels[level] where table.isTombstoneDense && !busy.contains(table.fileID) {
        let below = Array(shape.overlapping(level + 1, KeyRange(table)))
        guard !below.contains(where: { busy.contains($0.fileID) }) else { continue }
        var result = plan(shape, level, [table], below, busy, .tombstones, 1)
        // Moved alone the deletions would stay; merged they can go.
        if result.kind == .trivialMove { result.kind = .merge }
        return result
      }
    }
    return nil
  }

  private func grandparents(_ shape: LSMShape, _ level: Int, _ range: KeyRange) -> [TableMetadata] {
    level + 1 < shape.levels.count ? Array(shape.overlapping(level + 1, range)) : []
  }

  /// A table moved over much of the level below would cost dearly when its turn comes there.
  private func moveIsHarmless(_ shape: LSMShape, _ level: Int, _ range: KeyRange) -> Bool { grandparents(shape, level, range).count <= 10 }
}
