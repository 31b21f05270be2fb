import StrataNodes

@testable import StrataAvro

/// A schema as a tree that can be written down and evolved.
indirect enum Model {
  case primitive(AvroKind)
  case record(String, [Field])
  case enumeration(String, [String], hasDefault: Bool)
  case fixed(String, Int)
  case array(Model)
  case map(Model)
  case union([Model])
  case reference(String)

  struct Field {
    var name: String
    var type: Model
    var fallback: String?
  }

  var json: String {
    switch self {
    case .primitive(let kind): "\"\(kind.rawValue)\""
    case .reference(let name): "\"\(name)\""
    case .array(let item): #"{"type":"array","items":\#(item.json)}"#
    case .map(let value): #"{"type":"map","values":\#(value.json)}"#
    case .union(let branches): "[\(branches.map(\.json).joined(separator: ","))]"
    case .fixed(let name, let size): #"{"type":"fixed","name":"\#(name)","size":\#(size)}"#
    case .enumeration(let name, let symbols, let hasDefault):
      #"{"type":"enum","name":"\#(name)","symbols":[\#(symbols.map { "\"\($0)\"" }.joined(separator: ","))]"#
        + (hasDefault ? #","default":"\#(symbols[0])"}"# : "}")
    case .record(let name, let fields):
      #"{"type":"record","name":"\#(name)","fields":[\#(fields.map(Self.json).joined(separator: ","))]}"#
    }
  }

  private static func json(_ field: Field) -> String {
    #"{"name":"\#(field.name)","type":\#(field.type.json)\#(field.fallback.map { ",\"default\":" + $0 } ?? "")}"#
  }
}

/// Random schemas, values of them, and evolutions.
struct Generator {
  var random: Random
  private var number = 0
  private var records: [String] = []

  init(seed: UInt64) { random = Random(seed: seed) }

  private mutating func name(_ prefix: String) -> String {
    number += 1
    return random.chance(1, in: 4) ? "n\(number % 3).\(prefix)\(number)" : "\(prefix)\(number)"
  }

  static let primitives: [AvroKind] = [.null, .boolean, .int, .long, .float, .double, .bytes, .string]

  mutating func model(depth: Int = 6) -> Model {
    switch random.below(depth > 0 ? 16 : 8) {
    case 0..<8: return .primitive(Self.primitives[random.below(8)])
    case 8: return .fixed(name("F"), random.below(20))
    case 9: return .enumeration(name("E"), (0...random.below(5)).map { "S\($0)" }, hasDefault: random.chance(1, in: 2))
    case 10: return .array(model(depth: depth - 1))
    case 11: return .map(model(depth: depth - 1))
    case 12, 13: return union(depth: depth)
    default: return record(depth: depth)
    }
  }

  mutating func record(depth: Int = 6) -> Model {
    // Full names throughout, since a bare one would be read as part of the namespace around it.
    number += 1
    let name = "r.R\(number)"
    records.append(name)
    let fields = (0..<random.below(6)).map { index in
      Model.Field(name: "f\(index)", type: random.chance(1, in: 8) ? back() : model(depth: depth - 1), fallback: nil)
    }
    return .record(name, fields)
  }

  /// A way back into a record around, which some value can end.
  private mutating func back() -> Model {
    let name = records[random.below(records.count)]
    return random.chance(1, in: 2) ? .array(.reference(name)) : .union([.primitive(.null), .reference(name)])
  }

  private mutating func union(depth: Int) -> Model {
    var kinds = Self.primitives
    var branches: [Model] = []
    for _ in 0...random.below(4) { branches.append(.primitive(kinds.remove(at: random.below(kinds.count)))) }
    if random.chance(1, in: 2) { branches.append(record(depth: depth - 1)) }
    if random.chance(1, in: 3) { branches.append(.map(model(depth: depth - 1))) }
    if random.chance(1, in: 3) { branches.append(.array(model(depth: depth - 1))) }
    return .union(branches)
  }

  // MARK: Values

  private mutating func number64() -> Int64 {
    Int64(bitPattern: random.next()) >> Int64(random.below(64))
  }

  private mutating func text() -> String {
    let alphabet = Array("abcXYZ 0\"\\\n\u{7F}éß漢😀\u{0}")
    return String((0..<random.below(20)).map { _ in alphabet[random.below(alphabet.count)] })
  }

  mutating func value(_ schema: AvroSchema, depth: Int = 0, finite: Bool = false) -> AvroValue {
    switch schema.kind {
    case .null: return .null
    case .boolean: return .boolean(random.chance(1, in: 2))
    case .int: return .int(Int32(truncatingIfNeeded: number64()))
    case .long: return .long(number64())
    case .float:
      let value = Float(bitPattern: UInt32(truncatingIfNeeded: random.next()))
      return .float(finite && !value.isFinite ? 1.25 : value)
    case .double:
      let value = Double(bitPattern: random.next())
      return .double(finite && !value.isFinite ? -2.5 : value)
    case .bytes: return .bytes(random.bytes(random.below(30)))
    case .string: return .string(text())
    case .fixed: return .fixed(random.bytes(schema.size ?? 0))
    case .enumeration: return .enumeration(random.below(schema.symbols.count))
    case .array:
      guard let element = schema.element else { return .array([]) }
      return .array((0..<count(depth)).map { _ in value(element, depth: depth + 1, finite: finite) })
    case .map:
      guard let element = schema.element else { return .map([]) }
      return .map((0..<count(depth)).map { ("k\($0)" + text(), value(element, depth: depth + 1, finite: finite)) })
    case .record: return .record(schema.fields.map { value($0.schema, depth: depth + 1, finite: finite) })
    case .union:
      let branches = schema.branches
      // Deep down the first branch, which ends every way back.
      let branch = depth > 6 ? 0 : random.below(branches.count)
      return .union(branch: branch, value(branches[branch], depth: depth + 1, finite: finite))
    }
  }

  private mutating func count(_ depth: Int) -> Int { depth > 6 ? 0 : random.below(4) }

  // MARK: Evolutions

  /// The same schema after changes that its old data survive.
  mutating func evolved(_ model: Model) -> Model {
    switch model {
    case .primitive(let kind):
      let wider: [AvroKind: [AvroKind]] = [
        .int: [.int, .long, .float, .double], .long: [.long, .float, .double], .float: [.float, .double], .string: [.string, .bytes],
      ]
      let choices = wider[kind] ?? [kind]
      return .primitive(choices[random.below(choices.count)])
    case .enumeration(let name, let symbols, let hasDefault):
      let more = random.chance(1, in: 2) ? symbols.reversed() + ["NEW\(symbols.count)"] : symbols
      return .enumeration(name, more, hasDefault: hasDefault)
    case .array(let item): return .array(evolved(item))
    case .map(let value): return .map(evolved(value))
    case .record(let name, let fields):
      var result = fields.map { Model.Field(name: $0.name, type: evolved($0.type), fallback: $0.fallback) }
      if random.chance(1, in: 3) {
        result.insert(.init(name: "added\(random.next())", type: .primitive(.int), fallback: "42"), at: random.below(result.count + 1))
      }
      // A type must stand before the references to it.
      let loose = result.indices.filter { !Self.hasNames(result[$0].type) }
      if random.chance(1, in: 2), let first = loose.first, let last = loose.last { result.swapAt(first, last) }
      if random.chance(1, in: 4), let index = result.firstIndex(where: { !Self.hasNames($0.type) }) { result.remove(at: index) }
      return .record(name, result)
    default: return model
    }
  }

  /// Whether names are defined or used in a type.
  private static func hasNames(_ model: Model) -> Bool {
    switch model {
    case .record, .enumeration, .fixed, .reference: true
    case .array(let inner), .map(let inner): hasNames(inner)
    case .union(let branches): branches.contains(where: hasNames)
    default: false
    }
  }
}
