/// A value of a recorded history, as JSON and EDN can say it. EDN keywords and symbols become texts, sets and lists become lists.
public indirect enum HistoryValue: Hashable, Sendable, CustomStringConvertible {
  /// JSON's null, EDN's nil.
  case null
  /// True or false.
  case bool(Bool)
  /// A whole number.
  case int(Int)
  /// Any other number.
  case double(Double)
  /// A text.
  case text(String)
  /// Values in order.
  case list([HistoryValue])
  /// Keys and values, in the order of the file.
  case map([Entry])

  /// One entry of a map.
  public struct Entry: Hashable, Sendable {
    /// The key.
    public let key: HistoryValue
    /// The value.
    public let value: HistoryValue

    /// An entry.
    public init(key: HistoryValue, value: HistoryValue) {
      self.key = key
      self.value = value
    }
  }

  /// The value of the first entry with this text as key; nothing in anything but a map.
  public subscript(_ name: String) -> HistoryValue? {
    guard case .map(let entries) = self else { return nil }
    return entries.first { $0.key == .text(name) }?.value
  }

  /// The whole number this is or says: map keys of JSON are always texts.
  public var integer: Int? {
    switch self {
    case .int(let value): value
    case .text(let text): Int(text)
    default: nil
    }
  }

  /// The values in a list.
  public var items: [HistoryValue]? {
    if case .list(let items) = self { return items }
    return nil
  }

  /// The text of a text.
  public var string: String? {
    if case .text(let text) = self { return text }
    return nil
  }

  /// As JSON.
  public var description: String { json.description }
}

/// What a client asked, as a file says it: the name of a function and its argument. A file's `key` field is put before the value, as
/// Jepsen's independent keys are: `[key, value]`.
public struct RecordedOp: Hashable, Sendable, CustomStringConvertible {
  /// The function: `read`, `txn`, `transfer`.
  public let f: String
  /// Its argument.
  public let value: HistoryValue

  /// An operation.
  public init(_ f: String, _ value: HistoryValue = .null) {
    self.f = f
    self.value = value
  }

  /// As `read 3`.
  public var description: String { value == .null ? f : "\(f) \(value)" }
}

/// A history as a file holds it, before a checker's terms are put on it.
public typealias RecordedHistory = History<RecordedOp, HistoryValue>
