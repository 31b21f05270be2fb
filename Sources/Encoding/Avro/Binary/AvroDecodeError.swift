/// Why bytes are no datum of a schema. The reader that was read from stays where it was.
public struct AvroDecodeError: Error, Sendable, Hashable {
  /// Where the field that failed begins, counted as the reader's base says.
  public var offset: Int
  /// The field, as a path of field names, item numbers and map keys.
  public var path: String
  /// What is wrong with it.
  public var kind: Kind

  /// What can be wrong with bytes.
  public enum Kind: Sendable, Hashable {
    /// The bytes end inside the datum.
    case endOfData
    /// A number in more bytes than its type can need: 5 for int, 10 for long.
    case varintTooLong
    /// A number beyond its type.
    case numberOutOfRange
    /// A length below zero.
    case negativeLength(Int64)
    /// A block that says it has so many bytes and has others: who skips it and who reads it would go on at different places.
    case wrongBlockSize(stated: Int, actual: Int)
    /// A boolean that is neither 0 nor 1.
    case invalidBoolean(UInt8)
    /// Text that is not UTF-8.
    case invalidUTF8
    /// An enum's place outside its symbols.
    case enumOutOfRange(Int64, symbols: Int)
    /// A union's place outside its branches.
    case branchOutOfRange(Int64, branches: Int)
    /// A symbol the reader does not know and has no default for.
    case unknownSymbol(String)
    /// A branch the reader has no place for.
    case unreadableBranch(String)
    /// A bound of ``AvroLimits`` that is reached.
    case limitExceeded(String, limit: Int)
    /// A value of another type than the reader's code asked for.
    case typeMismatch(expected: String, found: String)
    /// A map where order is asked for; maps have none.
    case notComparable
    /// Content that an `AvroDecodable` type refuses.
    case refused(String)
  }
}

extension AvroDecodeError: CustomStringConvertible {
  public var description: String {
    let what: String =
      switch kind {
      case .endOfData: "the data ends inside a value"
      case .varintTooLong: "a number in more bytes than its type can need"
      case .numberOutOfRange: "a number beyond its type"
      case .negativeLength(let length): "a length of \(length)"
      case .wrongBlockSize(let stated, let actual): "a block of \(actual) bytes that says it has \(stated)"
      case .invalidBoolean(let byte): "\(byte) for a boolean"
      case .invalidUTF8: "text that is not UTF-8; a plan with lossy text reads it"
      case .enumOutOfRange(let index, let count): "symbol \(index) of an enum with \(count)"
      case .branchOutOfRange(let index, let count): "branch \(index) of a union with \(count)"
      case .unknownSymbol(let symbol): "the reader's enum has neither symbol \(symbol) nor a default"
      case .unreadableBranch(let reason): reason
      case .limitExceeded(let what, let limit): "\(what) beyond the limit of \(limit); raise the limit for data that is trusted"
      case .typeMismatch(let expected, let found): "\(expected) was asked for where the schema has \(found)"
      case .notComparable: "maps have no order"
      case .refused(let reason): reason
      }
    return "byte \(offset)\(path.isEmpty ? "" : ", \(path)"): \(what)"
  }
}
