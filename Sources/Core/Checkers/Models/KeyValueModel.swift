/// A map from texts to texts with append, as the key-value histories that come with Porcupine use it. A key that was never written reads as "".
public struct KeyValueModel: SequentialModel {
  /// What clients ask.
  public enum Op: Hashable, Sendable {
    /// Reads a key.
    case get(String)
    /// Gives a key a value.
    case put(String, String)
    /// Adds to the end of a key's value.
    case append(String, String)
    /// Makes a key's value "".
    case delete(String)
  }

  /// What they hear.
  public enum Result: Hashable, Sendable {
    /// What a read saw.
    case value(String)
    /// A change is done.
    case done
  }

  /// A map without keys.
  public init() {}

  /// The key.
  public func key(of op: Op) -> String {
    switch op {
    case .get(let key), .put(let key, _), .append(let key, _), .delete(let key): key
    }
  }

  /// No text.
  public func initial(_ key: String) -> String { "" }

  /// What an atomic map does.
  public func step(_ state: String, _ op: Op, _ result: Result?) -> String? {
    switch op {
    case .get:
      if case .value(let seen)? = result { seen == state ? state : nil } else { result == nil ? state : nil }
    case .put(_, let value): value
    case .append(_, let value): state + value
    case .delete: ""
    }
  }

  /// Reads.
  public func observes(_ op: Op, _ result: Result?) -> Bool {
    if case .get = op { return true }
    return false
  }
}
