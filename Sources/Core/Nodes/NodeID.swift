/// The name of a node within its cluster: a number that never changes and is never given to another node. Zero names nobody.
public struct NodeID: RawRepresentable, Hashable, Comparable, Sendable, Codable, ExpressibleByIntegerLiteral, CustomStringConvertible {
  /// The number.
  public let rawValue: UInt64

  /// The node with this number.
  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// The node with this number.
  @inlinable
  public init(_ rawValue: UInt64) { self.rawValue = rawValue }

  /// The node with this number.
  @inlinable
  public init(integerLiteral value: UInt64) { rawValue = value }

  /// The smaller number comes first.
  @inlinable
  public static func < (a: NodeID, b: NodeID) -> Bool { a.rawValue < b.rawValue }

  /// `n3`.
  public var description: String { "n\(rawValue)" }
}

/// The name of one request a node was given, under which it replies. A runner never gives a name twice to one incarnation of a node.
public struct SessionID: RawRepresentable, Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
  /// The number.
  public let rawValue: UInt64

  /// The session with this number.
  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// The session with this number.
  @inlinable
  public init(_ rawValue: UInt64) { self.rawValue = rawValue }

  /// The smaller number comes first.
  @inlinable
  public static func < (a: SessionID, b: SessionID) -> Bool { a.rawValue < b.rawValue }

  /// `s7`.
  public var description: String { "s\(rawValue)" }
}

/// The name a node gives to one write, under which it hears that the write is durable. The node chooses it and may use one for several.
public struct Ticket: RawRepresentable, Hashable, Comparable, Sendable, Codable, ExpressibleByIntegerLiteral, CustomStringConvertible {
  /// The number.
  public let rawValue: UInt64

  /// The ticket with this number.
  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// The ticket with this number.
  @inlinable
  public init(_ rawValue: UInt64) { self.rawValue = rawValue }

  /// The ticket with this number.
  @inlinable
  public init(integerLiteral value: UInt64) { rawValue = value }

  /// The smaller number comes first.
  @inlinable
  public static func < (a: Ticket, b: Ticket) -> Bool { a.rawValue < b.rawValue }

  /// `#12`.
  public var description: String { "#\(rawValue)" }
}
