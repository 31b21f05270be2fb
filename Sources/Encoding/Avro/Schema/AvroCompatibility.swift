/// What a change of schema breaks.
public struct AvroCompatibility: Sendable, Hashable {
  /// Why data of the writer cannot be read by the reader, everything of it; empty where they can.
  public var backward: [AvroIncompatibility]
  /// Why data of the reader cannot be read by the writer.
  public var forward: [AvroIncompatibility]

  /// Whether the new schema (the reader) reads what the old one (the writer) wrote.
  public var isBackward: Bool { backward.isEmpty }
  /// Whether the old schema reads what the new one writes.
  public var isForward: Bool { forward.isEmpty }
  /// Whether both hold.
  public var isFull: Bool { isBackward && isForward }
}

/// One thing that cannot be read.
public struct AvroIncompatibility: Sendable, Hashable, CustomStringConvertible {
  /// What is wrong.
  public var kind: Kind
  /// Where in the schema that reads, as a JSON pointer.
  public var pointer: String
  /// The facts, in words.
  public var detail: String

  /// The ways two schemas do not fit, called as Apache Avro calls them.
  public enum Kind: String, Sendable, Hashable {
    /// Named types with names that do not match.
    case nameMismatch = "NAME_MISMATCH"
    /// Fixed types of different lengths.
    case fixedSizeMismatch = "FIXED_SIZE_MISMATCH"
    /// Symbols that the reader does not know, without default.
    case missingEnumSymbols = "MISSING_ENUM_SYMBOLS"
    /// A field that only the reader has, without default.
    case readerFieldMissingDefault = "READER_FIELD_MISSING_DEFAULT_VALUE"
    /// Types of which neither is or becomes the other.
    case typeMismatch = "TYPE_MISMATCH"
    /// A branch that the reader's union has no place for.
    case missingUnionBranch = "MISSING_UNION_BRANCH"
  }

  public var description: String { "\(kind.rawValue) at \(pointer.isEmpty ? "/" : pointer): \(detail)" }
}

/// Holds an old schema (the writer) and a new one (the reader) against each other, in both directions, to the end.
///
/// A pair of types that meets itself again is taken to fit there, so recursive schemas end. O(pairs of types that meet).
public func checkCompatibility(writer: AvroSchema, reader: AvroSchema) -> AvroCompatibility {
  var backward = CompatibilityCheck(writer: writer.storage, reader: reader.storage)
  var forward = CompatibilityCheck(writer: reader.storage, reader: writer.storage)
  return AvroCompatibility(backward: backward.run(writer.index, reader.index), forward: forward.run(reader.index, writer.index))
}

private struct CompatibilityCheck {
  let writer: SchemaStorage
  let reader: SchemaStorage
  private var found: [AvroIncompatibility] = []
  private var seen: Set<Pair> = []

  private struct Pair: Hashable {
    var writer: Int
    var reader: Int
  }

  init(writer: SchemaStorage, reader: SchemaStorage) {
    self.writer = writer
    self.reader = reader
  }

  /// Pairs wait in a list rather than on the stack, so that no schema is too deep.
  private var waiting: [(pair: Pair, place: String)] = []

  mutating func run(_ w: Int, _ r: Int) -> [AvroIncompatibility] {
    waiting = [(Pair(writer: w, reader: r), "")]
    var next = 0
    while next < waiting.count {
      let (pair, place) = waiting[next]
      next += 1
      if seen.insert(pair).inserted { check(pair, place) }
    }
    return found.sorted { $0.pointer.utf8.lexicographicallyPrecedes($1.pointer.utf8) }
  }

  private mutating func report(_ kind: AvroIncompatibility.Kind, _ place: String, _ detail: String) {
    found.append(AvroIncompatibility(kind: kind, pointer: place, detail: detail))
  }

  private mutating func enqueue(_ w: Int, _ r: Int, _ place: String) { waiting.append((Pair(writer: w, reader: r), place)) }

  private mutating func check(_ pair: Pair, _ place: String) {
    let (w, r) = (writer.nodes[pair.writer], reader.nodes[pair.reader])
    if w.kind == .union {
      for (number, branch) in w.branches.enumerated() {
        if r.kind != .union {
          enqueue(branch, pair.reader, place)
        } else if let target = Resolution.branch(of: r, for: writer.nodes[branch], in: reader) {
          enqueue(branch, r.branches[target], pointer(place, target))
        } else {
          report(.missingUnionBranch, pointer(place, number), "the reader's union lacks the writer's \(writer.nodes[branch].branchName)")
        }
      }
    } else if r.kind == .union {
      if let target = Resolution.branch(of: r, for: w, in: reader) {
        enqueue(pair.writer, r.branches[target], pointer(place, target))
      } else {
        report(.missingUnionBranch, place, "the reader's union lacks the writer's \(w.branchName)")
      }
    } else if w.kind == r.kind {
      sameKind(w, r, place)
    } else if PlanCompiler.promotion(w.kind, r.kind) == nil {
      report(.typeMismatch, place, "the reader's \(r.branchName) does not read the writer's \(w.branchName)")
    }
  }

  private mutating func sameKind(_ w: SchemaNode, _ r: SchemaNode, _ place: String) {
    if w.kind.isNamed, Resolution.nameMatch(w, r) == nil {
      report(.nameMismatch, place + "/name", "expected \(w.branchName)")
    }
    if let reason = Resolution.decimalMismatch(w, r) { report(.typeMismatch, place, reason) }
    switch w.kind {
    case .fixed where w.size != r.size: report(.fixedSizeMismatch, place + "/size", "expected \(w.size), found \(r.size)")
    case .enumeration where r.defaultSymbol == nil:
      let lost = w.symbols.filter { !r.symbols.contains($0) }
      if !lost.isEmpty { report(.missingEnumSymbols, place + "/symbols", lost.joined(separator: ", ")) }
    case .array: enqueue(w.element, r.element, place + "/items")
    case .map: enqueue(w.element, r.element, place + "/values")
    case .record:
      var filled = Set<Int>()
      for (number, target) in Resolution.fieldTargets(writer: w, reader: r).enumerated() {
        guard let target else { continue }
        filled.insert(target)
        enqueue(w.fields[number].type, r.fields[target].type, "\(place)/fields/\(target)/type")
      }
      for (number, field) in r.fields.enumerated() where !filled.contains(number) && field.defaultValue == nil {
        report(.readerFieldMissingDefault, "\(place)/fields/\(number)", field.name)
      }
    default: break
    }
  }
}
