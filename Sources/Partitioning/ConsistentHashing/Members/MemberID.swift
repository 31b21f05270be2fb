/// The name of one node of a placement: 1 to 1024 bytes of UTF-8, compared byte by byte.
///
/// Two names that look alike but have other bytes (composed and decomposed accents) are two nodes, on every machine and in every locale.
/// It is not the number a protocol's node has within its cluster (`StrataNodes.NodeID`): placements are shared with programs outside
/// Strata, which know a node by its address or host name.
public struct MemberID: Hashable, Comparable, Sendable, Codable, ExpressibleByStringLiteral, CustomStringConvertible {
  /// The most bytes a name may have.
  public static let byteLimit = 1024

  /// The name's text.
  public let name: String

  /// The node of this name.
  /// - Throws: ``PlacementError/invalidParameter(name:value:allowed:)`` for an empty name or one of more than 1024 bytes.
  public init(_ name: String) throws(PlacementError) {
    guard Self.isValid(name) else {
      throw .invalidParameter(name: "node id", value: "\(name.utf8.count) bytes", allowed: "1...\(Self.byteLimit) bytes of UTF-8")
    }
    self.name = name
  }

  /// The node of a name written in a program. An empty literal, or one of more than 1024 bytes, is a programmer's error and traps.
  public init(stringLiteral value: String) {
    precondition(Self.isValid(value), "a node's name has 1 to 1024 bytes")
    name = value
  }

  private static func isValid(_ name: String) -> Bool { (1...byteLimit).contains(name.utf8.count) }

  /// The name as a JSON string or its like.
  /// - Throws: `DecodingError` where it is no valid name.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let name = try container.decode(String.self)
    guard Self.isValid(name) else {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "a node's name has 1 to 1024 bytes")
    }
    self.name = name
  }

  /// Writes the name as a plain string.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(name)
  }

  // String's own order and equality follow Unicode's canonical equivalence, which would make two names one.

  public static func == (a: MemberID, b: MemberID) -> Bool { a.name.utf8.elementsEqual(b.name.utf8) }

  public static func < (a: MemberID, b: MemberID) -> Bool { a.name.utf8.lexicographicallyPrecedes(b.name.utf8) }

  /// Feeds the bytes to a dictionary of this process; no placement asks it.
  public func hash(into state: inout Hasher) {
    for byte in name.utf8 { state.combine(byte) }
    state.combine(UInt8(0xFF))  // no byte of UTF-8
  }

  /// The name.
  public var description: String { name }
}
