import StrataBytes

/// Finds a writer's schema by the fingerprint that a message carries.
public protocol SchemaResolver {
  /// The schema of this CRC-64-AVRO, where it is known.
  func schema(fingerprint: UInt64) -> AvroSchema?
}

extension Dictionary: SchemaResolver where Key == UInt64, Value == AvroSchema {
  public func schema(fingerprint: UInt64) -> AvroSchema? { self[fingerprint] }
}

/// Single-object encoding: `C3 01`, the fingerprint of the writer's schema (eight bytes, the least significant first), the datum.
public enum AvroSingleObject {
  /// Appends one message.
  /// - Throws: ``AvroEncodeError``; the writer is then as long as before.
  public static func encode(_ value: AvroValue, _ encoder: AvroEncoder, into writer: inout ByteWriter) throws(AvroEncodeError) {
    let before = writer.count
    writer.writeUInt8(0xC3)
    writer.writeUInt8(0x01)
    writer.writeUInt64(encoder.schema.rabinFingerprint)
    do throws(AvroEncodeError) { try encoder.encode(value, into: &writer) } catch {
      writer.truncate(to: before)
      throw error
    }
  }

  /// The next message, as a value of `reader` or of its writer's schema.
  /// - Throws: ``AvroMessageError``; the input is then where it was. An unknown schema can be fetched and the message read again.
  public static func decode(
    _ input: inout ByteReader, _ resolver: some SchemaResolver, reader: AvroSchema? = nil, limits: AvroLimits = .default
  ) throws(AvroMessageError) -> AvroValue {
    let fingerprint = try fingerprint(of: input)
    guard let writer = resolver.schema(fingerprint: fingerprint) else { throw .unknownSchema(fingerprint: fingerprint) }
    let plan: AvroPlan
    do { plan = try AvroPlan(writer: writer, reader: reader, limits: limits) } catch { throw .irreconcilable(error) }
    return try decode(&input, plan)
  }

  /// The next message by a plan made before: for many of one schema.
  /// - Throws: ``AvroMessageError``, also `.unknownSchema` where the message is of another schema than the plan's writer.
  public static func decode(_ input: inout ByteReader, _ plan: AvroPlan) throws(AvroMessageError) -> AvroValue {
    var body = input
    let fingerprint = try fingerprint(of: body)
    guard fingerprint == plan.writer.rabinFingerprint else { throw .unknownSchema(fingerprint: fingerprint) }
    do throws(DecodeError) { _ = try body.readBytes(10) } catch { throw .notAMessage(at: input.offset) }
    let value: AvroValue
    do throws(AvroDecodeError) { value = try plan.decode(&body) } catch { throw .damaged(error) }
    input = body
    return value
  }

  /// The fingerprint the message that comes next carries.
  /// - Throws: `.notAMessage` where it does not begin like one.
  public static func fingerprint(of input: borrowing ByteReader) throws(AvroMessageError) -> UInt64 {
    var head = copy input
    do throws(DecodeError) {
      guard try head.readUInt8() == 0xC3, try head.readUInt8() == 0x01 else { throw DecodeError.badMagic(at: input.offset) }
      return try head.readUInt64()
    } catch { throw .notAMessage(at: input.offset) }
  }
}

/// Why bytes are no message.
public enum AvroMessageError: Error, Sendable, Hashable {
  /// They do not begin with `C3 01` and eight bytes more.
  case notAMessage(at: Int)
  /// No schema of this fingerprint is known here; fetch it and read again.
  case unknownSchema(fingerprint: UInt64)
  /// The writer's schema and the reader's do not fit.
  case irreconcilable(AvroResolutionError)
  /// The datum is none of its schema.
  case damaged(AvroDecodeError)
}

extension AvroMessageError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .notAMessage(let at): "byte \(at): no single-object message begins here"
    case .unknownSchema(let fingerprint): "the schema of fingerprint \(String(fingerprint, radix: 16)) is not known; fetch it and read again"
    case .irreconcilable(let error): error.description
    case .damaged(let error): error.description
    }
  }
}
