/// The rules by which types of a writer and a reader are the same, shared by plans and compatibility reports.
enum Resolution {
  /// How the names of two types fit; a smaller value fits better.
  enum NameMatch: Int {
    case full, alias, unqualified
  }

  /// Full names first, then the reader's aliases, then names without their namespaces.
  static func nameMatch(_ w: SchemaNode, _ r: SchemaNode) -> NameMatch? {
    guard let writer = w.name, let reader = r.name else { return nil }
    if writer == reader { return .full }
    if r.aliases.contains(writer) { return .alias }
    return writer.unqualified == reader.unqualified ? .unqualified : nil
  }

  /// The branch of a reader's union that takes a type which is no union: one of the same type before any that needs a promotion.
  static func branch(of union: SchemaNode, for w: SchemaNode, in storage: SchemaStorage) -> Int? {
    var best: (branch: Int, match: Int)?
    for (number, index) in union.branches.enumerated() {
      let r = storage.nodes[index]
      guard r.kind == w.kind else { continue }
      guard w.kind.isNamed else { return number }
      guard let match = nameMatch(w, r)?.rawValue, match < best?.match ?? Int.max else { continue }
      if w.kind == .fixed, w.size != r.size { continue }
      best = (number, match)
    }
    if let best { return best.branch }
    return union.branches.firstIndex { PlanCompiler.promotion(w.kind, storage.nodes[$0].kind) != nil }
  }

  /// For each of the writer's fields the reader's that takes it: of the same name, else one that has the name as alias.
  static func fieldTargets(writer: SchemaNode, reader: SchemaNode) -> [Int?] {
    let names = Dictionary(reader.fields.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
    let writerNames = Set(writer.fields.map(\.name))
    var aliases: [String: Int] = [:]
    for (number, field) in reader.fields.enumerated() where !writerNames.contains(field.name) {
      for alias in field.aliases where aliases[alias] == nil { aliases[alias] = number }
    }
    var taken = Set<Int>()
    return writer.fields.map { field in
      guard let target = names[field.name] ?? aliases[field.name], taken.insert(target).inserted else { return nil }
      return target
    }
  }

  /// Two decimals are the same type only with one precision and one scale: the bytes say neither.
  static func decimalMismatch(_ w: SchemaNode, _ r: SchemaNode) -> String? {
    guard case .decimal(let p, let s)? = w.logical, case .decimal(let q, let t)? = r.logical, (p, s) != (q, t) else { return nil }
    return "decimal(\(p), \(s)) is not decimal(\(q), \(t))"
  }
}
