/// A decimal number: an unscaled whole number of any size times 10^-scale.
public struct AvroDecimal: Sendable, Hashable {
  /// The unscaled number, big-endian two's complement, in as few bytes as hold it.
  public let unscaled: [UInt8]
  /// How many of its digits stand behind the point.
  public let scale: Int

  /// A decimal of this unscaled number; leading bytes that only repeat the sign are dropped.
  public init(unscaled: [UInt8], scale: Int) {
    var bytes = unscaled[...]
    while bytes.count > 1, let first = bytes.first, let second = bytes.dropFirst().first,
      (first == 0 && second < 0x80) || (first == 0xFF && second >= 0x80)
    {
      bytes = bytes.dropFirst()
    }
    self.unscaled = bytes.isEmpty ? [0] : Array(bytes)
    self.scale = scale
  }

  /// A decimal of this unscaled number.
  public init(_ unscaled: Int64, scale: Int) {
    self.init(unscaled: (0..<8).map { UInt8(truncatingIfNeeded: unscaled >> Int64(56 - 8 * $0)) }, scale: scale)
  }

  /// The number that a text such as `-12.340` says, with as many digits behind the point; `nil` for any other text or more than 4096 digits.
  public init?(_ text: String) {
    var digits: [UInt8] = []
    var scale: Int?
    let isNegative = text.utf8.first == UInt8(ascii: "-")
    for byte in text.utf8.dropFirst(isNegative ? 1 : 0) {
      if byte == UInt8(ascii: "."), scale == nil {
        scale = 0
        continue
      }
      guard byte >= 0x30, byte <= 0x39, digits.count < Self.maximumDigits else { return nil }
      digits.append(byte - 0x30)
      if let behind = scale { scale = behind + 1 }
    }
    guard !digits.isEmpty, scale != 0 else { return nil }
    // The magnitude, the least significant byte first.
    var magnitude: [UInt8] = [0]
    for digit in digits {
      var carry = UInt16(digit)
      for index in magnitude.indices {
        carry += UInt16(magnitude[index]) * 10
        magnitude[index] = UInt8(truncatingIfNeeded: carry)
        carry >>= 8
      }
      if carry > 0 { magnitude.append(UInt8(carry)) }
    }
    magnitude.append(0)
    if isNegative { Self.negate(&magnitude) }
    self.init(unscaled: magnitude.reversed(), scale: scale ?? 0)
  }

  private static let maximumDigits = 4096

  /// The negative of a little-endian two's complement.
  private static func negate(_ bytes: inout [UInt8]) {
    var carry: UInt16 = 1
    for index in bytes.indices {
      carry += UInt16(~bytes[index])
      bytes[index] = UInt8(truncatingIfNeeded: carry)
      carry >>= 8
    }
  }

  /// How many decimal digits the unscaled number has; `nil` beyond 4096.
  public var precision: Int? { Self.digits(unscaled)?.digits.count }

  /// Digits of a big-endian two's complement without leading zeros; `nil` where there are more than 4096.
  private static func digits(_ unscaled: [UInt8]) -> (isNegative: Bool, digits: [UInt8])? {
    guard unscaled.count <= maximumDigits / 2 else { return nil }
    var bytes = Array(unscaled.reversed())
    let isNegative = (unscaled.first ?? 0) >= 0x80
    if isNegative {
      bytes.append(0xFF)
      negate(&bytes)
    }
    var result: [UInt8] = []
    while let top = bytes.lastIndex(where: { $0 != 0 }) {
      bytes.removeLast(bytes.count - top - 1)
      var rest: UInt16 = 0
      for index in bytes.indices.reversed() {
        rest = rest << 8 | UInt16(bytes[index])
        bytes[index] = UInt8(rest / 10)
        rest %= 10
      }
      result.append(UInt8(rest))
    }
    return (isNegative, result.isEmpty ? [0] : result.reversed())
  }
}

extension AvroDecimal: CustomStringConvertible {
  public var description: String {
    guard let (isNegative, digits) = Self.digits(unscaled) else { return "a decimal of \(unscaled.count) bytes" }
    guard scale >= 0, scale <= Self.maximumDigits else { return "\(AvroDecimal(unscaled: unscaled, scale: 0))e\(-scale)" }
    var text = String(repeating: "0", count: max(0, scale + 1 - digits.count)) + digits.map { String($0) }.joined()
    if scale > 0 { text.insert(".", at: text.index(text.endIndex, offsetBy: -scale)) }
    return isNegative ? "-" + text : text
  }
}

extension AvroSchema {
  /// A decimal as a value of this schema, a `decimal` or `big-decimal`.
  /// - Throws: ``AvroEncodeError``: `.outOfRange` where it has more digits than the precision, another scale, or more bytes than the fixed.
  public func value(_ decimal: AvroDecimal) throws(AvroEncodeError) -> AvroValue {
    switch logicalType {
    case .bigDecimal:
      guard let scale = Int32(exactly: decimal.scale) else {
        throw AvroEncodeError(.outOfRange, expected: "a scale of 32 bits", got: "\(decimal.scale)")
      }
      // Both fit their types, so their encoder takes them.
      return .bytes(PlainEncoder.bytes(.record([.bytes(decimal.unscaled), .int(scale)])))
    case .decimal(let precision, let scale):
      guard decimal.scale == scale, let digits = decimal.precision, digits <= precision else {
        throw AvroEncodeError(.outOfRange, expected: "decimal(\(precision), \(scale))", got: "\(decimal)")
      }
      guard let size = size else { return .bytes(decimal.unscaled) }
      guard decimal.unscaled.count <= size else { throw AvroEncodeError(.wrongSize, expected: "\(size) bytes", got: "\(decimal.unscaled.count)") }
      let sign: UInt8 = (decimal.unscaled.first ?? 0) >= 0x80 ? 0xFF : 0
      return .fixed([UInt8](repeating: sign, count: size - decimal.unscaled.count) + decimal.unscaled)
    default: throw AvroEncodeError(.typeMismatch, expected: node.branchName, got: "decimal")
    }
  }

  /// The decimal that a value of this schema is; `nil` where the schema is no decimal or the bytes are none.
  public func decimal(_ value: AvroValue) -> AvroDecimal? {
    switch (logicalType, value) {
    case (.decimal(_, let scale), .bytes(let bytes)), (.decimal(_, let scale), .fixed(let bytes)):
      return bytes.isEmpty ? nil : AvroDecimal(unscaled: bytes, scale: scale)
    case (.bigDecimal, .bytes(let bytes)):
      return bytes.withUnsafeBytes { buffer in
        var cursor = Cursor(buffer, limits: .default)
        guard let unscaled = try? cursor.bytes(), let scale = try? cursor.int(), cursor.remaining == 0, !unscaled.isEmpty else { return nil }
        return AvroDecimal(unscaled: unscaled, scale: Int(scale))
      }
    default: return nil
    }
  }
}
