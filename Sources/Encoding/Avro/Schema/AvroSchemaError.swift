/// Why a text is no Avro schema. A value of type ``AvroSchema`` is always well-formed, so nothing later meets these.
public struct AvroSchemaError: Error, Sendable, Hashable {
  /// What is wrong.
  public var kind: Kind
  /// Where in the schema's JSON, as a JSON pointer (RFC 6901); empty for the whole text.
  public var pointer: String

  /// What can be wrong with a schema.
  public enum Kind: Sendable, Hashable {
    /// The text is not JSON.
    case notJSON(offset: Int, reason: String)
    /// A type that is neither primitive nor known by name.
    case unknownType(String)
    /// A required attribute that is missing: `name`, `type`, `fields`, `symbols`, `items`, `values`, `size`.
    case missing(String)
    /// An attribute of the wrong kind.
    case wrongAttribute(String, expected: String)
    /// A name outside `[A-Za-z_][A-Za-z0-9_]*`, or that of a primitive type. `.lenient` accepts legacy names.
    case invalidName(String)
    /// A type, field or symbol defined twice.
    case duplicate(String)
    /// A union directly inside a union.
    case nestedUnion
    /// Two branches of a union with one type or one full name.
    case duplicateBranch(String)
    /// A default that is no value of its type.
    case invalidDefault(String)
    /// Nested deeper, or larger, than what is accepted.
    case tooLarge(String)
  }

  init(_ kind: Kind, at pointer: String) {
    self.kind = kind
    self.pointer = pointer
  }
}

extension AvroSchemaError: CustomStringConvertible {
  public var description: String {
    let what: String =
      switch kind {
      case .notJSON(let offset, let reason): "not JSON at byte \(offset): \(reason)"
      case .unknownType(let name): "\(name) is no type that is known here; define it first or pass its schema as known"
      case .missing(let attribute): "the attribute \(attribute) is missing"
      case .wrongAttribute(let attribute, let expected): "\(attribute) must be \(expected)"
      case .invalidName(let name): "\"\(name)\" is no Avro name; legacy schemas can be read with lenient rules"
      case .duplicate(let name): "\(name) is defined twice"
      case .nestedUnion: "a union stands directly inside a union"
      case .duplicateBranch(let name): "the union has two branches of type \(name)"
      case .invalidDefault(let reason): "the default is no value of its type: \(reason)"
      case .tooLarge(let what): "\(what) is beyond what is accepted"
      }
    return "schema\(pointer.isEmpty ? "" : " at \(pointer)"): \(what)"
  }
}

/// A JSON pointer with one more step, escaped as RFC 6901 asks.
func pointer(_ base: String, _ step: some StringProtocol) -> String {
  var result = base + "/"
  for character in step.unicodeScalars {
    switch character {
    case "~": result += "~0"
    case "/": result += "~1"
    default: result.unicodeScalars.append(character)
    }
  }
  return result
}

func pointer(_ base: String, _ index: Int) -> String { "\(base)/\(index)" }
