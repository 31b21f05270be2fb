/// Why a value is none of a schema. What was written into before is as it was.
public struct AvroEncodeError: Error, Sendable, Hashable {
  /// The value that does not fit, as a path of field names, item numbers and map keys.
  public var path: String
  /// What the schema asks for there.
  public var expected: String
  /// What was given.
  public var got: String
  /// What kind of misfit it is.
  public var kind: Kind

  /// The ways a value can fail to fit.
  public enum Kind: Sendable, Hashable {
    /// Another type.
    case typeMismatch
    /// A record without one of its fields. A default does not stand in: it is the reader's, not the writer's.
    case missingField
    /// A field the record does not have.
    case unknownField
    /// A branch outside the union, or none that fits.
    case noBranch
    /// More than one record of a union takes these fields.
    case ambiguousBranch
    /// A symbol the enum does not have.
    case unknownSymbol
    /// A fixed of another length.
    case wrongSize
    /// A number beyond the type.
    case outOfRange
    /// Nested deeper than 256, or a type that contains itself without end.
    case tooDeep
  }

  init(_ kind: Kind, expected: String, got: String, path: String = "") {
    self.kind = kind
    self.expected = expected
    self.got = got
    self.path = path
  }

  /// The same error seen from one level further out.
  func inside(_ step: String) -> AvroEncodeError {
    var error = self
    error.path = "/" + step + path
    return error
  }
}

extension AvroEncodeError: CustomStringConvertible {
  public var description: String { "\(path.isEmpty ? "the value" : path): expected \(expected), got \(got)" }
}
