import StrataBytes
import StrataNodes

/// What nodes that talk to each other have in common: a number, unique within a cluster.
public struct GroupID: RawRepresentable, Hashable, Comparable, Sendable, ExpressibleByIntegerLiteral, CustomStringConvertible {
  /// The number.
  public let rawValue: UInt64

  /// The group with this number.
  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// The group with this number.
  @inlinable
  public init(_ rawValue: UInt64) { self.rawValue = rawValue }

  /// The group with this number.
  @inlinable
  public init(integerLiteral value: UInt64) { rawValue = value }

  /// The smaller number comes first.
  @inlinable
  public static func < (a: GroupID, b: GroupID) -> Bool { a.rawValue < b.rawValue }

  /// `g3`.
  public var description: String { "g\(rawValue)" }
}

/// One message on its way from a node to another of its group.
public struct Frame: Hashable, Sendable {
  /// The group of both.
  public var group: GroupID
  /// Who sends it.
  public var from: NodeID
  /// Who is to receive it.
  public var to: NodeID
  /// The message, as its ``MessageCodec`` wrote it.
  public var payload: [UInt8]
  /// Files that have to be there before it is delivered.
  public var attachments: AttachmentSet?

  /// A frame.
  public init(group: GroupID, from: NodeID, to: NodeID, payload: [UInt8], attachments: AttachmentSet? = nil) {
    self.group = group
    self.from = from
    self.to = to
    self.payload = payload
    self.attachments = attachments
  }
}

/// Carries frames between the nodes of a cluster, as one of its members. Safe from any thread; nothing waits.
///
/// A frame may arrive never, once or several times, and out of order: protocols repeat what matters. What arrives is what was sent, and from whom it
/// says: a transport checks both.
public protocol Transport: AnyObject, Sendable {
  /// The member that sends and receives here.
  var node: NodeID { get }

  /// Sends frames to one peer, together where possible. Beyond its bounds a transport drops frames and counts them.
  func send(_ frames: [Frame], to peer: NodeID)

  /// Delivers what arrives for a group to `receiver`, until ``unregister(_:)``. Frames of groups nobody has registered are dropped and counted.
  ///
  /// - Throws: ``TransportError/groupTaken(_:)``.
  func register(_ receiver: any FrameReceiver, for group: GroupID) throws(TransportError)

  /// Delivers nothing more for a group. A delivery that is under way may still end.
  func unregister(_ group: GroupID)
}

/// Takes what a transport has received. Called on the transport's threads; must be short and wait for nothing.
public protocol FrameReceiver: AnyObject, Sendable {
  /// A frame of the receiver's group arrived. `payload` is borrowed; `attachments` are there and verified, and the receiver's to remove.
  func receive(_ payload: RawSpan, from: NodeID, attachments: StagedAttachments?)
}

/// How messages of a protocol look on the wire: a value without state, used by several threads at once.
public protocol MessageCodec<Message>: Sendable {
  /// The protocol's messages.
  associatedtype Message: Sendable

  /// Writes a message.
  func encode(_ message: Message, into writer: inout ByteWriter)

  /// Reads a message; whatever the bytes are, it gives a message or throws. `attachments` are the files the message names, if it names any.
  func decode(_ payload: RawSpan, from: NodeID, attachments: StagedAttachments?) throws(DecodeError) -> Message

  /// The files that have to be at the receiver before it is given the message.
  func attachments(of message: Message) -> AttachmentSet?
}

extension MessageCodec {
  /// No files: what most protocols need.
  public func attachments(of message: Message) -> AttachmentSet? { nil }
}

/// What a transport refuses.
public enum TransportError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Somebody receives for this group already.
  case groupTaken(GroupID)
  /// The transport was closed.
  case closed

  /// What happened.
  public var description: String {
    switch self {
    case .groupTaken(let group): "group \(group) has a receiver at this node already; stop it first"
    case .closed: "the transport was closed"
    }
  }
}
