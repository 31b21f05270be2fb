import StrataBytes

extension HistoryValue {
  /// How deep values may be nested in a file.
  static let depth = 64

  /// The value on one line of a file.
  static func parsing(_ line: ArraySlice<UInt8>, line number: Int) throws(HistoryError) -> HistoryValue {
    let json: JSON
    do throws(JSONError) { json = try JSON(parsing: line, depth: depth) } catch {
      throw .malformed("not JSON: \(error)", at: .line(number))
    }
    return try HistoryValue(json, line: number)
  }

  /// The value JSON holds.
  private init(_ json: JSON, line number: Int) throws(HistoryError) {
    switch json {
    case .null: self = .null
    case .bool(let value): self = .bool(value)
    case .integer(let value): self = .int(Int(value))
    case .number(let text):
      guard let value = Double(text), value.isFinite else {
        throw .malformed("not JSON: '\(text.prefix(40))' is no number", at: .line(number))
      }
      self = .double(value)
    case .string(let text): self = .text(text)
    case .array(let elements):
      var items: [HistoryValue] = []
      items.reserveCapacity(elements.count)
      for element in elements { items.append(try HistoryValue(element, line: number)) }
      self = .list(items)
    case .object(let members):
      var entries: [Entry] = []
      entries.reserveCapacity(members.count)
      for member in members { entries.append(Entry(key: .text(member.name), value: try HistoryValue(member.value, line: number))) }
      self = .map(entries)
    }
  }

  /// The value as JSON, whose names are texts and whose numbers are finite.
  var json: JSON {
    switch self {
    case .null: .null
    case .bool(let value): .bool(value)
    case .int(let value): .integer(Int64(value))
    case .double(let value): value.isFinite ? .number(String(value)) : .null
    case .text(let text): .string(text)
    case .list(let items): .array(items.map(\.json))
    case .map(let entries): .object(entries.map { .init($0.key.string ?? $0.key.description, $0.value.json) })
    }
  }
}
