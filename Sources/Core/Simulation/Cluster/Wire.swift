import StrataBytes
import StrataNodes

/// How a protocol's messages look on the wire: with it a simulated network carries bytes, which may be flipped on their way and torn where a
/// connection breaks, and not values.
///
/// A message travels in a frame of its length, the CRC-32C of its bytes, and its bytes. A frame that does not verify is refused, as a transport
/// would; its bytes are given to `decode` all the same, which may do anything but trap. A frame that verifies must give a message whose encoding is
/// the same bytes, and that message is what the receiver gets: a field that the encoding forgets is missing there.
public struct SimulatedWire<Message: Sendable>: Sendable {
  /// The bytes of a message; equal messages have equal bytes.
  public let encode: @Sendable (Message) -> [UInt8]
  /// The message that some bytes from a node are, whatever they are; throws where they are none.
  public let decode: @Sendable (_ bytes: RawSpan, _ from: NodeID) throws -> Message

  /// A wire on which messages look so.
  public init(encode: @escaping @Sendable (Message) -> [UInt8], decode: @escaping @Sendable (RawSpan, NodeID) throws -> Message) {
    self.encode = encode
    self.decode = decode
  }

  static var headerBytes: Int { 8 }

  /// A message as it travels.
  func frame(_ message: Message) -> [UInt8] {
    let payload = encode(message)
    var writer = ByteWriter(capacity: payload.count + Self.headerBytes)
    writer.writeUInt32(UInt32(clamping: payload.count))
    writer.writeUInt32(crc32c(payload.span.bytes))
    writer.writeBytes(payload)
    return writer.finish()
  }

  /// What became of a frame.
  enum Arrival {
    /// It verifies and gives a message.
    case message(Message)
    /// It does not verify.
    case damaged
    /// It verifies, and the encoding is at fault: this way.
    case wrong(String)
  }

  /// Reads a whole frame.
  func open(_ frame: [UInt8], from: NodeID) -> Arrival {
    guard frame.count >= Self.headerBytes else { return .damaged }
    var reader = ByteReader(frame.span.bytes)
    guard let length = try? reader.readUInt32(), let checksum = try? reader.readUInt32() else { return .damaged }
    let payload = Array(frame.dropFirst(Self.headerBytes))
    guard Int(length) == payload.count, crc32c(payload.span.bytes) == checksum else {
      _ = try? decode(payload.span.bytes, from)
      return .damaged
    }
    do {
      let message = try decode(payload.span.bytes, from)
      return encode(message) == payload ? .message(message) : .wrong("what was decoded is encoded otherwise: \(message)")
    } catch {
      return .wrong("what was encoded is not decoded: \(error)")
    }
  }
}
